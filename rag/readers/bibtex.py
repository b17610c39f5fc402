"""BibTeX and BibLaTeX, as Zotero, Mendeley and JabRef export it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.readers.dates import iso_date, iso_parts
from rag.readers.entry import MAX_RAW, Entry
from rag.readers.left_out import Found, Problem
from rag.readers.opened import MAX_ENTRY, Opened, decoded
from rag.text import from_latex

if TYPE_CHECKING:
    from bibtexparser.model import Entry as Parsed

Fields = dict[str, str]

_BEGINS = re.compile(r"[ \t]*@\w+[ \t]*[{(]")
_CONCATENATED = re.compile(r'"[^"]*"|\{[^{}]*\}|[^\s#"{}]+')
_RAISED = re.compile(r"\\textsuperscript\{([-+\d]{1,10})\}")
_ESCAPED = re.compile(r"\\([%&_#${}~^])")
_BROKEN = "the entry is broken: a brace, a comma or a quotation mark is missing."
_MOST_NAMED, _MAX_KEY, _MAX_STRING = 10_000, 200, 1000
"""Strings (macros) and dates of entries that are remembered, and how long their names and they may be."""
_MOST_WAITING = 64 << 20
"""Characters of all entries together that wait for the one that they refer to."""


def read(file: Opened) -> Iterator[Found]:
    """A record an entry. What refers to another one for its date (``crossref``) comes last."""
    # It logs what is wrong with an entry, and we tell it ourselves.
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)
    record = 0
    dates: dict[str, str] = {}
    waiting: list[tuple[int, int, Fields]] = []
    room = _MOST_WAITING
    for line, found in _parsed(file):
        if isinstance(found, Problem):
            yield found
            continue
        record += 1
        date = _date(found)
        if date and "abstract" not in found and len(dates) < _MOST_NAMED:
            dates[_name(found["key"])] = date
        size = sum(map(len, found.values()))
        if "crossref" in found and not date and size < room:
            room -= size
            waiting.append((record, line, found))
        else:
            yield _entry(found, date).record(file, record, line)
    for number, line, found in waiting:
        yield _entry(found, dates.get(_name(found["crossref"]))).record(file, number, line)
    if not record:
        yield file.problem("it holds no entry, as in @article{key, …}.", ends=True)


def _parsed(file: Opened) -> Iterator[tuple[int, Fields | Problem]]:
    """The fields of each entry, its key under ``key``, and the line where it begins; or what is wrong with it."""
    from bibtexparser.middlewares import RemoveEnclosingMiddleware
    from bibtexparser.model import Entry as Parsed
    from bibtexparser.splitter import Splitter

    enclosing = RemoveEnclosingMiddleware()
    strings: Fields = {}
    for begun, text in _blocks(file):
        if text is None:
            yield begun, file.problem(f"the entry is larger than {MAX_ENTRY >> 20} MiB: shorten it.", line=begun)
            continue
        try:
            library = Splitter(text).split()
        except Exception:  # its own bugs, which it raises as they come
            yield begun, file.problem(_BROKEN, line=begun)
            continue
        for string in library.strings:
            value = enclosing.transform_string(string, library).value
            if len(strings) < _MOST_NAMED and len(value) <= _MAX_STRING:
                strings[_name(string.key)] = value
        entries = library.entries
        for block in library.failed_blocks:
            line = begun + (block.start_line or 0)
            if isinstance(block.ignore_error_block, Parsed):  # two fields or two entries of one name
                entries.append(block.ignore_error_block)
            else:
                yield line, file.problem(_BROKEN, line=line)
        for entry in entries:
            yield begun + (entry.start_line or 0), _fields(enclosing.transform_entry(entry, library), strings)


def _blocks(file: Opened) -> Iterator[tuple[int, str | None]]:
    """The text of each block, from an @ that begins a line to the next, and that line; None if it is too long."""
    begun = size = 0
    lines: list[str] = []
    for number, line in file.lines():
        text = decoded(line) if line is not None else None
        if text is None or _BEGINS.match(text):
            if begun:
                yield begun, "".join(lines) if size <= MAX_ENTRY else None
            begun, size, lines = number, 0, []
        if begun:
            size += len(text) if text is not None else MAX_ENTRY + 1
            if text is not None and size <= MAX_ENTRY:
                lines.append(text)
    if begun:
        yield begun, "".join(lines) if size <= MAX_ENTRY else None


def _fields(entry: Parsed, strings: Fields) -> Fields:
    fields = {"key": entry.key}
    for field in entry.fields:
        value = str(field.value)
        if field.enclosing == "no-enclosing":
            parts = (part.strip('"{}') for part in _CONCATENATED.findall(value))
            value = "".join(strings.get(_name(part), part) for part in parts)
        fields.setdefault(field.key.lower(), value)
    return fields


def _name(key: str) -> str:
    return key[:_MAX_KEY].casefold()


def _date(fields: Fields) -> str | None:
    return iso_date(fields.get("date", "")) or iso_parts(*(fields.get(name, "") for name in ("year", "month", "day")))


def _entry(fields: Fields, date: str | None) -> Entry:
    names, complete = _authors(fields.get("author", ""))
    doi, url, eprint, kind = (
        _ESCAPED.sub(r"\1", fields.get(name, "")).replace("{", "").replace("}", "")
        for name in ("doi", "url", "eprint", "archiveprefix")
    )
    eprint_is_arxiv = (kind or fields.get("eprinttype", "arxiv")).casefold() == "arxiv"
    notes = [fields.get("arxivid", ""), url, *(fields.get(name, "") for name in ("number", "note", "journal"))]
    return Entry(
        title=_plain(fields.get("title", "")),
        abstract=_plain(fields.get("abstract", "")),
        authors=names,
        authors_complete=complete,
        date=date,
        category=fields.get("primaryclass", ""),
        doi=doi,
        arxiv=eprint if eprint and eprint_is_arxiv else fields.get("arxivid") or " ".join(notes),
        url=url,
    )


def _plain(text: str) -> str:
    # What is far too long is refused as it is.
    return from_latex(_RAISED.sub(r"<sup>\1</sup>", text)) if len(text) <= MAX_RAW else text


def _authors(written: str) -> tuple[tuple[str, ...], bool]:
    """The names as they are said, and whether they are all."""
    from bibtexparser.middlewares.names import parse_single_name_into_parts, split_multiple_persons_names

    names = split_multiple_persons_names(written)
    said = [name for name in names if name.strip().casefold() != "others"]
    parts = [parse_single_name_into_parts(name, strict=False).merge_first_name_first for name in said]
    return tuple(map(from_latex, parts)), len(said) == len(names)
