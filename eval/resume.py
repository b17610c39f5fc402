"""Work through rows one by one, a record a row, so that a kill at any moment loses none that was finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rag.errors import IndexMissing, ModelUnavailable, RagError, StorageError
from rag.progress import Progress

from .records import Failure, R, line_of, read_records, write_records

Row = TypeVar("Row")
# The next question would meet the same.
_FATAL = (ModelUnavailable, StorageError, IndexMissing)


def record_each(
    name: str,
    folder: Path,
    rows: Sequence[tuple[str, Row]],
    work: Callable[[Row], R],
    kind: type[R],
    progress: Progress,
) -> list[R]:
    """Records of all (id, row) pairs, in order: those that ``folder/name.jsonl`` holds, and those made now.

    Whatever a row raises is recorded as its failure; failures are tried again when it is called again.

    :raises StorageError: if the file can't be written; what was made so far is whole lines.
    :raises ModelUnavailable: or another error that the next row would meet too.
    """
    path = folder / f"{name}.jsonl"
    asked = {id_ for id_, _ in rows}
    kept = {record.id: record for record in read_records(path, kind) if record.error is None and record.id in asked}
    task = f"{name}: {len(rows)} to do" + (f", {len(kept)} of them done before" if kept else "")
    try:
        write_records(path, kept.values())
        with path.open("a", encoding="utf-8") as file:
            for id_, row in rows:
                progress(task, len(kept), len(rows))
                if id_ not in kept:
                    kept[id_] = tried(id_, row, work, kind)
                    file.write(line_of(kept[id_]))
                    file.flush()
    except OSError as error:
        raise StorageError(
            f"{path} can't be written ({error.strerror}): make room, or name another folder with --run."
        ) from error
    progress(task, len(rows), len(rows))
    return [kept[id_] for id_, _ in rows]


def tried(id_: str, row: Row, work: Callable[[Row], R], kind: type[R]) -> R:
    """What comes of one row, or its failure. :raises ModelUnavailable: or what else the next row would meet too."""
    try:
        return work(row)
    except _FATAL:
        raise
    except RagError as error:
        return kind(id=id_, error=Failure(code=error.code, message=str(error)))
    except Exception as error:
        return kind(id=id_, error=Failure(code=type(error).__name__, message=str(error)))
