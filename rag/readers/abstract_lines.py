"""Pages whose abstracts stand on lines that begin ``Abstract:``, without titles."""

from __future__ import annotations

import re

from rag.papers import Record
from rag.readers.page import Page

_MARK = re.compile(r"abstract\s*[:.]\s*", re.IGNORECASE)


def read(page: Page) -> list[Record]:
    """One record a marked line; empty if no line is marked."""
    records: list[Record] = []
    for line in page.lines:
        mark = _MARK.match(line.text)
        abstract = line.rest(mark.end()) if mark else None
        if abstract and abstract.text:
            records.append(Record(page.source(abstract, len(records) + 1), abstract.text))
    return records
