"""Many questions from JSON lines, one result a line: in order, resumable, and no bad line loses the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from rag.errors import RagError, StorageError, UsageError
from rag.files import read_at_most
from rag.filters import Filters
from rag.progress import Progress, silent
from rag.text import escaped

Json = dict[str, Any]
MAX_BYTES, MAX_LINES = 64 << 20, 1_000_000


@dataclass(frozen=True)
class Request:
    """One input line that can be worked on."""

    id: str | int
    question: str
    """The question, or the claim."""
    filters: Filters
    text: str | None = None
    """What a claim is checked against, where that isn't the index."""


@dataclass(frozen=True)
class BadLine:
    """One input line that can't, and why."""

    id: str | int
    message: str
    own_id: bool = False
    """Whether the line gave its id, rather than getting its number."""


def input_lines(input_: str, stdin: BinaryIO) -> list[str]:
    """The lines of a file, or of standard input for ``-``.

    :raises UsageError: if it can't be read, isn't UTF-8, or is too large.
    """
    try:
        data = stdin.read(MAX_BYTES + 1) if input_ == "-" else read_at_most(Path(input_), MAX_BYTES)
    except OSError as error:
        raise UsageError(
            f"{input_} can't be read ({error.strerror}): name a file of JSON lines, or - for standard input."
        ) from error
    if data is None or len(data) > MAX_BYTES:
        raise UsageError(f"{input_} is larger than {MAX_BYTES >> 20} MiB: split it into smaller files.")
    if data.count(b"\n") > MAX_LINES:
        raise UsageError(f"{input_} has more than {MAX_LINES:,} lines: split it into smaller files.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{input_} is not UTF-8 text: save it as UTF-8.") from error
    return text.removesuffix("\n").split("\n") if text else []


def read_requests(lines: Iterable[str], noun: str = "question") -> list[Request | BadLine]:
    """Read a batch: a line is ``{"question": ..., "id": ..., "filters": {"paper", "author", "since", "until"}}``.

    A line without an id gets its line number. Claims may come with a ``text`` or a ``paper_id`` of their own.

    :param noun: the name of the field that is asked: "question" or "claim".
    :raises UsageError: if two lines have the same id; nothing has been done then.
    """
    requests = [_request(number, line, noun) for number, line in enumerate(lines, start=1)]
    seen: dict[str | int, int] = {}
    for number, request in enumerate(requests, start=1):
        if isinstance(request, BadLine) and not request.own_id:
            continue
        if request.id in seen:
            raise UsageError(
                f"Lines {seen[request.id]} and {number} of the input have the same id {request.id!r}: "
                f"give each its own."
            )
        seen[request.id] = number
    return requests


def _request(number: int, line: str, noun: str) -> Request | BadLine:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return BadLine(number, f"Line {number} is not JSON.")
    if not isinstance(data, dict):
        return BadLine(number, f"Line {number} is not a JSON object.")
    given = data.get("id")
    id_ = number if given is None else given
    if isinstance(id_, bool) or not isinstance(id_, str | int):
        return BadLine(number, f"The id in line {number} is neither a string nor an integer.")
    question = data.get(noun)
    if not isinstance(question, str):
        return BadLine(id_, f"Line {number} has no {noun} (a string).", given is not None)
    text, paper = (data.get(field) if noun == "claim" else None for field in ("text", "paper_id"))
    if not all(value is None or isinstance(value, str) for value in (text, paper)):
        return BadLine(id_, f"The text or the paper_id in line {number} is not a string.", given is not None)
    try:
        filters = _filters(data.get("filters"))
        return Request(id_, question, replace(filters, papers=(paper,)) if paper else filters, text)
    except UsageError as error:
        return BadLine(id_, str(error), given is not None)


def _filters(data: object) -> Filters:
    if data is None:
        return Filters()
    if not isinstance(data, dict) or not data.keys() <= {"paper", "author", "since", "until"}:
        raise UsageError('"filters" must be an object with "paper", "author", "since" or "until".')
    paper = data.get("paper") or []
    papers = [paper] if isinstance(paper, str) else paper
    single = [data.get(name) or None for name in ("author", "since", "until")]
    if not isinstance(papers, list) or not all(isinstance(text, str) for text in [*papers, *filter(None, single)]):
        raise UsageError('The values of "filters" must be strings ("paper" may be a list of them).')
    return Filters(tuple(papers), *single)


def run_batch(
    requests: list[Request | BadLine],
    work: Callable[[Request], Json],
    *,
    output: Path | None,
    stream: TextIO,
    is_current: Callable[[Request, Json], bool],
    progress: Progress = silent,
) -> int:
    """Work through a batch; returns the number of lines that ended in an error.

    :param output: where results go; started again, results of the same make are kept and the rest is done.
        None writes to ``stream``.
    :param is_current: whether an earlier result is what ``work`` would make of this request now.
    :raises StorageError: if the output can't be written; what was written so far is whole lines.
    """
    if output is not None:
        output = _writable(output)
    kept = _kept(requests, output, is_current) if output else {}
    failed = 0
    with _Sink(requests, kept, output, stream) as sink:
        task = f"{len(requests)} lines" + (f", {len(kept)} of them done before" if kept else "")
        for done, request in enumerate(requests):
            progress(task, done, len(requests))
            record = kept.get(request.id)
            if record is None:
                record = _result(request, work)
                failed += "error" in record
            elif sink.holds(request.id):
                continue
            sink.write(record)
        progress(task, len(requests), len(requests))
    return failed


def _writable(output: Path) -> Path:
    """Where an output is written: a link stays one, and what it points at is.

    :raises StorageError: if that is a device, a pipe or nowhere; a device would be replaced by a file.
    """
    try:
        output = output.resolve()
        if output.exists() and not output.is_file():
            raise StorageError(f"{output} is no file: name another --output.")
    except (OSError, RuntimeError) as error:  # a name that is too long, a circle of links
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{output} can't be written ({reason}): name another --output.") from error
    return output


def _result(request: Request | BadLine, work: Callable[[Request], Json]) -> Json:
    if isinstance(request, BadLine):
        return {"id": request.id, "error": {"code": "bad_line", "message": request.message}}
    try:
        return work(request) | {"id": request.id}
    except RagError as error:
        return {"id": request.id, "error": {"code": error.code, "message": str(error)}}


def _kept(
    requests: list[Request | BadLine], output: Path, is_current: Callable[[Request, Json], bool]
) -> dict[str | int, Json]:
    """Earlier results that still hold, by id. A torn last line, errors and anything unreadable are not kept."""
    asked: Mapping[str | int, Request] = {r.id: r for r in requests if isinstance(r, Request)}
    kept: dict[str | int, Json] = {}
    # What an interrupted run had set aside comes first: what it wrote since is newer.
    for record in (*_records(_aside(output)), *_records(output)):
        request = asked.get(record["id"])
        if request is not None and "error" not in record and is_current(request, record):
            kept[request.id] = record
    return kept


def _records(output: Path) -> Iterator[Json]:
    try:
        text = output.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{output} can't be read ({error.strerror}): name another --output.") from error
    # Only "\n" ends a line: a torn last line is what comes after the last one.
    for line in text.split("\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("id"), str | int):
            yield record


def _aside(output: Path) -> Path:
    """Where earlier results lie while a run that doesn't begin with them is under way."""
    return output.with_name(f".{output.name}.old")


class _Sink:
    """Where results are written, a whole line at a time.

    The file is begun anew with the leading results that are kept, in one step; others that are kept
    are set aside until the run has come to its end. A process that is killed at any moment loses none.
    """

    def __init__(
        self, requests: list[Request | BadLine], kept: dict[str | int, Json], output: Path | None, stream: TextIO
    ):
        self._output, self._stream, self._file = output, stream, stream
        leading: list[Json] = []
        for request in requests:
            if request.id not in kept:
                break
            leading.append(kept[request.id])
        self._leading = leading
        self._held = {record["id"] for record in leading}
        self._later = [record for id_, record in kept.items() if id_ not in self._held]

    def __enter__(self) -> _Sink:
        if self._output is not None:
            scratch = self._output.with_name(f".{self._output.name}.new")
            try:
                if self._later:
                    scratch.write_text("".join(map(_line, self._later)), encoding="utf-8", errors="backslashreplace")
                    os.replace(scratch, _aside(self._output))
                scratch.write_text("".join(map(_line, self._leading)), encoding="utf-8", errors="backslashreplace")
                os.replace(scratch, self._output)
                self._file = self._output.open("a", encoding="utf-8", errors="backslashreplace")
            except OSError as error:
                scratch.unlink(missing_ok=True)
                raise StorageError(
                    f"{self._output} can't be written ({error.strerror}): name another --output."
                ) from error
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is not self._stream:
            self._file.close()
        if self._output is not None and kind is None:
            _aside(self._output).unlink(missing_ok=True)

    def holds(self, id_: str | int) -> bool:
        """Whether the result of this id is in the file already."""
        return id_ in self._held

    def write(self, record: Json) -> None:
        try:
            self._file.write(_line(record))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(
                f"The results can't be written ({error.strerror}): make room and start again."
            ) from error


def _line(record: Json) -> str:
    return escaped(json.dumps(record, ensure_ascii=False)) + "\n"
