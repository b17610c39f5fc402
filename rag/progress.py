"""How long work reports itself: the library calls back, only the command line and the page show it."""

from __future__ import annotations

from typing import Protocol

ANNOUNCEMENT = 0
"""The total of a task that isn't one: its text is to be read, and stays on the screen."""


class Progress(Protocol):
    """Called as work goes on: what is being done, how much of it is done, and of how much (None: unknown)."""

    def __call__(self, task: str, done: float = 0, total: float | None = None) -> None: ...


def silent(task: str, done: float = 0, total: float | None = None) -> None:
    """Progress that nobody watches."""
