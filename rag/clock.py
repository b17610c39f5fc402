"""How long each stage of an answer took."""

from __future__ import annotations

import time

from rag.answers import Seconds


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
