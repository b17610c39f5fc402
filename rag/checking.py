"""Whether quotes support a sentence, and whether a text states a claim: exact checks joined to what the model reads.

Exact checks can only lower what the model believes: a figure or a name that isn't there is never backed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answers import WhyChecked
from rag.entailment import Entailment
from rag.evidence import Quote
from rag.facts import unbacked_names, unbacked_numbers
from rag.reading import Belief, Reader, Text

# The most that a claim can be supported with a figure or a name that its text doesn't hold.
_CEILING = 0.1


@dataclass(frozen=True)
class Verdict:
    """How well a text supports a claim, in [0, 1], and how it stands to it."""

    support: float
    why: WhyChecked


class Checker:
    """Checks claims with the local model, or with a dedicated checker in its place."""

    def __init__(self, reader: Reader, dedicated: Entailment | None = None, least: float = 0.5):
        """:param least: from which support on a claim counts as stated, in [0, 1]."""
        self._reader = reader
        self._dedicated = dedicated
        self._least = least

    def supports(self, backed: Sequence[tuple[str, Sequence[Quote]]]) -> list[float]:
        """How well quotes support a sentence, in [0, 1], for each pair. No quotes, no support.

        The sentence is read beside the whole abstracts that are quoted, where "we" and "it" have a meaning; but its
        figures must stand in the quotes themselves.
        """
        asked = [(sentence, tuple(quotes)) for sentence, quotes in backed if quotes]
        texts = [Text.of(*dict.fromkeys(quote.paper for quote in quotes)) for _, quotes in asked]
        verdicts = iter(self.verdicts([(sentence, text) for (sentence, _), text in zip(asked, texts, strict=True)]))
        return [_within(sentence, quotes, next(verdicts).support) if quotes else 0.0 for sentence, quotes in backed]

    def verdicts(self, claims: Sequence[tuple[str, Text]]) -> list[Verdict]:
        """How each text stands to its claim."""
        read = self._dedicated.beliefs if self._dedicated else self._reader.beliefs
        return [self._joined(claim, text, belief) for (claim, text), belief in zip(claims, read(claims), strict=True)]

    def _joined(self, claim: str, text: Text, belief: Belief) -> Verdict:
        whole = f"{text.title}\n{text.body}"
        support = belief.stated
        if unbacked_numbers(claim, whole) or unbacked_names(claim, whole):
            support = min(support, _CEILING)
        support = round(support, 4)
        otherwise: WhyChecked = "contradicted" if belief.contradicted > belief.not_stated else "not_stated"
        return Verdict(support, "stated" if support >= self._least else otherwise)


def _within(sentence: str, quotes: Sequence[Quote], support: float) -> float:
    quoted = "\n".join(f"{quote.paper.title}\n{quote.text}" for quote in quotes)
    return min(support, _CEILING) if unbacked_numbers(sentence, quoted) else support
