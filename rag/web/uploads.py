"""Files that visitors add: read first, kept in a folder of their own once they are indexed, and removed again."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.assistant import Assistant
from rag.errors import IndexUnfinished, RagError, StorageError, UsageError
from rag.index import PaperIndex
from rag.ingest import IngestReport
from rag.papers import Paper
from rag.readers import CATALOGUE_FILE, LeftOut, read_corpus, stream_corpus
from rag.settings import Settings
from rag.text import readable
from rag.web.html import button, counted, opening, safe

LABEL = "added"
MOST_BYTES = 20 << 20
_LONGEST_NAME = 120
_MOST_TITLES = 500
# What is no advice to someone who dropped a file.
_TO_THE_COMMAND_LINE = re.compile(r"[.:] take it out of the folder.*", re.I | re.S)


@dataclass(frozen=True)
class Reading:
    """What came of reading a file: its papers and what had to be left out, or why there are none."""

    path: Path
    papers: tuple[Paper, ...] = ()
    error: str = ""
    left_out: tuple[str, ...] = ()
    """A line each, the last of them in sum."""

    @property
    def name(self) -> str:
        return self.path.name


def read(path: Path) -> Reading:
    """Read a file without keeping anything of it."""
    try:
        _name(path.name)
        if path.is_symlink() or (path.exists() and not path.is_file()):  # a folder, a device, or somebody else's file
            raise UsageError(f"{path.name} is not a file: choose one.")
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path.name} is larger than {MOST_BYTES >> 20} MB: type `rag ingest` for it instead.")
        left_out = LeftOut()
        papers = read_corpus(path, LABEL, left_out, MOST_BYTES)
        if not papers:
            raise left_out.error()
        return Reading(path, tuple(papers), left_out=tuple(_said(line, path) for line in left_out.told()))
    except OSError as error:
        return Reading(path, error=f"It can't be opened ({error.strerror}): add it again.")
    except RagError as error:
        return Reading(path, error=_said(str(error), path))


def _said(line: str, path: Path) -> str:
    """What is said of a file, to a visitor, who knows it by its name alone."""
    said = line.replace(str(path.resolve()), path.name).replace(str(path), path.name)
    return _TO_THE_COMMAND_LINE.sub(".", said)


class Shelf:
    """The files that were added, in one folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Shelf:
        """The one beside the index."""
        return cls(settings.index_dir.parent / LABEL)

    def names(self) -> list[str]:
        """The files' names."""
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_file() and path.name[0] != ".")

    def add(self, assistant: Assistant, readings: Sequence[Reading]) -> IngestReport:
        """Keep the files that could be read, and index them. If that fails, none of them is kept.

        A file whose name is taken gets another, unless it is the same.

        :raises StorageError: if they can't be kept. :raises RagError: as :meth:`rag.assistant.Assistant.ingest`.
        """
        wanted = [reading for reading in readings if reading.papers]
        if not wanted:
            raise UsageError("No abstract was read: choose a file that holds some.")
        self.mend(assistant)
        made: list[Path] = []
        places: list[Path] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for reading in wanted:
                place = self._place(reading)
                if not place.exists():
                    made.append(place)
                    scratch = place.with_name(f".{place.name}.new")
                    shutil.copyfile(reading.path, scratch)
                    os.replace(scratch, place)
                left_out = LeftOut()
                if next(stream_corpus(place, LABEL, left_out), None) is None:  # it is another file by now
                    raise left_out.error()
                places.append(place)
            return assistant.ingest(places, label=LABEL, left_out=LeftOut())
        except FileNotFoundError as error:  # uploads are deleted after an hour
            self._drop(made)
            raise UsageError("A file is no longer here: add it again.") from error
        except OSError as error:
            self._drop(made)
            raise StorageError(f"The files can't be kept ({error.strerror}): make room on the disk.") from error
        except BaseException:
            self._drop(made)
            raise

    def remove(self, assistant: Assistant, name: str) -> IngestReport:
        """Drop a file and the papers that stand in no other. :raises UsageError: if there is no such file."""
        if name not in self.names():
            raise UsageError(f"There is no added file {name!r}.")
        self.mend(assistant)
        report = assistant.remove([f"{LABEL}/{name}"])
        self._drop([self._folder / name])
        return report

    def mend(self, assistant: Assistant) -> None:
        """Index the files of which nothing is indexed: the add was cut off, or the index was made anew.

        :raises RagError: as :meth:`add`.
        """
        names = self.names()
        papers: Collection[Paper] = ()
        try:
            with closing(PaperIndex.open(assistant.settings)) as index:
                papers = index.papers.values() if names else ()
        except IndexUnfinished as error:
            if not error.scope.startswith(f"{LABEL}/"):
                return  # another ingest's, which knows how to go on
        except RagError:
            return  # whoever opens the index next says what is wrong with it
        known = {source.file for paper in papers for source in paper.sources}
        forgotten = [self._folder / name for name in names if f"{LABEL}/{name}" not in known]
        if forgotten:
            assistant.ingest(forgotten, label=LABEL, left_out=LeftOut())

    def _place(self, reading: Reading) -> Path:
        """Where a file is kept: under its name, or with a number behind it where another has that name."""
        first = self._folder / _name(reading.name)
        for number in range(998):
            place = first.with_stem(f"{first.stem} ({number})") if number else first
            if not place.exists() or filecmp.cmp(place, reading.path, shallow=False):
                return place
        raise UsageError(f"Too many files are called {reading.name!r}: rename it.")

    def _drop(self, places: Sequence[Path]) -> None:
        for place in places:
            place.unlink(missing_ok=True)
            place.with_name(f".{place.name}.new").unlink(missing_ok=True)


def _name(given: str) -> str:
    """A visitor's name for a file as a name in the folder. :raises UsageError: if it can't be one."""
    name = Path(given).name[-_LONGEST_NAME:].lstrip(".")
    if not name or "\0" in name or name == CATALOGUE_FILE:  # titles for the papers of others
        raise UsageError(f"{given!r} is not a name for a page of abstracts: rename it.")
    return name


def outcome(readings: Sequence[Reading], known: Collection[str]) -> str:
    """What was read and what was not, and why. :param known: ids of the papers that are indexed."""
    return f'<ul class="pt-readings">{"".join(_read(reading, known) for reading in readings)}</ul>'


def _read(reading: Reading, known: Collection[str]) -> str:
    if reading.error:
        return f'<li class="pt-unread"><b>{safe(reading.name)}</b> was not read. {safe(reading.error)}</li>'
    count = len(reading.papers)
    old = sum(paper.paper_id in known for paper in reading.papers)
    before = f", {old} of them indexed before" if old else ""
    titles = _items([readable(paper.title) for paper in reading.papers[:_MOST_TITLES]])
    more = f"<li>and {count - _MOST_TITLES:,} more</li>" if count > _MOST_TITLES else ""
    problems = ""
    if reading.left_out:
        *each, total = reading.left_out
        why = f"<details><summary>What was left out</summary><ul>{_items(each)}</ul></details>" if each else ""
        problems = f'<p class="pt-label">{safe(total)}</p>{why}'
    return (
        f'<li class="pt-read"><b>{safe(reading.name)}</b>: {counted(count)}{before}'
        f"<details><summary>Titles</summary><ul>{titles}{more}</ul></details>{problems}</li>"
    )


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{safe(line)}</li>" for line in lines)


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
