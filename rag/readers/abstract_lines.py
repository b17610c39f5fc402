"""Pages whose abstracts stand on lines that begin ``Abstract:``, without titles."""

from __future__ import annotations

import re

from rag.papers import Record
from rag.readers.page import Page

_MARK = re.compile(r"abstract\s*[:.]\s*", re.IGNORECASE)


def read(page: Page) -> list[Record]:
    """One record a marked line; empty if no line is marked. A mark alone on its line belongs to the line below."""
    records: list[Record] = []
    for i, line in enumerate(page.lines):
        mark = _MARK.match(line.text)
        if mark is None:
            continue
        abstract = line.rest(mark.end())
        below = page.lines[i + 1] if i + 1 < len(page.lines) else None
        if not abstract.text and below and not _MARK.match(below.text):
            abstract = below
        if abstract.text:
            records.append(Record(page.source(abstract, len(records) + 1), abstract.text))
    return records
