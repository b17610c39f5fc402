"""What happens while a question is answered, in the order that a page or a terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Working:
    """The assistant begins a stage: what it is doing, in words a user reads.

    From the first stage that needs the language model on, a server with many users may let the asker wait for it.
    """

    stage: str
    needs_model: bool = False


@dataclass(frozen=True)
class Waiting:
    """Others are before this question, on a server with many users."""

    before: int


@dataclass(frozen=True)
class Doing:
    """Work that reports how far it is, such as fetching a model: ``share`` in [0, 1], None where that is unknown."""

    task: str
    share: float | None


@dataclass(frozen=True)
class Notice:
    """Something the user should know though work goes on, such as falling back to extracted sentences."""

    text: str


@dataclass(frozen=True)
class Drafting:
    """The draft so far. Nothing in it is checked; show it as a draft or not at all."""

    text: str
