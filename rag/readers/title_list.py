"""Lists of papers, each a title line and then the abstract; menus and buttons may stand in between."""

from __future__ import annotations

import re

from rag.papers import Record
from rag.readers.page import Page

# A button's label that the page's text export glued to the title after it.
_GLUED = re.compile(r"(?:Subscribe|Sign ?up|Log ?in|Follow|Share)(?=[A-Z0-9])")


def read(page: Page) -> list[Record]:
    """One record a line of prose; the short line right before it is its title."""
    records: list[Record] = []
    for i, line in enumerate(page.lines):
        if not line.is_prose:
            continue
        before = page.lines[i - 1] if i else None
        title = _GLUED.sub("", before.text, count=1).strip() if before and not before.is_prose else None
        records.append(Record(page.source(line, len(records) + 1), line.text, title=title or None))
    return records
