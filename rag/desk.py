"""Many visitors, one model: each question is searched for at once and answered when its turn has come.

Work runs in threads of its own, so that one whose asker has gone ends at its next step, whatever the page's server
does with the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rag import log
from rag.assistant import NO_FILTERS, Assistant
from rag.conversation import Turn
from rag.errors import Busy, IndexMissing, RagError, StorageError, StoreUnavailable
from rag.events import Doing, Waiting, Working
from rag.filters import Filters
from rag.index import PaperIndex
from rag.progress import Progress
from rag.settings import Settings
from rag.store import store_of

T = TypeVar("T")

_log = logging.getLogger(__name__)
_MOST = 32
_LOOK = 0.1
"""Seconds between two looks at whether someone who waits has gone."""


@dataclass(frozen=True)
class Made(Generic[T]):
    """What came of a piece of work."""

    result: T


class Line:
    """Whose turn it is: first come, first served."""

    def __init__(self, most: int = _MOST):
        """:param most: how many may stand in it, the one whose turn it is included."""
        self._most = most
        self._waiting: list[object] = []
        self._moved = threading.Condition()

    def wait(self, who: object, gone: Callable[[], bool], told: Callable[[int], None]) -> bool:
        """Stand in the line until it is one's turn; false if one has gone before that.

        :param told: how many are before, whenever that changes. :raises Busy: if the line is full.
        """
        with self._moved:
            if len(self._waiting) >= self._most:
                raise Busy(f"{self._most} questions are waiting already: ask again in a minute.")
            self._waiting.append(who)
            before = 0
            while not gone() and (now := self._waiting.index(who)):
                if now != before:
                    told(now)
                before = now
                self._moved.wait(_LOOK)
            return not gone()

    def leave(self, who: object) -> None:
        """Give up one's place, if one has any."""
        with self._moved:
            if who in self._waiting:
                self._waiting.remove(who)
                self._moved.notify_all()


@dataclass(eq=False)
class Job:
    """One piece of work: what it tells whoever waits for it, and whether anybody still does."""

    tell: Callable[[Any], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def progress(self, task: str, done: float = 0, total: float | None = None) -> None:
        self.tell(Doing(task, min(1.0, done / total) if total else None))


@dataclass(frozen=True)
class Choice:
    """What a visitor has set. None leaves what the settings say."""

    filters: Filters = NO_FILTERS
    model: str | None = None
    mode: str | None = None
    papers: int | None = None

    def settings(self, settings: Settings) -> Settings:
        """The settings of a question."""
        update: dict[str, Any] = {name: value for name in ("model", "mode") if (value := getattr(self, name))}
        if self.papers:
            update["retrieval"] = settings.retrieval.model_copy(update={"papers": self.papers})
        return settings.model_copy(update=update)


class Desk:
    """Serves questions, checks and changes of the index, one at a time where they need the model."""

    def __init__(self, assistant: Assistant, line: Line | None = None):
        self._line = line or Line()
        self._assistant = assistant
        self._following = threading.Lock()
        self._seen = store_of(assistant.settings).stamp()

    @property
    def assistant(self) -> Assistant:
        """What it serves: the index as it is now, and the settings."""
        return self._assistant

    def ask(
        self, question: str, choice: Choice, history: Sequence[Turn] = (), stop: threading.Event | None = None
    ) -> AsyncIterator[Any]:
        """The events of :meth:`rag.assistant.Assistant.ask`, and between them :class:`Waiting` and :class:`Doing`.

        :param stop: once it is set, no more comes. :raises Busy: if too many are waiting.
        """

        def work(job: Job) -> None:
            self._follow(job.progress)
            asked = self._for(choice, job.progress)
            waited = False
            for event in asked.ask(question, choice.filters, job.stop.is_set, history=history):
                job.tell(event)
                if isinstance(event, Working) and event.needs_model and not waited:
                    waited = True
                    if not self._turn(job):
                        return
                    job.tell(event)  # what it waited for begins now
                if job.stop.is_set():
                    return

        return self._served(work, stop)

    async def with_model(self, work: Callable[[Assistant], T]) -> T:
        """What a piece of work with the model gives, when its turn has come. :raises Busy: if too many are waiting."""

        def waited(job: Job) -> None:
            if self._turn(job):
                job.tell(Made(work(self._for(Choice(), job.progress))))

        made = [event async for event in self._served(waited) if isinstance(event, Made)]
        result: T = made[-1].result
        return result

    def change(self, work: Callable[[Assistant], T]) -> AsyncIterator[Doing | Waiting | Made[T]]:
        """Change the index while nothing is answered; searches go on in the one before. Ends with what ``work`` gives.

        :raises Busy: if too many are waiting.
        """

        def changing(job: Job) -> None:
            if self._turn(job):
                fresh = self._assistant.reopening(job.progress)
                made = work(fresh)
                self._take(fresh)
                job.tell(Made(made))

        return self._served(changing)

    # Inside ------------------------------------------------------------------------------------

    def _for(self, choice: Choice, progress: Progress) -> Assistant:
        return self._assistant.with_settings(choice.settings(self._assistant.settings), progress)

    def _take(self, fresh: Assistant) -> None:
        seen = store_of(fresh.settings).stamp()
        fresh.told()  # opens it
        self._assistant, self._seen = fresh, seen

    def _follow(self, progress: Progress) -> None:
        """Take up what another process has made of the index. Until that is whole, the one before is searched."""
        with self._following:
            settings = self._assistant.settings
            try:
                now = store_of(settings).stamp()
                if now == self._seen:
                    return
                with contextlib.closing(PaperIndex.open(settings)) as index:
                    same = index.sha256 == self._assistant.index.sha256
                if not same:  # Chroma tidies up behind readers too
                    fresh = self._assistant.reopening(progress, PaperIndex.read(settings))
                    fresh.told()
                    self._assistant = fresh
            except (IndexMissing, StorageError, StoreUnavailable):
                return
            self._seen = now

    def _turn(self, job: Job) -> bool:
        with log.stage("wait"):
            return self._line.wait(job, job.stop.is_set, lambda before: job.tell(Waiting(before)))

    async def _served(self, work: Callable[[Job], None], stop: threading.Event | None = None) -> AsyncIterator[Any]:
        """What a piece of work tells, as it tells it. Who stops listening gives up the place in the line.

        :raises RagError: as the work does.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[Any] = asyncio.Queue()

        def tell(event: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(told.put_nowait, event)

        job = Job(tell, stop or threading.Event())

        def run() -> None:
            with log.request() as id_:
                try:
                    work(job)
                except RagError as error:
                    tell(_Ended(error))
                except Exception:
                    _log.exception("A piece of work failed.")
                    said = f"This failed in a way that PaperTrail doesn't know; its log says how, under {id_}."
                    tell(_Ended(RagError(f"{said} Try again.")))
                else:
                    tell(_Ended())
                finally:
                    self._line.leave(job)

        threading.Thread(target=run, name="desk", daemon=True).start()
        try:
            while not job.stop.is_set():
                try:
                    event = await asyncio.wait_for(told.get(), _LOOK)
                except TimeoutError:
                    continue
                if not isinstance(event, _Ended):
                    yield event
                elif event.error is not None:
                    raise event.error
                else:
                    return
        finally:
            job.stop.set()


@dataclass(frozen=True)
class _Ended:
    error: RagError | None = None
