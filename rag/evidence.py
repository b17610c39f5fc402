"""The sentences of abstracts as evidence: which of them back a sentence, and which answer a question by themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.embedding import Embedder, Vectors
from rag.facts import numbers
from rag.papers import Paper
from rag.text import readable, sentence_spans, words

_MAX_QUOTES = 3
# A further quote must bring this much more of the sentence's words; one from another paper, more still.
_GAIN, _GAIN_ELSEWHERE = 0.12, 0.3
# Extracted answers: what a paper's rank costs its sentences, and how near a second sentence must come to the first.
_RANK_COST, _SECOND = 0.08, 0.6
# What kind of sentence a question asks for is worth this much: one with a figure after "how many" and its like,
# otherwise one in which the authors say what their paper brings.
_KIND_GAIN = 0.2
_ASKS_FIGURE = re.compile(
    r"\bhow (?:many|much|long|big|large|fast|often|far|high)\b|\bwhat (?:percentage|share)\b", re.I
)
_BRINGS = re.compile(r"\b(?:we|paper|work)\b.{0,40}\b(?:propos|introduc|present|develop)", re.I)


@dataclass(frozen=True)
class Quote:
    """A sentence of an abstract: ``text == paper.abstract[start:end]``."""

    paper: Paper
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.paper.abstract[self.start : self.end]


class Evidence:
    """The sentences of the papers before the model, ready to be searched for quotes."""

    def __init__(self, papers: Sequence[Paper], embedder: Embedder | None):
        self.quotes = [Quote(paper, start, end) for paper in papers for start, end in sentence_spans(paper.abstract)]
        self._embedder = embedder
        self._words = [set(words(quote.text)) for quote in self.quotes]
        self._titles = {paper.paper_id: set(words(paper.title)) for paper in papers}
        self._vectors: Vectors | None = embedder([readable(quote.text) for quote in self.quotes]) if embedder else None
        self._spread = Counter(word for bag in self._words for word in bag)

    def similarity(self, text: str) -> list[float]:
        """How near each quote is to a text: the mean of the embeddings' cosine and of the share of words found.

        Without an embedder the words alone decide.
        """
        said = set(words(text))
        shares = [self._coverage(said, bag) for bag in self._words]
        if self._embedder is None or self._vectors is None:
            return shares
        cosines = self._vectors @ self._embedder([text])[0]
        return [0.5 * float(cosine) + 0.5 * share for cosine, share in zip(cosines, shares, strict=True)]

    def best(self, question: str) -> tuple[Quote, ...]:
        """The sentences that answer a question best by themselves: at most two of one paper, in its order.

        The papers' own order counts: each place further down costs a little.
        """
        scored = self._answering(question)
        if not scored:
            return ()
        top, first = max(scored, key=lambda pair: pair[0])
        others = [(s, q) for s, q in scored if q.paper == first.paper and q != first and s >= _SECOND * top]
        second = [max(others, key=lambda pair: pair[0])[1]] if others else []
        return tuple(sorted([first, *second], key=lambda quote: quote.start))

    def telling(self, question: str) -> Quote:
        """The one sentence that answers a question best by itself."""
        return max(self._answering(question), key=lambda pair: pair[0])[1]

    def _answering(self, question: str) -> list[tuple[float, Quote]]:
        ranks = {paper_id: i for i, paper_id in enumerate(dict.fromkeys(q.paper.paper_id for q in self.quotes))}
        asks_figure = bool(_ASKS_FIGURE.search(question))
        return [
            (
                score - _RANK_COST * ranks[quote.paper.paper_id] + _KIND_GAIN * _is_asked_kind(quote.text, asks_figure),
                quote,
            )
            for score, quote in zip(self.similarity(question), self.quotes, strict=True)
        ]

    def nearest(self, text: str) -> tuple[Quote, float]:
        """The sentence nearest to a text, and how near it is, in [0, 1]."""
        scores = self.similarity(text)
        best = int(np.argmax(scores))
        return self.quotes[best], scores[best]

    def attribute(self, sentence: str) -> tuple[Quote, ...]:
        """The quotes that back a sentence best, in their abstracts' order: the nearest, and those that add to it."""
        scores = self.similarity(sentence)
        if not scores:
            return ()
        said = set(words(sentence))
        first = int(np.argmax(scores))
        chosen = [first]
        held = self._words[first] | self._titles[self.quotes[first].paper.paper_id]
        while len(chosen) < _MAX_QUOTES:
            covered = self._coverage(said, held)
            papers = {self.quotes[i].paper.paper_id for i in chosen}
            gains = [
                self._coverage(said, held | bag)
                - covered
                - (_GAIN if self.quotes[i].paper.paper_id in papers else _GAIN_ELSEWHERE)
                for i, bag in enumerate(self._words)
            ]
            best = int(np.argmax(gains))
            if gains[best] <= 0:
                break
            chosen.append(best)
            held |= self._words[best] | self._titles[self.quotes[best].paper.paper_id]
        return tuple(self.quotes[i] for i in sorted(chosen))

    def _coverage(self, said: set[str], held: set[str]) -> float:
        """Share of a text's words that are held, rare words counting more."""
        weights = {word: math.log(1 + len(self.quotes) / (1 + self._spread[word])) for word in said}
        total = sum(weights.values())
        return sum(weight for word, weight in weights.items() if word in held) / total if total else 0.0


def _is_asked_kind(sentence: str, asks_figure: bool) -> bool:
    return bool(numbers(sentence)) if asks_figure else bool(_BRINGS.search(sentence))
