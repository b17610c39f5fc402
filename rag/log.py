"""The log: what becomes of each question, stage by stage, in lines of JSON that share its id.

What questions and answers say, and what a user's files are called, is in none of them unless it is asked for.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any, TypeVar

from rag.errors import RagError
from rag.settings import Log

T = TypeVar("T")

_log = logging.getLogger(__name__)
_NAME = "papertrail"
_KEPT = 3
"""So many full files are kept beside the one that is written."""
_request: ContextVar[str] = ContextVar("request", default="")


@contextmanager
def request() -> Iterator[str]:
    """What is logged within belongs together: under the id that it has already, or a new one. Gives the id."""
    before = _request.set(_request.get() or secrets.token_hex(4))
    try:
        yield _request.get()
    finally:
        _request.reset(before)


def of_one_request(events: Generator[T, None, None]) -> Iterator[T]:
    """The same events, whose steps are logged under one id, and nothing that is done between two of them."""
    context = copy_context()
    context.run(_request.set, _request.get() or secrets.token_hex(4))
    over = object()
    try:
        while (event := context.run(next, events, over)) is not over:
            yield event  # type: ignore[misc]
    finally:
        context.run(events.close)


@contextmanager
def stage(name: str, **noted: Any) -> Iterator[dict[str, Any]]:
    """Logs how long takes what is done within, and how it ends: the code of an error, not what it says.

    :param noted: is logged with it, and so is what is put into the dictionary that this gives.
    """
    begun = time.perf_counter()
    try:
        yield noted
    except GeneratorExit:
        noted["error"] = "stopped"
        raise
    except BaseException as error:
        noted["error"] = error.code if isinstance(error, RagError) else type(error).__name__
        raise
    finally:
        _log.info(name, extra={"noted": {"seconds": round(time.perf_counter() - begun, 3), **noted}})


def configure(settings: Log, tell: Callable[[str], None]) -> None:
    """From now on, log where and as much as the settings say.

    :param tell: is told once if the log can't be written; nothing else is the worse for it.
    """
    logger = logging.getLogger("rag")
    for handler in [handler for handler in logger.handlers if handler.name == _NAME]:
        logger.removeHandler(handler)
        handler.close()
    made = _File(settings.file.expanduser(), settings.max_bytes, tell) if settings.file else _StandardError()
    made.name = _NAME
    made.setFormatter(_Lines(settings.questions))
    logger.addHandler(made)
    logger.setLevel((settings.level or ("info" if settings.file else "warning")).upper())


class _Lines(logging.Formatter):
    """A line of JSON a record."""

    def __init__(self, words: bool):
        """:param words: whether what an error says is logged too, which may be a question or a path."""
        super().__init__()
        self._words = words

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
            "request": _request.get() or None,
            "event": record.getMessage(),
            **getattr(record, "noted", {}),
        }
        if record.exc_info and (error := record.exc_info[1]):
            told = traceback.format_exception(error) if self._words else _frames(error)
            line["traceback"] = "".join(told)
        return json.dumps(line, default=str)


def _frames(error: BaseException | None) -> Iterator[str]:
    """Where an error and those behind it come from, and of what type they are."""
    while error is not None:
        yield f"{type(error).__name__}\n"
        yield from traceback.format_tb(error.__traceback__)
        error = error.__cause__ or error.__context__


class _StandardError(logging.StreamHandler[Any]):
    """Whatever standard error is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class _File(RotatingFileHandler, WatchedFileHandler):
    """A file that is set aside when it is full, by whichever process comes to that first; the others follow."""

    def __init__(self, path: Path, most: int, tell: Callable[[str], None]):
        self.dev = self.ino = -1
        self._tell: Callable[[str], None] | None = tell
        RotatingFileHandler.__init__(self, path, maxBytes=most, backupCount=_KEPT, encoding="utf-8", delay=True)

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        # For its owner alone: it may hold questions.
        return open(self.baseFilename, "a", encoding="utf-8", opener=partial(os.open, mode=0o600))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
        except OSError:
            self.handleError(record)
        else:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say so, the first time: an answer is worth more than its log."""
        error = sys.exc_info()[1]
        stream, self.stream = self.stream, None
        with suppress(OSError):
            if stream:
                stream.close()
        if self._tell:
            why = getattr(error, "strerror", None) or type(error).__name__
            self._tell(f"The log {self.baseFilename} can't be written ({why}): make room, or set RAG_LOG__FILE anew.")
        self._tell = None
