"""Pages of abstracts as text, in any of the layouts; one module a layout.

To add a layout, write a module with ``read(page)`` that gives the page's records and problems, and nothing
for pages of another layout, and name it in ``LAYOUTS``.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.errors import PageError
from rag.papers import Record
from rag.readers import abstract_lines, author_page, title_list
from rag.readers.entry import MAX_ABSTRACT
from rag.readers.left_out import Found, Problem
from rag.readers.opened import Opened
from rag.readers.page import Page

LAYOUTS = (author_page.read, abstract_lines.read, title_list.read)


def read(file: Opened) -> Iterator[Found]:
    """All records of one page, in the first layout that finds some."""
    try:
        page = Page.load(file.path, file.label)
    except PageError as error:
        yield Problem(str(error), file.label)
        return
    for layout in LAYOUTS:
        if found := layout(page):
            for one in found:
                yield _checked(file, page, one) if isinstance(one, Record) else one
            return
    yield Problem(
        f"{file.path} holds no abstracts: none of its {len(page.lines)} lines begins with 'Abstract:', "
        f"and none is a title followed by an abstract. Take it out of the folder, or name the pages one by one.",
        file.label,
    )


def _checked(file: Opened, page: Page, record: Record) -> Record | Problem:
    if len(record.abstract) <= MAX_ABSTRACT:
        return record
    return file.problem(
        f"{len(record.abstract):,} characters are no abstract (at most {MAX_ABSTRACT:,}): shorten the line, or take it "
        f"out.",
        line=page.number(record.source.start),
    )
