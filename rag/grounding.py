"""Draft to answer: each sentence is matched to quotes and checked; what they don't support is not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.checking import Checker
from rag.evidence import Evidence, Quote
from rag.text import readable, sentence_spans

_MIN_WORDS = 3


@dataclass(frozen=True)
class Grounded:
    """A sentence with the quotes that back it best and how well they do, in [0, 1]."""

    text: str
    quotes: tuple[Quote, ...]
    support: float
    extracted: bool = False
    """Whether it is a sentence of the abstract itself."""

    @classmethod
    def extract(cls, quote: Quote) -> Grounded:
        """A sentence of an abstract as it stands there, which it supports wholly."""
        return cls(readable(quote.text), (quote,), 1.0, extracted=True)


def ground(draft: str, evidence: Evidence, checker: Checker) -> list[Grounded]:
    """Match each sentence of a draft to quotes and score how well they support it.

    Sentences come back in order, unsupported ones too.
    """
    # A bare word or number is no sentence, whatever backs it.
    texts = [text for start, end in sentence_spans(draft) if len((text := draft[start:end]).split()) >= _MIN_WORDS]
    backed: Sequence[tuple[str, tuple[Quote, ...]]] = [(text, evidence.attribute(text)) for text in texts]
    return [
        Grounded(text, quotes, support)
        for (text, quotes), support in zip(backed, checker.supports(backed), strict=True)
    ]
