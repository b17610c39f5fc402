"""RIS, as Mendeley, Zotero, EndNote and publishers export it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.readers.dates import iso_date
from rag.readers.entry import Entry
from rag.readers.fields import given_first
from rag.readers.left_out import Found
from rag.readers.opened import MAX_ENTRY, Opened, decoded

_TAG = re.compile(r"([A-Z][A-Z0-9]) {1,2}-(?: (.*)|$)", re.DOTALL)
_TITLES = ("title", "primary_title", "short_title")
_ABSTRACTS = ("abstract", "notes_abstract")
_DATES = ("date", "publication_year", "year")


def read(file: Opened) -> Iterator[Found]:
    """A record an entry, from its TY line to its ER line; to the next TY line where that is missing."""
    import rispy

    parser = rispy.RisParser(skip_unknown_tags=True)
    record = 0
    for line, tags in _entries(file):
        if tags is None:
            yield file.problem(f"the entry is larger than {MAX_ENTRY >> 20} MiB: shorten it.", line=line)
            continue
        record += 1
        (found,) = parser.parse_lines(iter([*tags, "ER  - "]))
        yield _entry(found).record(file, record, line)
    if not record:
        yield file.problem("it holds no entry: none of its lines begins with 'TY  - '.", ends=True)


def _entries(file: Opened) -> Iterator[tuple[int, list[str] | None]]:
    """The lines of each entry, a tag a line however many it went on for, and the line where it begins; or None."""
    begun = size = 0
    tags: list[list[str]] = []
    for number, line in file.lines():
        tag = _TAG.match(text := decoded(line).rstrip()) if line is not None else None
        if begun and tag and tag[1] in ("TY", "ER"):
            yield begun, [" ".join(parts) for parts in tags] if size <= MAX_ENTRY else None
            begun = 0
        if tag and tag[1] == "TY":
            begun, size, tags = number, 0, []
        if not begun:
            continue
        size += len(line) if line is not None else MAX_ENTRY + 1
        if size > MAX_ENTRY:
            tags = [[]]
        elif tag:
            tags.append([f"{tag[1]}  - {(tag[2] or '').strip()}"])
        elif text:
            tags[-1].append(text.strip())
    if begun:
        yield begun, [" ".join(parts) for parts in tags] if size <= MAX_ENTRY else None


def _entry(found: dict[str, Any]) -> Entry:
    names = found.get("authors") or found.get("first_authors") or []
    dates = [iso_date(str(found[name])) for name in _DATES if name in found]
    links = [link for link in found.get("urls", []) if link]
    return Entry(
        title=next((found[name] for name in _TITLES if found.get(name)), ""),
        abstract=next((found[name] for name in _ABSTRACTS if found.get(name)), ""),
        authors=tuple(map(given_first, names)),
        date=max(filter(None, dates), key=len, default=None),
        doi=found.get("doi", ""),
        arxiv=" ".join([*links, *(str(found.get(name, "")) for name in ("number", "accession_number", "note"))]),
        url=links[0] if links else "",
    )
