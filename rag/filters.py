"""Which papers may answer: by id or title, by author, by date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import UsageError
from rag.papers import Paper

_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")


@dataclass(frozen=True)
class Filters:
    """Which papers may answer: by id (or the start of one), by author, by date of publication."""

    papers: tuple[str, ...] = ()
    author: str | None = None
    since: str | None = None
    until: str | None = None
    """The last date that passes: of 2023, all of it."""

    def __post_init__(self) -> None:
        for date in (self.since, self.until):
            if date is not None and not _DATE.fullmatch(date):
                raise UsageError(f"{date!r} is not a date: write 2023, 2023-05 or 2023-05-17.")
        if self.since and self.until and _is_before(self.until, self.since):
            raise UsageError(f"No paper can be since {self.since} and until {self.until}: swap the two dates.")

    def __bool__(self) -> bool:
        return bool(self.papers or self.author or self.since or self.until)

    def select(self, papers: Sequence[Paper]) -> tuple[list[Paper], int]:
        """The papers that pass, and how many undated ones ``since`` or ``until`` left out.

        :raises UsageError: if a paper is asked for that is not in the index.
        """
        chosen = list(papers)
        if self.papers:
            wanted = {find_paper(papers, key).paper_id for key in self.papers}
            chosen = [paper for paper in chosen if paper.paper_id in wanted]
        if self.author:
            chosen = [paper for paper in chosen if paper.has_author(self.author)]
        if not (self.since or self.until):
            return chosen, 0
        dated = [paper for paper in chosen if paper.date]
        return [paper for paper in dated if paper.date and self._spans(paper.date)], len(chosen) - len(dated)

    def _spans(self, date: str) -> bool:
        early = self.since and _is_before(date, self.since)
        late = self.until and _is_before(self.until, date)
        return not (early or late)


def _is_before(date: str, other: str) -> bool:
    # Compared at the coarser of the two: a paper of 2023 may be from May of it.
    return date[: len(other)] < other[: len(date)]


def without_a_date(undated: int) -> str | None:
    """What to say of the undated papers that a filter by date left out."""
    if not undated:
        return None
    return f"{'1 paper without a date was' if undated == 1 else f'{undated} papers without a date were'} left out."


def find_paper(papers: Sequence[Paper], key: str) -> Paper:
    """The paper with this id, start of an id (four digits or more), or title.

    :raises UsageError: if there is none, or more than one.
    """
    folded = key.strip().casefold()
    found = [
        paper
        for paper in papers
        if (len(folded) >= 4 and paper.paper_id.startswith(folded)) or paper.title.casefold() == folded
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} papers have an id that starts with {key!r}: type more of it.")
    raise UsageError(f"No indexed paper has the id or title {key!r}: `rag papers` lists them.")
