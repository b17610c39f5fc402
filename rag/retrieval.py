"""Question to ranked papers and their passages: the signals, fused, and how sure they are.

A sum of standardised scores does better than reciprocal ranks (Bruch, Gai and Ingber, An Analysis of Fusion
Functions for Hybrid Retrieval, TOIS 2023). Its weights were fitted to the development queries of the evaluation as a
conditional logit: the softmax of the fused scores estimates the probability that a paper is the one asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rag.answers import Passage, Why
from rag.embedding import Embedder
from rag.index import PaperIndex
from rag.memory_index import MemoryIndex
from rag.papers import Paper
from rag.settings import Retrieval
from rag.signals import Comparer, Scores, Signals, first


@dataclass(frozen=True)
class Found:
    """What retrieval found: passages grouped by paper, best paper first, and its confidence in [0, 1]."""

    passages: tuple[Passage, ...]
    papers: tuple[Paper, ...]
    confidence: float
    scores: tuple[float, ...] = ()
    """The fused score of each paper."""
    certainty: float = 0.0
    """Estimated probability that the first paper is the one asked for, in [0, 1]."""
    trouble: str = ""
    """Why papers were found by their words alone, if they were; a sentence or two."""

    def first(self, count: int) -> Found:
        """Only the best ``count`` papers."""
        kept = {paper.paper_id for paper in self.papers[:count]}
        passages = tuple(passage for passage in self.passages if passage.paper_id in kept)
        return replace(self, passages=passages, papers=self.papers[:count], scores=self.scores[:count])

    def only(self, paper_ids: Set[str]) -> Found:
        """Only these papers."""
        kept = [i for i, paper in enumerate(self.papers) if paper.paper_id in paper_ids]
        return replace(
            self,
            papers=tuple(self.papers[i] for i in kept),
            scores=tuple(self.scores[i] for i in kept),
            passages=tuple(passage for passage in self.passages if passage.paper_id in paper_ids),
        )

    def reordered(self, scores: Sequence[float]) -> Found:
        """The first ``len(scores)`` papers by these scores; the others stay behind them."""
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i)) + list(range(len(scores), len(self.papers)))
        behind = self.scores[len(scores) :]
        excess = max(0.0, max(behind, default=0.0) - min(scores, default=0.0))
        now = [*scores, *(score - excess for score in behind)]
        by_paper: dict[str, list[Passage]] = {}
        for passage in self.passages:
            by_paper.setdefault(passage.paper_id, []).append(passage)
        return replace(
            self,
            papers=tuple(self.papers[i] for i in order),
            scores=tuple(now[i] for i in order),
            passages=tuple(
                passage.model_copy(update={"score": round(now[i], 4)})
                for i in order
                for passage in by_paper[self.papers[i].paper_id]
            ),
        )


class Retriever:
    """Searches one index."""

    def __init__(self, index: PaperIndex | MemoryIndex, embedder: Embedder | None, settings: Retrieval):
        self._index = index
        self._comparer = Comparer(index, embedder, settings.candidates)

    def search(self, question: str, count: int, among: Sequence[Paper] | None = None, also: str | None = None) -> Found:
        """The best ``count`` papers for a question, each with its passages.

        :param among: the papers that filters let through; None for all.
        :param also: the same question in other words, which counts as much.
        """
        allowed = np.full(len(self._papers), among is None)
        if among is not None:
            chosen = {paper.paper_id for paper in among}
            allowed[:] = [paper.paper_id in chosen for paper in self._papers]
        if not allowed.any():
            return Found((), (), 0.0)
        signals = self._comparer.signals(question, allowed)
        fused = signals.fused()
        if also is not None:
            fused = (fused + self._comparer.signals(also, allowed).fused()) / 2
        scores = np.where(allowed, fused, -np.inf)
        if not signals.passages.any():  # without vectors there must be something else
            scores[~(signals.shared | (signals.names > 0) | (signals.record > 0))] = -np.inf
        best = [i for i in first(scores, count).tolist() if scores[i] > -np.inf]
        if not best:
            return Found((), (), 0.0)
        passages = tuple(passage for i in best for passage in self._passages_of(i, float(scores[i]), signals, allowed))
        return Found(
            passages,
            tuple(self._papers[i] for i in best),
            confidence(signals, allowed),
            tuple(float(scores[i]) for i in best),
            float(_softmax(scores)[best[0]]),
            f"{signals.trouble} Until then papers are found by their words alone." if signals.trouble else "",
        )

    def _passages_of(self, i: int, score: float, signals: Signals, allowed: NDArray[np.bool_]) -> Iterator[Passage]:
        """A paper's passages, nearest to the question first."""
        paper = self._papers[i]
        why = Why(
            dense_rank=_rank(signals.dense, i, allowed) if signals.passages.any() else None,
            token_rank=_rank(signals.tokens, i, allowed) if signals.passages.any() else None,
            lexical_rank=_rank(signals.lexical, i, allowed) if signals.shared[i] else None,
            names=tuple(match.name for match in signals.matches if paper.paper_id in match.papers),
            record=bool(signals.record[i]),
        )
        for place in sorted(self._places[paper.paper_id], key=lambda place: (-signals.passages[place], place)):
            stored = self._index.passages[place]
            yield Passage(
                paper_id=paper.paper_id,
                title=paper.title,
                text=stored.text,
                start=stored.start,
                end=stored.end,
                score=round(score, 4),
                why=why,
            )

    @cached_property
    def _papers(self) -> list[Paper]:
        return list(self._index.papers.values())

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where a paper's passages stand among all."""
        places: dict[str, list[int]] = {}
        for i, passage in enumerate(self._index.passages):
            places.setdefault(passage.paper_id, []).append(i)
        return places


def _rank(scores: Scores, i: int, allowed: NDArray[np.bool_]) -> int:
    return 1 + int((scores[allowed] > scores[i]).sum())


def _softmax(scores: Scores) -> Scores:
    powers = np.exp(scores - scores.max())
    shares: Scores = powers / powers.sum()
    return shares


def confidence(signals: Signals, allowed: NDArray[np.bool_]) -> float:
    """How sure it is, in [0, 1], that something indexed is about the question, were either as likely before."""
    # Logistic regression of answerable against off-topic development queries.
    names, authors = (min(1.0, float(known[allowed].max())) for known in (signals.names, signals.authors))
    evidence = 6.5 * signals.likeness + 3.6 * signals.nearest + 2.1 * names + 6.0 * authors - 4.95
    return round(1 / (1 + math.exp(-evidence)), 4)
