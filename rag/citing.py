"""Checked sentences to numbered citations."""

from __future__ import annotations

from collections.abc import Sequence

from rag.answers import Citation, Sentence
from rag.evidence import Quote
from rag.grounding import Grounded


def cite(kept: Sequence[Grounded]) -> tuple[tuple[Citation, ...], tuple[Sentence, ...]]:
    """Number the quoted papers in order of first use, and each sentence with the papers that it rests on."""
    numbers: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    citations: list[Citation] = []
    sentences: list[Sentence] = []

    def place(quote: Quote) -> int:
        key = (quote.paper.paper_id, quote.start)
        if key not in places:
            n = numbers.setdefault(quote.paper.paper_id, len(numbers) + 1)
            places[key] = len(citations)
            citations.append(Citation.of(n, quote.paper, quote.start, quote.end))
        return places[key]

    for sentence in kept:
        quotes = tuple(place(quote) for quote in sentence.quotes)
        cited = tuple(sorted({citations[i].n for i in quotes}))
        sentences.append(
            Sentence(
                text=sentence.text,
                citations=cited,
                quotes=quotes,
                support=sentence.support,
                extracted=sentence.extracted,
            )
        )
    return tuple(citations), tuple(sentences)
