"""Files that visitors add: read first, kept in a folder of their own once they are indexed, and removed again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.assistant import Assistant
from rag.errors import RagError, StorageError, UsageError
from rag.index import IngestReport
from rag.papers import Paper
from rag.readers import read_corpus
from rag.text import readable
from rag.web.html import button, counted, opening, safe

LABEL = "added"
MOST_BYTES = 20 << 20
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Reading:
    """What came of reading a file: its papers, or why there are none."""

    path: Path
    papers: tuple[Paper, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        return self.path.name


def read(path: Path) -> Reading:
    """Read a file without keeping anything of it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path.name} is larger than {MOST_BYTES >> 20} MB: type `rag ingest` for it instead.")
        return Reading(path, tuple(read_corpus(path, LABEL)))
    except OSError as error:
        return Reading(path, error=f"It can't be opened ({error.strerror}): add it again.")
    except RagError as error:
        # The visitor knows the file by its name alone.
        return Reading(path, error=str(error).replace(str(path.resolve()), path.name).replace(str(path), path.name))


class Shelf:
    """The files that were added, in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> list[str]:
        """The files' names."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_file() and path.name[0] != ".")

    def add(self, assistant: Assistant, readings: Sequence[Reading]) -> IngestReport:
        """Keep the files that could be read, and index them; a file of the same name is replaced.

        :raises StorageError: if they can't be kept. :raises RagError: as :meth:`rag.assistant.Assistant.ingest`.
        """
        kept = [self._place(reading.name) for reading in readings if reading.papers]
        if not kept or len(set(kept)) < len(kept):
            same = "Two of these files have the same name: rename one."
            raise UsageError(same if kept else "No abstract was read: choose a file that holds some.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for reading, place in zip([r for r in readings if r.papers], kept, strict=True):
                scratch = place.with_name(f".{place.name}.new")
                shutil.copyfile(reading.path, scratch)
                os.replace(scratch, place)
        except OSError as error:
            raise StorageError(f"The files can't be kept ({error.strerror}): make room on the disk.") from error
        return assistant.ingest(kept, label=LABEL)

    def remove(self, assistant: Assistant, name: str) -> IngestReport:
        """Drop a file and the papers that stand in no other. :raises UsageError: if there is no such file."""
        if name not in self.names():
            raise UsageError(f"There is no added file {name!r}.")
        report = assistant.remove([f"{LABEL}/{name}"])
        self._place(name).unlink(missing_ok=True)
        return report

    def _place(self, name: str) -> Path:
        place = self.folder / Path(name).name[-_LONGEST_NAME:].lstrip(".")
        if place.parent != self.folder or not place.name:
            raise UsageError(f"{name!r} is not a name for a file.")
        return place


def outcome(readings: Sequence[Reading], known: Collection[str]) -> str:
    """What was read and what was not, and why. :param known: ids of the papers that are indexed."""
    return f'<ul class="pt-readings">{"".join(_read(reading, known) for reading in readings)}</ul>'


def _read(reading: Reading, known: Collection[str]) -> str:
    if reading.error:
        return f'<li class="pt-unread"><b>{safe(reading.name)}</b> was not read. {safe(reading.error)}</li>'
    count = len(reading.papers)
    old = sum(paper.paper_id in known for paper in reading.papers)
    before = f", {old} of them indexed before" if old else ""
    titles = "".join(f"<li>{safe(readable(paper.title))}</li>" for paper in reading.papers)
    return (
        f'<li class="pt-read"><b>{safe(reading.name)}</b>: {counted(count)}{before}'
        f"<details><summary>Titles</summary><ul>{titles}</ul></details></li>"
    )


def listed(names: Sequence[str], papers: Sequence[Paper]) -> str:
    """The files that were added, with their papers."""
    if not names:
        return '<p class="pt-label">Nothing has been added yet.</p>'
    return f'<ul class="pt-readings">{"".join(_listed(name, papers) for name in names)}</ul>'


def _listed(name: str, papers: Sequence[Paper]) -> str:
    held = [paper for paper in papers if any(source.file == f"{LABEL}/{name}" for source in paper.sources)]
    remove = button("remove", "Remove", classes="pt-tool", spoken=f"Remove {name}", name=name)
    titles = "".join(f"<li>{opening(paper)}</li>" for paper in held)
    return (
        f"<li><b>{safe(name)}</b>: {counted(len(held))} {remove}"
        f"<details><summary>Titles</summary><ul>{titles}</ul></details></li>"
    )


def report(made: IngestReport) -> str:
    """What a change of the index did."""
    parts = [f"{count} {what}" for count, what in ((made.added, "added"), (made.replaced, "renewed"),
             (made.removed, "removed"), (made.unchanged, "unchanged")) if count]  # fmt: skip
    said = f"{', '.join(parts) or 'Nothing changed'}: {counted(made.total)} indexed now."
    return f'<div class="pt-done" data-status="{safe(said)}">{safe(said)}</div>'
