"""What one question at a time doesn't show: many at once, memory, and a follow-up. Each scene gives rows of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rag.assistant import Assistant
from rag.catalogue import CATALOGUE
from rag.conversation import Turn
from rag.desk import Choice, Desk
from rag.models import ModelStore
from rag.settings import Settings

from .data import Question
from .peers import Command
from .timing import Timed, Watch

ROW, TOGETHER, AGAIN = "eight: in a row", "eight: at once", "eight: in a row again"
FIRST, NEXT = "follow-up: first question", "follow-up: the next one"
MEMORY = "memory: "
_FOLLOW_UP = "And what were its main results?"


def eight(assistant: Assistant, questions: Sequence[Question]) -> list[Timed]:
    """Questions through the page's desk: in a row, all at once, and in a row again.

    Twice in a row, before and after, so that neither what the first round left in a cache nor a change of the
    machine's mood is taken for a gain. Of those at once, seconds are counted from when all were asked.
    """
    desk = Desk(assistant)

    async def one(question: Question, system: str, begun: float) -> Timed:
        watch = Watch(begun)
        async for event in desk.ask(question.question, Choice()):
            watch.see(event)
        return watch.timed(question, system)

    async def in_a_row(system: str) -> list[Timed]:
        return [await one(question, system, time.perf_counter()) for question in questions]

    async def every() -> list[Timed]:
        rows = await in_a_row(ROW)
        begun = time.perf_counter()
        rows += await asyncio.gather(*(one(question, TOGETHER, begun) for question in questions))
        return rows + await in_a_row(AGAIN)

    return asyncio.run(every())


def memory(settings: Settings, command: Command, questions: Sequence[Question]) -> list[Timed]:
    """Peak resident memory of ``rag ask`` with each language model of the catalogue that has been fetched."""
    store, rows = ModelStore.of(settings), []
    for spec in CATALOGUE.values():
        if spec.kind != "generator":
            continue
        system = f"{MEMORY}{spec.name}"
        if store.ready(spec) is None:
            rows.append(Timed(id="", system=system, skipped=f"not fetched: type `rag models pull {spec.name}`"))
            continue
        for question in questions:
            took = command.ask(question.question, spec.name)
            rows.append(
                Timed(
                    id=question.id,
                    system=system,
                    kind=question.kind,
                    total=took.seconds,
                    peak_bytes=took.peak_bytes,
                )
            )
    return rows


def follow_up(assistant: Assistant, questions: Sequence[Question]) -> list[Timed]:
    """A question, and one that leans on it and is about the same paper."""
    rows = []
    for question in questions:
        history: list[Turn] = []
        for system, text in ((FIRST, question.question), (NEXT, _FOLLOW_UP)):
            watch = Watch()
            for event in assistant.ask(text, history=history):
                watch.see(event)
            rows.append(watch.timed(question, system))
            history.append(Turn.of(watch.answer))
    return rows
