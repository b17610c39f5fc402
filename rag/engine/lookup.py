"""Guesses at what comes next, copied from the prompt: prompt-lookup decoding.

A grounded answer repeats its abstract for long stretches. The words that followed the last few before are guessed, and
the network checks a whole guess in little more time than one token takes (Saxena, Prompt Lookup Decoding, 2023,
https://github.com/apoorvumang/prompt-lookup-decoding). What is written stays what it would be without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

_LONGEST = 8


class Lookup:
    """The tokens so far, and where each stands."""

    def __init__(self, ids: Iterable[int]):
        self._ids: list[int] = []
        self._places: defaultdict[int, list[int]] = defaultdict(list)
        self.add(ids)

    def add(self, ids: Iterable[int]) -> None:
        """Go on with these tokens."""
        for id_ in ids:
            self._places[id_].append(len(self._ids))
            self._ids.append(id_)

    def guess(self, most: int) -> list[int]:
        """What followed the longest run of tokens that also ends the tokens so far; the last such run counts.

        The shorter the run, the less is guessed: what is guessed wrong costs time.
        """
        here = len(self._ids) - 1
        best, length = -1, 0
        for place in reversed(self._places[self._ids[here]][:-1]):
            same = self._same(place, here)
            if same > length:
                best, length = place, same
        return self._ids[best + 1 :][: min(most, length * length + 1)] if best >= 0 else []

    def _same(self, place: int, here: int) -> int:
        """How many tokens up to one place are those up to the other."""
        count = 0
        while count < _LONGEST and count <= place and self._ids[place - count] == self._ids[here - count]:
            count += 1
        return count
