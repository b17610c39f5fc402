"""What speaks for each paper: three ways of comparing it with a question, the names it holds, and its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rag.embedding import Embedder
from rag.errors import ModelUnavailable
from rag.index import PaperIndex
from rag.memory_index import MemoryIndex
from rag.metadata import Records, Wish
from rag.names import Match
from rag.text import STOP_WORDS, words
from rag.tokens import LateInteraction

Scores = NDArray[np.float64]

# Papers whose tokens tell what is usual: all of a small index, an even sample of a large one.
_USUAL = 256
# The best cosine of a passage as it follows from the best late interaction, for embedders whose cosines have another
# scale: slope and intercept of a regression over the development queries.
_NEAREST, _NEAREST_BASE = 0.55, 0.13


@dataclass(frozen=True)
class Weights:
    """How much each signal counts in the fused score."""

    dense: float = 0.45
    tokens: float = 1.15
    lexical: float = 0.33
    names: float = 3.0
    record: float = 16.0


WEIGHTS = Weights()


@dataclass(frozen=True)
class Signals:
    """The signals for every paper of an index, in its order; each of shape (papers,).

    ``dense``, ``tokens`` and ``lexical`` are standardised: how far a score is from the usual, in standard deviations.
    """

    dense: Scores
    """Best cosine of the question with a passage of the paper."""
    tokens: Scores
    """Late interaction of their tokens; minus infinity for papers that nothing else brings near."""
    lexical: Scores
    """BM25 over the letters of words."""
    names: Scores
    """How certainly the question holds names of the paper's own: 1 for each."""
    record: Scores
    """How much of what is asked of authors, date and category holds, in [0, 1]."""
    matches: tuple[Match, ...]
    """The names in the question."""
    authors: Scores
    """Certainty that the question names authors or a category of the paper: such a question is about what is here."""
    shared: NDArray[np.bool_]
    """Which papers share letters with the question at all."""
    passages: Scores
    """Cosines of the question with the index's passages, in their order."""
    likeness: float
    """The best late interaction, as it is before it is standardised, in [-1, 1]."""
    nearest: float = 0.0
    """The best cosine of a passage, as the embedder of the catalogue has it, or would."""
    trouble: str = ""
    """Why the embedder could not be asked, if it could not."""

    def fused(self, weights: Weights = WEIGHTS) -> Scores:
        """The weighted sum of the signals."""
        fused: Scores = (
            weights.dense * self.dense
            + weights.tokens * self.tokens
            + weights.lexical * self.lexical
            + weights.names * self.names
            + weights.record * self.record
        )
        return fused


class Comparer:
    """Compares questions with the papers of one index. What it needs in memory is read when it is first used."""

    def __init__(self, index: PaperIndex | MemoryIndex, embedder: Embedder | None, candidates: int):
        """:param candidates: how many papers, the best by the other signals, are compared token by token."""
        self._index = index
        self._embedder = embedder
        self._candidates = candidates

    def signals(self, question: str, allowed: NDArray[np.bool_]) -> Signals:
        """Compare. :param allowed: which papers may be found, shape (papers,); at least one."""
        matches = self._index.lexical.names.find(question)
        wishes = self._records.wishes(question)
        sought = max(1.0, sum(wish.certainty for wish in wishes))
        letters = self._index.lexical.scores(question)[self._lexical_order].astype(np.float64)
        nothing = np.zeros(len(self._ids))
        signals = Signals(
            dense=nothing,
            tokens=nothing,
            lexical=self._standard(letters),
            names=self._by_paper({id_: m.certainty * share for id_, share in m.papers.items()} for m in matches),
            record=self._wished(wishes) / sought,
            matches=tuple(matches),
            shared=letters > 0,
            authors=self._wished(wish for wish in wishes if wish.telling),
            passages=np.zeros(len(self._index.passages)),
            likeness=0.0,
        )
        if self._embedder is None or not isinstance(self._index, PaperIndex):
            return replace(signals, likeness=self._held(question, np.where(allowed, letters, -1.0)))
        try:
            (vector,), (asked,) = self._embedder.with_tokens([question])
        except ModelUnavailable as error:  # that of a server may be away
            return replace(signals, likeness=self._held(question, np.where(allowed, letters, -1.0)), trouble=str(error))
        passages = (self._index.vectors @ vector).astype(np.float64)
        best = np.full(len(self._ids), -1.0)
        np.maximum.at(best, self._owners, passages)
        seen = np.where(allowed[self._owners], passages, -1.0)
        signals = replace(signals, dense=self._standard(best), passages=seen)
        near = np.where(allowed, signals.fused(), -np.inf)
        chosen = np.union1d(first(near, self._candidates), self._usual)
        compared = np.full(len(self._ids), -np.inf)
        compared[chosen] = self._late.scores(asked, [self._ids[i] for i in chosen])
        likeness = float(compared[allowed].max())
        nearest = float(seen.max(initial=0.0)) if self._embedder.fitted else _NEAREST * likeness + _NEAREST_BASE
        return replace(signals, tokens=self._standard(compared, self._usual), likeness=likeness, nearest=nearest)

    def _held(self, question: str, letters: Scores) -> float:
        """What stands for likeness without an embedder: the share of the question's words in the best paper."""
        paper = self._index.papers[self._ids[int(letters.argmax())]]
        asked = {word for word in words(question) if word not in STOP_WORDS}
        return 0.8 * len(asked & set(words(f"{paper.title} {paper.abstract}"))) / max(len(asked), 1)

    def _by_paper(self, parts: Iterable[Mapping[str, float]]) -> Scores:
        total = np.zeros(len(self._ids))
        for part in parts:
            places = [self._places[paper_id] for paper_id in part]
            total[places] += np.fromiter(part.values(), np.float64, len(part))
        return total

    def _wished(self, wishes: Iterable[Wish]) -> Scores:
        total = np.zeros(len(self._ids))
        for wish in wishes:
            total[wish.places] += wish.certainty
        return total

    @staticmethod
    def _standard(scores: Scores, usual_ones: NDArray[np.intp] | slice = slice(None)) -> Scores:
        usual = scores[usual_ones]
        spread = float(usual.std())
        return (scores - usual.mean()) / spread if spread > 0 else np.zeros_like(scores)

    @cached_property
    def _ids(self) -> list[str]:
        return list(self._index.papers)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {paper_id: i for i, paper_id in enumerate(self._ids)}

    @cached_property
    def _owners(self) -> NDArray[np.intp]:
        return np.array([self._places[passage.paper_id] for passage in self._index.passages], dtype=np.intp)

    @cached_property
    def _lexical_order(self) -> NDArray[np.intp]:
        place = {paper_id: i for i, paper_id in enumerate(self._index.lexical.paper_ids)}
        return np.array([place[paper_id] for paper_id in self._ids], dtype=np.intp)

    @cached_property
    def _usual(self) -> NDArray[np.intp]:
        count = len(self._ids)
        return np.unique(np.linspace(0, count - 1, min(count, _USUAL)).astype(np.intp))

    @cached_property
    def _late(self) -> LateInteraction:
        assert isinstance(self._index, PaperIndex)
        return LateInteraction(self._index.tokens, [self._ids[i] for i in self._usual])

    @cached_property
    def _records(self) -> Records:
        return Records(list(self._index.papers.values()), self._index.lexical.names.common)


def first(scores: Scores, count: int) -> NDArray[np.intp]:
    """Where the best ``count`` scores stand, best first, of equal ones the earlier; without sorting all."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    near = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return near[np.argsort(-scores[near], kind="stable")][:count]
