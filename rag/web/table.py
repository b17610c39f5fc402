"""The corpus as a table that can be searched and sorted, a page of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rag.papers import Paper, first_authors, fold
from rag.text import readable
from rag.web.html import button, counted, opening, safe

ROWS = 50
_COLUMNS: dict[str, Callable[[Paper], str]] = {
    "Title": lambda paper: fold(readable(paper.title)),
    "Authors": lambda paper: next((fold(name.split()[-1]) for name in _names(paper) if name.split()), ""),
    "Year": lambda paper: paper.date or "",
    "Category": lambda paper: fold(paper.category or ""),
    "Source": lambda paper: paper.sources[0].file if paper.sources else "",
}


@dataclass(frozen=True)
class View:
    """What a visitor looks at: the words searched for, the column sorted by, and the page of rows."""

    words: str = ""
    by: str = "Title"
    descending: bool = False
    page: int = 0

    def searched(self, words: str) -> View:
        return replace(self, words=words, page=0)

    def sorted_by(self, column: str) -> View:
        """Sorted by a column; the other way round if it was already. Another column's name changes nothing."""
        if column not in _COLUMNS:
            return self
        return replace(self, by=column, descending=column == self.by and not self.descending, page=0)

    def turned(self, page: int) -> View:
        return replace(self, page=max(0, page))


def selected(papers: Sequence[Paper], view: View) -> list[Paper]:
    """The papers that hold all words in title, authors, category, date or abstract, in the order of the view.

    What has no value in the column that is sorted by stands last, either way.
    """
    wanted = fold(view.words).split()
    found = [paper for paper in papers if all(word in _text(paper) for word in wanted)] if wanted else list(papers)
    value = _COLUMNS[view.by]
    known = sorted((paper for paper in found if value(paper)), key=value, reverse=view.descending)
    return known + [paper for paper in found if not value(paper)]


def drawn(papers: Sequence[Paper], view: View) -> str:
    """The table of the papers that the view selects."""
    found = selected(papers, view)
    pages = max(1, -(-len(found) // ROWS))
    page = min(view.page, pages - 1)
    count = (f"{len(found)} of " if view.words.strip() else "") + counted(len(papers))
    rows = "".join(map(_row, found[page * ROWS : (page + 1) * ROWS]))
    head = "".join(_head(column, view) for column in _COLUMNS)
    if not found:
        said = f"{count}: none holds all of these words." if view.words.strip() else count
        return f'<div class="pt-count" data-status="{said}">{said}</div>'
    said = count if pages == 1 else f"{count}, page {page + 1} of {pages}"
    return (
        f'<div class="pt-count" data-status="{said}">{count}</div>'
        f'<table class="pt-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{_pager(page, pages)}'
    )


def _head(column: str, view: View) -> str:
    order = ("descending" if view.descending else "ascending") if column == view.by else "none"
    arrow = {"none": "", "ascending": " ↑", "descending": " ↓"}[order]
    sort = button("sort", f'{column}<span aria-hidden="true">{arrow}</span>', by=column)
    return f'<th scope="col" aria-sort="{order}">{sort}</th>'


def _row(paper: Paper) -> str:
    names = first_authors(_names(paper), paper.authors_complete, most=2)
    source = paper.sources[0].file.rsplit("/", 1)[-1] if paper.sources else ""
    cells = [opening(paper), *(safe(cell) for cell in (names, (paper.date or "")[:4], paper.category or "", source))]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _names(paper: Paper) -> tuple[str, ...]:
    return paper.authors or paper.listed_on


def _pager(page: int, pages: int) -> str:
    if pages == 1:
        return ""
    before = button("turn", "Previous", classes="pt-tool", key="before", page=page - 1) if page else ""
    after = button("turn", "Next", classes="pt-tool", key="after", page=page + 1) if page + 1 < pages else ""
    return f'<nav class="pt-pager" aria-label="Pages">{before}<span>Page {page + 1} of {pages}</span>{after}</nav>'


def _text(paper: Paper) -> str:
    known = (paper.title, *paper.authors, *paper.listed_on, paper.category or "", paper.date or "", paper.abstract)
    return fold(readable(" ".join(known)))
