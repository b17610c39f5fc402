"""What a question asks of a paper's record: its authors, its date, its arXiv category."""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from rag.papers import Paper, fold

_WORD = re.compile(r"[^\W_]+")
_YEAR = r"(?:19|20)\d\d"
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" if len(month) > 3 else month for month in _MONTHS)
_WHEN = re.compile(
    rf"(?P<bound>\b(?:since|after|from|until|before|by)\s+)?(?:\b(?P<month>{_MONTH})\.?\s+(?:of\s+)?)?"
    rf"(?<![\w.\-])(?P<year>{_YEAR})(?:-(?P<number>0[1-9]|1[0-2]))?(?![\w\-]|\.\d)",
    re.IGNORECASE,
)
# "WMT 2019" and "AIME 2024" are names of other things than a paper's date.
_NAMED_AFTER_YEAR = re.compile(r"[A-Z][\w-]*[A-Z0-9][\w-]*\s+$")
_CODE = re.compile(r"(?<![\w-])(?:cs\.)?([A-Z]{2})(?![\w-])")
_CATEGORIES = {
    "artificial intelligence": "AI",
    "computation and language": "CL",
    "computer vision": "CV",
    "information retrieval": "IR",
    "machine learning": "LG",
    "software engineering": "SE",
}
_CATEGORY = re.compile(rf"({'|'.join(_CATEGORIES)})\s+(?:papers?|category|section)", re.IGNORECASE)
_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "since": operator.ge,
    "after": operator.gt,
    "before": operator.lt,
    "until": operator.le,
    **dict.fromkeys(("in", "from", "by"), operator.eq),
}
# A last name alone may be another word.
_LAST_NAME_ALONE = 0.6


@dataclass(frozen=True)
class Wish:
    """One thing that a question asks of the record, and how sure it is that it asks that, in (0, 1]."""

    certainty: float
    papers: frozenset[str]
    """The papers whose record says so."""


class Records:
    """The records of all papers, made to be asked."""

    def __init__(self, papers: Sequence[Paper], common: Collection[str]):
        """:param common: words of the papers' texts, which are no sign of a last name."""
        self._common = common
        self._dates = {paper.paper_id: paper.date for paper in papers if paper.date}
        self._by_category: defaultdict[str, set[str]] = defaultdict(set)
        self._by_author: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for paper in papers:
            if paper.category:
                self._by_category[paper.category].add(paper.paper_id)
            for author in paper.authors + paper.listed_on:
                name = tuple(_WORD.findall(fold(author)))
                for spelled in {name, name[::-1], (name[0][:1], name[-1]), name[-1:]} if len(name) > 1 else ():
                    self._by_author[spelled].add(paper.paper_id)
        self._longest = max(map(len, self._by_author), default=0)

    def wishes(self, question: str) -> list[Wish]:
        """What a question asks of the record, as far as any paper's record says so."""
        found = [*self._authors(question), *self._periods(question), *self._categories(question)]
        return [wish for wish in found if wish.papers]

    def _authors(self, question: str) -> Iterator[Wish]:
        tokens = _WORD.findall(fold(question.replace("'s", " ")))
        read: set[int] = set()
        for length in range(self._longest, 0, -1):
            for start in range(len(tokens) - length + 1):
                place = range(start, start + length)
                theirs = self._by_author.get(tuple(tokens[start : start + length]))
                if not theirs or not read.isdisjoint(place):
                    continue
                if length > 1:
                    yield Wish(1.0, frozenset(theirs))
                elif tokens[start] not in self._common or (start and tokens[start - 1] in {"by", "from"}):
                    yield Wish(_LAST_NAME_ALONE, frozenset(theirs))
                else:
                    continue
                read |= set(place)

    def _periods(self, question: str) -> Iterator[Wish]:
        for match in _WHEN.finditer(question):
            if _NAMED_AFTER_YEAR.search(question[: match.start("year")]) and not (match["month"] or match["bound"]):
                continue
            month = match["number"] or (match["month"] and f"{_month(match['month']):02}")
            when = f"{match['year']}-{month}" if month else match["year"]
            fits = _COMPARED[(match["bound"] or "in").strip().casefold()]
            # Compared at the coarser of the two: a paper of 2023 may be from May of it.
            yield Wish(
                1.0, frozenset(id_ for id_, date in self._dates.items() if fits(date[: len(when)], when[: len(date)]))
            )

    def _categories(self, question: str) -> Iterator[Wish]:
        named = [_CATEGORIES[match.group(1).casefold()] for match in _CATEGORY.finditer(question)]
        for code in [*_CODE.findall(question), *named]:
            yield Wish(1.0, frozenset(self._by_category.get(code, ())))


def _month(written: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, start=1) if month.startswith(written.casefold()[:3]))
