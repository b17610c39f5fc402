"""A second opinion on whether a text states a sentence, that owes nothing to the assistant's own check.

The assistant drops sentences by a score of its own; that score can't be the only judge of what is left. This
one has no language model and shares no code with ``rag/grounding.py`` or ``rag/facts.py``: it asks how much of
the sentence's words the text holds close together, and whether figures, negations and directions agree. It can't
tell a clever lie made of the text's own words; how far it can be trusted is measured on sentences labelled by
hand and on the labelled claims, and the report shows both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import Stemmer

_WORD = re.compile(r"[a-z0-9]+(?:[.+\-][a-z0-9]+)*")
_FIGURE = re.compile(r"(?<![a-z\d])(\d+(?:,\d{3})*(?:\.\d+)?)(?:[\s-]?(k|m|b|t|thousand|million|billion|trillion)\b)?")
_UNITS = {"": 1.0, "k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_UNITS |= {"t": 1e12, "trillion": 1e12}
_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=[A-Z0-9(])")
_MACRO = re.compile(r"\\[a-zA-Z]+\s*|[{}$\\~^_]")
_NEGATION = re.compile(r"\b(?:not|no|never|none|neither|nor|without|cannot|unable|\w+n['’]t)\b")
_RISE = re.compile(r"\b(?:more|higher|larger|greater|better|increas\w*|improv\w*|outperform\w*|exceed\w*|surpass\w*)\b")
_FALL = re.compile(r"\b(?:less|lower|smaller|fewer|worse|decreas\w*|reduc\w*|degrad\w*|drop\w*|underperform\w*)\b")
_COUNTS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_COMMON = frozenset(
    """a about an and are as at be been being but by can could did do does for from had has have how if in into is it
    its may most of on or our over such than that the their them then there these they this those to using via was we
    were what when where which while who will with would""".split()
)
_STEM = Stemmer.Stemmer("english").stemWord
_WINDOW = 2
# What a figure that isn't there, or a negation or a direction that is turned round, leaves of a score.
_FIGURE_LEFT, _TURNED_LEFT = 0.4, 0.7


@dataclass(frozen=True)
class Judge:
    """Scores (sentence, text) pairs in [0, 1]. ``rarity`` weighs stems, ``threshold`` makes the score a verdict."""

    rarity: dict[str, float]
    threshold: float

    @classmethod
    def of(cls, corpus: Sequence[str], threshold: float = 0.5) -> Judge:
        """A judge that knows from a corpus which words are rare (inverse document frequency)."""
        spread: dict[str, int] = {}
        for text in corpus:
            for stem in set(_stems(text)):
                spread[stem] = spread.get(stem, 0) + 1
        return cls({stem: math.log(1 + len(corpus) / count) for stem, count in spread.items()}, threshold)

    def supported(self, sentence: str, text: str) -> bool:
        """Whether the text states the sentence, as far as words can tell."""
        return bool(text) and self.score(sentence, text) >= self.threshold

    def score(self, sentence: str, text: str) -> float:
        """Share of the sentence's words that stand in the text, less for what is far apart, missing or turned round.

        Half counts the whole text, half the two neighbouring sentences of it that hold most.
        """
        said = _stems(sentence)
        parts = [part for part in _SENTENCE.split(text) if part.strip()]
        if not said or not parts:
            return 0.0
        windows = [" ".join(parts[i : i + _WINDOW]) for i in range(max(1, len(parts) - _WINDOW + 1))]
        shares = [self._share(said, set(_stems(window))) for window in windows]
        nearest = max(range(len(windows)), key=shares.__getitem__)
        score = (self._share(said, set(_stems(text))) + shares[nearest]) / 2
        if _figures(sentence) - _figures(windows[nearest]):
            score *= _FIGURE_LEFT
        if _turned(sentence, windows[nearest]):
            score *= _TURNED_LEFT
        return round(score, 4)

    def _share(self, said: Sequence[str], held: set[str]) -> float:
        unseen = max(self.rarity.values(), default=1.0)
        weights = {stem: self.rarity.get(stem, unseen) for stem in said}
        return sum(weight for stem, weight in weights.items() if stem in held) / sum(weights.values())


def _stems(text: str) -> list[str]:
    return [_STEM(part) for word in _WORD.findall(_plain(text)) if word not in _COMMON for part in word.split("-")]


def _plain(text: str) -> str:
    return _MACRO.sub(" ", text.replace("\\%", "%")).casefold()


def _figures(text: str) -> set[float]:
    """Figures with their unit multiplied in, and spelled counts; one and zero are often mere words."""
    plain = _plain(text)
    written = {float(digits.replace(",", "")) * _UNITS[unit] for digits, unit in _FIGURE.findall(plain)}
    spelled = {float(_COUNTS.index(word)) for word in re.findall(r"[a-z]+", plain) if word in _COUNTS}
    return (written | spelled) - {0.0, 1.0}


def _turned(sentence: str, window: str) -> bool:
    """Whether the sentence denies what the text doesn't deny, or rises where the text only falls."""
    said, held = _plain(sentence), _plain(window)
    if _NEGATION.search(said) and not _NEGATION.search(held):
        return True
    directions = [(bool(_RISE.search(text)), bool(_FALL.search(text))) for text in (said, held)]
    return any(directions[0]) and any(directions[1]) and not any(a and b for a, b in zip(*directions, strict=True))
