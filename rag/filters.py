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

    def __post_init__(self) -> None:
        if self.since is not None and not _DATE.fullmatch(self.since):
            raise UsageError(f"{self.since!r} is not a date: write 2023, 2023-05 or 2023-05-17.")

    def __bool__(self) -> bool:
        return bool(self.papers or self.author or self.since)

    def select(self, papers: Sequence[Paper]) -> tuple[list[Paper], int]:
        """The papers that pass, and how many undated ones ``since`` left out.

        :raises UsageError: if a paper is asked for that is not in the index.
        """
        chosen = list(papers)
        if self.papers:
            wanted = {find_paper(papers, key).paper_id for key in self.papers}
            chosen = [paper for paper in chosen if paper.paper_id in wanted]
        if self.author:
            chosen = [paper for paper in chosen if paper.has_author(self.author)]
        if not self.since:
            return chosen, 0
        dated = [paper for paper in chosen if paper.date]
        # Compared at the coarser of the two: a paper of 2023 may be from May of it.
        recent = [p for p in dated if p.date and p.date[: len(self.since)] >= self.since[: len(p.date)]]
        return recent, len(chosen) - len(dated)


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
