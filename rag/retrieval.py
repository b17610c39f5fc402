"""Question to ranked passages: dense and lexical rankings of the papers, fused, and the passages of the best ones.

Fusion is reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a paper scores the sum of
1 / (k + rank) over the rankings. A name that the question shares with few papers adds to that.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import bm25s
import Stemmer

from rag.answers import Passage, Why
from rag.embedding import Embedder
from rag.errors import UsageError
from rag.index import PaperIndex, StoredPassage
from rag.memory_index import MemoryIndex
from rag.papers import Paper
from rag.settings import Retrieval
from rag.text import words

_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_TOKEN_BREAK = re.compile(r"[^\s,;:?!()\"“”'’\[\]{}]+")
_STOP_WORDS = frozenset(
    """a about an and are as at be been by can could did do does for from had has have how i in into is it its me of on
    or our paper papers than that the their them then there these they this those to was we were what when where which
    who whom why will with work works would you your""".split()
)
# A name that more papers than this share is a common word of the field, not a name to go by.
_NAME_PAPERS = 3
_NAME_BONUS = 0.1
# Cosine at which a question is as likely off topic as not, and how sharply that turns; from the
# development questions, where off-topic ones reach 0.13 to 0.26 and others mostly 0.3 and more.
_COSINE_MIDDLE, _COSINE_SLOPE, _NAME_COSINE = 0.27, 30.0, 0.15


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


@dataclass(frozen=True)
class Found:
    """What retrieval found: passages grouped by paper, best paper first, and its confidence in [0, 1]."""

    passages: tuple[Passage, ...]
    papers: tuple[Paper, ...]
    confidence: float


class Retriever:
    """Searches one index. The lexical side is built in memory when it is first used."""

    def __init__(self, index: PaperIndex | MemoryIndex, embedder: Embedder | None, settings: Retrieval):
        self._index = index
        self._embedder = embedder
        self._settings = settings
        self._stem = Stemmer.Stemmer("english").stemWord

    def search(self, question: str, count: int, among: Sequence[Paper] | None = None) -> Found:
        """The best ``count`` papers for a question, each with its passages.

        :param among: the papers that filters let through; None for all.
        """
        papers = self._papers if among is None else list(among)
        if not papers:
            return Found((), (), 0.0)
        allowed = {paper.paper_id for paper in papers}
        cosines = self._cosines(question, None if among is None else list(allowed))
        dense = _ranks({paper_id: max(by_start.values()) for paper_id, by_start in cosines.items()})
        lexical = _ranks({p: s for p, s in self._lexical_scores(question).items() if p in allowed and s > 0})
        names = {p: shared for p, shared in self._shared_names(question).items() if p in allowed}
        k = self._settings.rrf_k
        scores = {
            paper_id: sum(1 / (k + ranks[paper_id]) for ranks in (dense, lexical) if paper_id in ranks)
            + _NAME_BONUS * bool(names.get(paper_id))
            for paper_id in dense.keys() | lexical.keys() | names.keys()
        }
        best = sorted(scores, key=lambda paper_id: (-scores[paper_id], paper_id))[:count]
        passages = [
            Passage(
                paper_id=paper_id,
                title=self._index.papers[paper_id].title,
                text=stored.text,
                start=stored.start,
                end=stored.end,
                score=round(scores[paper_id], 6),
                why=Why(
                    dense_rank=dense.get(paper_id),
                    lexical_rank=lexical.get(paper_id),
                    names=tuple(sorted(names.get(paper_id, ()))),
                ),
            )
            for paper_id in best
            for stored in self._ordered(paper_id, cosines.get(paper_id, {}))
        ]
        return Found(
            tuple(passages),
            tuple(self._index.papers[paper_id] for paper_id in best),
            confidence(self._evidence(question, best, cosines), bool(names)),
        )

    def _evidence(self, question: str, best: Sequence[str], cosines: dict[str, dict[int, float]]) -> float:
        """The best cosine; without an embedder, half of the share of the question's words that the best paper holds."""
        if cosines:
            return max(cosine for by_start in cosines.values() for cosine in by_start.values())
        asked = {word for word in words(question) if word not in _STOP_WORDS}
        place = {paper.paper_id: i for i, paper in enumerate(self._papers)}
        held = [len(asked & self._vocabularies[place[paper_id]]) for paper_id in best]
        return 0.5 * max(held, default=0) / max(len(asked), 1)

    @cached_property
    def _papers(self) -> list[Paper]:
        return list(self._index.papers.values())

    @cached_property
    def _passages(self) -> dict[str, list[StoredPassage]]:
        passages: dict[str, list[StoredPassage]] = {}
        for passage in self._index.passages:
            passages.setdefault(passage.paper_id, []).append(passage)
        return passages

    def _ordered(self, paper_id: str, cosines: dict[int, float]) -> list[StoredPassage]:
        """A paper's passages, nearest to the question first."""
        return sorted(self._passages[paper_id], key=lambda p: (-cosines.get(p.start, -1.0), p.start))

    def _cosines(self, question: str, among: list[str] | None) -> dict[str, dict[int, float]]:
        """Cosine of question and passage, by paper and the passage's start, for the nearest passages."""
        near: dict[str, dict[int, float]] = {}
        if self._embedder is None:
            return near
        for paper_id, start, cosine in self._index.nearest(
            self._embedder([question])[0], self._settings.candidates, among
        ):
            near.setdefault(paper_id, {})[start] = cosine
        return near

    @cached_property
    def _vocabularies(self) -> list[set[str]]:
        return [set(_spellings(f"{paper.title} {paper.abstract}")) for paper in self._papers]

    @cached_property
    def _frequencies(self) -> Counter[str]:
        return Counter(word for vocabulary in self._vocabularies for word in vocabulary)

    @cached_property
    def _bm25(self) -> bm25s.BM25:
        # The title counts twice: it names the paper's own system, where the abstract names its rivals too.
        texts = [f"{paper.title} {paper.title} {paper.abstract}" for paper in self._papers]
        bm25 = bm25s.BM25(k1=1.2, b=0.75)
        bm25.index([self._terms(text) or ["\0"] for text in texts], show_progress=False)
        return bm25

    def _lexical_scores(self, question: str) -> dict[str, float]:
        terms = [term for term in self._terms(question) if term in self._bm25.vocab_dict]
        if not terms:
            return {}
        scores = self._bm25.get_scores(terms)
        return {paper.paper_id: float(score) for paper, score in zip(self._papers, scores, strict=True)}

    def _terms(self, text: str) -> list[str]:
        return [self._stem(word) for word in _spellings(text) if word not in _STOP_WORDS]

    def _shared_names(self, question: str) -> dict[str, set[str]]:
        """Names in the question that at most three papers hold, by paper."""
        names = {name for name in question_names(question) if 0 < self._frequencies[name] <= _NAME_PAPERS}
        shared = {
            p.paper_id: names & vocabulary for p, vocabulary in zip(self._papers, self._vocabularies, strict=True)
        }
        return {paper_id: held for paper_id, held in shared.items() if held}


def question_names(question: str) -> set[str]:
    """Words of a question that are written like names: a capital or digit inside, or a capital past the first word."""
    names: set[str] = set()
    for i, token in enumerate(_TOKEN_BREAK.findall(question)):
        inside = any(c.isupper() or c.isdigit() for c in token[1:])
        if inside or (token[0].isupper() and i > 0) or token[0].isdigit():
            names.update(words(token))
    return names - _STOP_WORDS


def confidence(cosine: float, name_known: bool) -> float:
    """How sure it is, in [0, 1], that something indexed is about the question: logistic in the best cosine."""
    evidence = cosine + _NAME_COSINE * name_known
    return round(1 / (1 + math.exp(-_COSINE_SLOPE * (evidence - _COSINE_MIDDLE))), 4)


def _ranks(scores: dict[str, float]) -> dict[str, int]:
    """Rank from 1 by falling score; ties by id, so that the order repeats."""
    return {key: i for i, key in enumerate(sorted(scores, key=lambda key: (-scores[key], key)), start=1)}


def _spellings(text: str) -> list[str]:
    """The words of a text, and for compounds their parts and the joined form: "1.5-pints", "pints", "15pints"."""
    spelled: list[str] = []
    for word in words(text):
        spelled.append(word)
        parts = re.split(r"[-.+]", word)
        if len(parts) > 1:
            spelled += [part for part in parts if len(part) > 1]
            spelled.append("".join(parts))
    return spelled
