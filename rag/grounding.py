"""Draft to answer: each sentence is matched to quotes, checked against them, and dropped if they don't support it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.embedding import Embedder, Vectors
from rag.facts import numbers, unbacked_names, unbacked_numbers
from rag.llm import LanguageModel
from rag.papers import Paper
from rag.prompts import Prompt
from rag.text import readable, sentence_spans, shortened, words

_MAX_QUOTES = 3
_MIN_WORDS = 3
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
# A sentence with a figure that its quotes don't hold, or a name that the quoted papers don't, is never shown.
_EXACT_CEILING = 0.1


@dataclass(frozen=True)
class Quote:
    """A sentence of an abstract: ``text == paper.abstract[start:end]``."""

    paper: Paper
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.paper.abstract[self.start : self.end]


@dataclass(frozen=True)
class Grounded:
    """A sentence of the draft with the quotes that back it best and how well they do, in [0, 1]."""

    text: str
    quotes: tuple[Quote, ...]
    support: float


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
        ranks = {paper_id: i for i, paper_id in enumerate(dict.fromkeys(q.paper.paper_id for q in self.quotes))}
        asks_figure = bool(_ASKS_FIGURE.search(question))
        scored = [
            (
                score - _RANK_COST * ranks[quote.paper.paper_id] + _KIND_GAIN * _is_asked_kind(quote.text, asks_figure),
                quote,
            )
            for score, quote in zip(self.similarity(question), self.quotes, strict=True)
        ]
        if not scored:
            return ()
        top, first = max(scored, key=lambda pair: pair[0])
        others = [(s, q) for s, q in scored if q.paper == first.paper and q != first and s >= _SECOND * top]
        second = [max(others, key=lambda pair: pair[0])[1]] if others else []
        return tuple(sorted([first, *second], key=lambda quote: quote.start))

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


def ground(draft: str, evidence: Evidence, model: LanguageModel, prompt: Prompt) -> list[Grounded]:
    """Match each sentence of a draft to quotes and score how well they support it.

    The score joins exact checks of figures and names to the model's own yes or no to whether the
    quotes state the sentence. Sentences come back in order, unsupported ones too.
    """
    # A bare word or number is no sentence, whatever backs it.
    texts = [text for start, end in sentence_spans(draft) if len((text := draft[start:end]).split()) >= _MIN_WORDS]
    backed = [(text, evidence.attribute(text)) for text in texts]
    return [
        Grounded(text, quotes, support)
        for (text, quotes), support in zip(backed, support_of(backed, model, prompt), strict=True)
    ]


def support_of(claims: Sequence[tuple[str, Sequence[Quote]]], model: LanguageModel, prompt: Prompt) -> list[float]:
    """How well quotes support a claim, in [0, 1], for each pair. No quotes, no support."""
    asked = [(claim, quotes) for claim, quotes in claims if quotes]
    believed = iter(
        model.yes(
            [
                prompt.fill(
                    title=_titles(quotes), quotes=" […] ".join(shortened(readable(q.text)) for q in quotes), claim=claim
                )
                for claim, quotes in asked
            ]
        )
    )
    return [_support(claim, quotes, next(believed)) if quotes else 0.0 for claim, quotes in claims]


def _support(claim: str, quotes: Sequence[Quote], yes: float) -> float:
    stated = "\n".join(quote.text for quote in quotes)
    # A quote often calls its system "we" or "it"; the figures must stand in the quotes themselves.
    papers = "\n".join(f"{quote.paper.title}\n{quote.paper.abstract}" for quote in quotes)
    if unbacked_numbers(claim, f"{_titles(quotes)}\n{stated}") or unbacked_names(claim, papers):
        return round(min(yes, _EXACT_CEILING), 4)
    return round(yes, 4)


def _titles(quotes: Sequence[Quote]) -> str:
    return "; ".join(dict.fromkeys(readable(quote.paper.title) for quote in quotes))
