"""What a client and the resident server say to each other: JSON on an authenticated connection over loopback.

The client sends one :class:`Request`; the server sends the events of the answer, the last of which is the answer
itself or an error. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from rag import errors
from rag.answers import Answer
from rag.conversation import Turn
from rag.errors import RagError
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.filters import Filters

SHORT, SILENT, BEAT = 5, 30, 5
"""Seconds: in which the other side has to show that it knows the key; after which it is given up, if it says nothing;
and between two signs of life of a server that works."""
MOST_BYTES = 1 << 22
"""A request that is longer is none: all that a command line and eight earlier turns can hold is shorter."""


@dataclass(frozen=True)
class Alive:
    """The server works on; there is nothing to tell."""


Told = Working | Waiting | Doing | Notice | Drafting | Alive | Answer
_DATACLASSES: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (Working, Waiting, Doing, Notice, Drafting, Alive)
}


class Broken(Exception):
    """The other side has gone, doesn't know the key, or says what nobody can understand."""


@dataclass(frozen=True)
class Request:
    """A question, and all of the client's settings that may differ from the server's."""

    question: str
    model: str
    mode: str
    filters: Filters
    history: tuple[Turn, ...]

    def packed(self) -> bytes:
        return _packed(asdict(self))

    @classmethod
    def read(cls, data: bytes) -> Request:
        """:raises Broken: if it is none. :raises UsageError: for filters that can't be."""
        with _understood():
            given = json.loads(data)
            filters, history = given.pop("filters"), given.pop("history")
            papers = filters.pop("papers")
            turns = [Turn(**turn) for turn in history]
            texts = [*given.values(), *papers, *(text for turn in turns for text in asdict(turn).values())]
            limits = [limit for limit in filters.values() if limit is not None]
            if not all(isinstance(text, str) for text in (*texts, *limits)):
                raise TypeError("what is no text")
            return cls(**given, filters=Filters(tuple(papers), **filters), history=tuple(turns))


def packed(told: Told | RagError) -> bytes:
    """An event, the answer or an error as it travels."""
    if isinstance(told, RagError):
        return _packed({"error": type(told).__name__, "message": str(told)})
    fields = told.model_dump() if isinstance(told, Answer) else asdict(told)
    return _packed({"event": type(told).__name__, "fields": fields})


def read(data: bytes) -> Told:
    """What was packed. :raises RagError: the error that was. :raises Broken: if it is neither."""
    with _understood():
        given = json.loads(data)
        if "error" in given:
            kind = getattr(errors, given["error"])
            if not issubclass(kind, RagError):
                raise TypeError(given["error"])
            raise kind(given["message"])
        if given["event"] == Answer.__name__:
            return Answer.model_validate(given["fields"])
        event: Told = _DATACLASSES[given["event"]](**given["fields"])
        return event


@contextmanager
def authenticated(connected: socket.socket, key: str, *, server: bool) -> Iterator[Connection]:
    """A connection whose other side knows the key, for as long as it is needed.

    :raises Broken: if it doesn't show that in a short time.
    """
    steps = (deliver_challenge, answer_challenge) if server else (answer_challenge, deliver_challenge)
    with Connection(os.dup(connected.fileno())) as connection:
        try:
            _wait_at_most(connected, SHORT)
            for step in steps:
                step(connection, key.encode())
            _wait_at_most(connected, SILENT)
        except (OSError, EOFError, AuthenticationError, AssertionError) as error:
            raise Broken(f"not authenticated: {error}") from error
        yield connection


def _wait_at_most(connected: socket.socket, seconds: int) -> None:
    """Let reading fail after that time, in the kernel: a socket's own timeout doesn't follow it into a Connection."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _packed(value: Any) -> bytes:
    return json.dumps(value).encode()  # ASCII: a lone surrogate in a question travels as it is


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Broken(f"not understood: {error}") from error
