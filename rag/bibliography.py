"""The indexed papers as reference managers, spreadsheets and programs read them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import rispy

from rag.answers import TITLE_FROM
from rag.errors import StorageError, UsageError
from rag.export import as_bibtex
from rag.papers import Paper
from rag.text import readable, visible

_COLUMNS = ("paper_id", "title", "title_source", "authors", "date", "category", "url", "abstract")
_FORMULA = ("=", "+", "-", "@")


def bibtex(papers: Sequence[Paper]) -> Iterator[str]:
    """BibTeX entries."""
    yield as_bibtex(papers, abstracts=True)


def ris(papers: Sequence[Paper]) -> Iterator[str]:
    """RIS records, a blank line after each."""
    for paper in papers:
        yield rispy.dumps([_reference(paper)], implementation=_Writer) + "\n"


def jsonl(papers: Sequence[Paper]) -> Iterator[str]:
    """A line of JSON each, in ASCII, with all that `rag papers --json` gives but where the paper was read."""
    for paper in papers:
        yield json.dumps(paper.model_dump(mode="json", exclude={"sources"})) + "\n"


def table(papers: Sequence[Paper]) -> Iterator[str]:
    """CSV with a heading. What a spreadsheet would take for a formula has an apostrophe before it."""
    for row in chain([_COLUMNS], map(_row, papers)):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


FORMATS: dict[str, Callable[[Sequence[Paper]], Iterator[str]]] = {
    "bibtex": bibtex,
    "ris": ris,
    "jsonl": jsonl,
    "csv": table,
}
_ENDINGS = {".bib": "bibtex", ".ris": "ris", ".jsonl": "jsonl", ".csv": "csv"}


def format_of(name: str | None, output: Path | None) -> str:
    """The format of this name, else the one that a file's ending says, else JSON lines.

    :raises UsageError: if there is no such format, or the ending says none.
    """
    if name is not None and name.lower() not in FORMATS:
        raise UsageError(f"There is no format {name!r}: use {_alternatives(list(FORMATS))}.")
    if name is None and output is not None and output.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{output} ends in none of {_alternatives(list(_ENDINGS))}: name a format with --format.")
    if name is not None:
        return name.lower()
    return _ENDINGS[output.suffix.lower()] if output is not None else "jsonl"


def write(path: Path, pieces: Iterator[str]) -> None:
    """Write a file that isn't there yet, whole or not at all.

    :raises UsageError: if it is there: it may hold more than we would write. :raises StorageError: if it can't be.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already: name another file, or delete it.")
        with scratch.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        os.replace(scratch, path)
    except OSError as error:
        raise StorageError(f"{path} can't be written ({error.strerror}): name another place, or make room.") from error
    finally:
        if scratch.exists():
            scratch.unlink()


def _alternatives(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


class _Writer(rispy.RisWriter):
    def set_header(self, count: int) -> str:
        return ""  # and not a number, which other programs don't expect


def _reference(paper: Paper) -> dict[str, object]:
    """A paper as rispy has it. What isn't known has no tag."""
    year, month, day = [*(paper.date or "").split("-"), "", ""][:3]
    notes = [f"Title {TITLE_FROM['derived']}"] if paper.title_source == "derived" else []
    notes += [] if paper.authors_complete else ["The list of authors goes on"]
    known: dict[str, object] = {
        "type_of_reference": "GEN",
        "id": paper.paper_id,
        "title": _line(readable(paper.title)),
        "authors": [_surname_first(name) for name in paper.authors],
        "year": year,
        "date": f"{year}/{month}/{day}/" if month else "",
        "urls": [paper.url] if paper.url else [],
        "notes": notes,
        "abstract": _line(paper.abstract),
    }
    return {name: value for name, value in known.items() if value}


def _surname_first(name: str) -> str:
    """A name as RIS wants it, by BibTeX's rules for which words are the surname: "Gogh, Vincent van"."""
    from bibtexparser.middlewares.names import InvalidNameError, parse_single_name_into_parts

    try:
        parts = parse_single_name_into_parts(_line(name))
    except InvalidNameError:
        return _line(name)
    surname = " ".join([*parts.von, *parts.last])
    return ", ".join(filter(None, [surname, " ".join(parts.first), " ".join(parts.jr)]))


def _row(paper: Paper) -> list[str]:
    known = paper.model_copy(update={"title": readable(paper.title), "authors": "; ".join(paper.authors)})
    return [_cell(getattr(known, name)) for name in _COLUMNS]


def _cell(value: str | None) -> str:
    text = _line(value or "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(text: str) -> str:
    return " ".join(visible(text).split())
