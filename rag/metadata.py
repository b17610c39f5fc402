"""What a question asks of a paper's record: its authors, its date, its arXiv category."""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.names import is_name
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
_RANGE = re.compile(
    rf"(?:\b(?:from|between)\s+)?(?<![\w.\-])(?P<first>{_YEAR})\s*(?:to|and|until|-|–|—)\s*(?P<last>{_YEAR})(?![\w\-]|\.\d)",
    re.IGNORECASE,
)
# Only near such words is a year surely that of a paper.
_PUBLISHED = re.compile(
    r"\b(?:papers?|articles?|abstracts?|studies|study|works?|publi\w+|released?|dated|appeared|came out|wrote|written"
    r"|authors?|by)\b",
    re.IGNORECASE,
)
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
    "by": operator.le,
    "from": operator.eq,
    "in": operator.eq,
}
# A last name alone may be another word, and a year may be that of something else.
_LAST_NAME, _LAST_NAME_ALONE = 0.8, 0.3
_YEAR_ALONE = 0.25
_FEW_WORDS = 5


@dataclass(frozen=True)
class Wish:
    """One thing that a question asks of the record, and how sure it is that it asks that, in (0, 1]."""

    certainty: float
    places: NDArray[np.intp]
    """Where the papers whose record says so stand among all, ascending."""
    telling: bool = True
    """Whether it shows that the question is about papers here; a year doesn't."""


class Records:
    """The records of all papers, made to be asked."""

    def __init__(self, papers: Sequence[Paper], common: Collection[str]):
        """:param common: words of the papers' texts, which are no sign of a last name."""
        self._common = common
        self._by_date: defaultdict[str, list[int]] = defaultdict(list)
        self._by_category: defaultdict[str, list[int]] = defaultdict(list)
        self._by_author: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, paper in enumerate(papers):
            if paper.date:
                self._by_date[paper.date].append(place)
            if paper.category:
                self._by_category[paper.category].append(place)
            for spelled in {spelled for author in paper.authors + paper.listed_on for spelled in _spellings(author)}:
                self._by_author[spelled].append(place)
        self._longest = max(map(len, self._by_author), default=0)

    def wishes(self, question: str) -> list[Wish]:
        """What a question asks of the record, as far as any paper's record says so."""
        found = [*self._authors(question), *self._periods(question), *self._categories(question)]
        return [wish for wish in found if len(wish.places)]

    def _authors(self, question: str) -> Iterator[Wish]:
        written = _WORD.findall(question.replace("’", "'").replace("'s", " "))
        tokens = [fold(word) for word in written]
        read: set[int] = set()
        for length in range(self._longest, 0, -1):
            for start in range(len(tokens) - length + 1):
                place = range(start, start + length)
                theirs = self._by_author.get(tuple(tokens[start : start + length]))
                if not theirs or not read.isdisjoint(place):
                    continue
                led = start > 0 and tokens[start - 1] in {"by", "from"}
                plain = tokens[start + length - 1] in self._common
                capital = written[start][:1].isupper() and not plain
                if length > 1 and (len(tokens[start]) > 1 or led or capital):
                    certainty = 1.0
                elif led:
                    certainty = _LAST_NAME
                elif capital and length == 1:
                    certainty = _LAST_NAME_ALONE
                else:
                    continue
                yield Wish(certainty, np.array(theirs, np.intp))
                read |= set(place)

    def _periods(self, question: str) -> Iterator[Wish]:
        published = bool(_PUBLISHED.search(question))
        for match in _RANGE.finditer(question):
            fits = self._dated({date for date in self._by_date if match["first"] <= date[:4] <= match["last"]})
            yield Wish(1.0 if published else _YEAR_ALONE, fits, telling=False)
        for match in _WHEN.finditer(_RANGE.sub(" ", question)):
            before = match.string[: match.start("year")].split()
            bound = (match["bound"] or "in").strip().casefold()
            # "WMT 2019" and "AIME 2024" are names of other things than a paper's date.
            if before and is_name(before[-1]) and not (match["month"] or match["bound"]):
                continue
            month = match["number"] or (match["month"] and f"{_month(match['month']):02}")
            when = f"{match['year']}-{month}" if month else match["year"]
            # Compared at the coarser of the two: a paper of 2023 may be from May of it.
            compared = _COMPARED[bound]
            fits = self._dated({date for date in self._by_date if compared(date[: len(when)], when[: len(date)])})
            sure = published or month or match["bound"] or len(_WORD.findall(question)) <= _FEW_WORDS
            yield Wish(1.0 if sure else _YEAR_ALONE, fits, telling=False)

    def _categories(self, question: str) -> Iterator[Wish]:
        named = [_CATEGORIES[match.group(1).casefold()] for match in _CATEGORY.finditer(question)]
        for code in [*_CODE.findall(question), *named]:
            yield Wish(1.0, np.array(self._by_category.get(code, ()), np.intp))

    def _dated(self, dates: Collection[str]) -> NDArray[np.intp]:
        """The places of papers with one of these dates, of which there are far fewer than papers."""
        return np.sort(np.array([place for date in dates for place in self._by_date[date]], np.intp))


def _spellings(author: str) -> set[tuple[str, ...]]:
    """How an author may be called: in full either way round, by initial and last name, by the last name alone."""
    name = tuple(_WORD.findall(fold(author)))
    return {name, name[::-1], (name[0][:1], name[-1]), name[-1:]} if len(name) > 1 else set()


def _month(written: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, start=1) if month.startswith(written.casefold()[:3]))
