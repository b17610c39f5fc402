"""How long each stage of an answer took, and how long all of them may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rag.answers import Seconds
from rag.errors import TimedOut


class Clock:
    """Wall-clock seconds by stage, from when it was made."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str, less: float = 0.0) -> None:
        """Time since the last lap, less what belongs to another stage."""
        now = time.perf_counter()
        self._laps[stage] = now - self._last - less
        self._last = now

    def set(self, stage: str, seconds: float) -> None:
        self._laps[stage] = seconds

    def mark(self, name: str, moment: float, since: str) -> None:
        """Time from the question to a moment, less the stage ``since``, which only the first question pays for."""
        self._laps[name] = moment - self._begun - self._laps.get(since, 0.0)

    def seconds(self) -> Seconds:
        known = {name: round(value, 3) for name, value in self._laps.items() if name in Seconds.model_fields}
        return Seconds(**known, total=round(time.perf_counter() - self._begun, 3))


class Limit:
    """The time that an answer may take, from when this was made."""

    def __init__(self, seconds: float = math.inf):
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def or_once(self, stopped: Callable[[], bool]) -> Callable[[], bool]:
        """What is true once that is, or no time is left."""
        return lambda: stopped() or self._is_over

    @property
    def _is_over(self) -> bool:
        return time.monotonic() > self._end

    def check(self) -> None:
        """:raises TimedOut: if no time is left."""
        if self._is_over:
            raise TimedOut(
                f"The answer took longer than {self._seconds:g} seconds and was stopped: name a smaller model with "
                f"--model, or allow it more with RAG_GENERATION__MAX_SECONDS={2 * self._seconds:g}."
            )
