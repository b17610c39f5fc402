"""Asks the resident server of a data folder, if there is one that would answer as this process would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rag.resident import HOST, Place, fingerprint

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from rag.conversation import Turn
    from rag.filters import Filters
    from rag.settings import Settings
    from rag.wire import Told


class Gone(Exception):
    """The server ended or froze before its answer came; it says which, as what "the server" did."""


class Server:
    """A server that knows the key and waits for a question."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def ask(self, settings: Settings, question: str, filters: Filters, history: Sequence[Turn]) -> Iterator[Told]:
        """The events of :meth:`rag.assistant.Assistant.ask`, less what was found; closing them stops the question.

        :raises RagError: as that does. :raises Gone: if the server ends before, or nothing is heard of it for long.
        """
        from rag import wire
        from rag.answers import Answer

        request = wire.Request(question, settings.model, settings.mode, filters, tuple(history))
        try:
            self._connection.send_bytes(request.packed())
            while True:
                told = wire.read(self._connection.recv_bytes())
                if not isinstance(told, wire.Alive):
                    yield told
                if isinstance(told, Answer):
                    return
        except BlockingIOError as error:
            raise Gone("has fallen silent") from error
        except (OSError, EOFError, wire.Broken) as error:
            raise Gone("has gone") from error


@contextmanager
def reached(settings: Settings) -> Iterator[Server | None]:
    """The server of a data folder; None if none runs there, or one with other settings or other code."""
    place = Place.of(settings)
    if place is None or place.fingerprint != fingerprint(settings):
        yield None
        return
    with knocked(place) as server:
        yield server


@contextmanager
def knocked(place: Place) -> Iterator[Server | None]:
    """The server at a place; None if it doesn't show in a short time that it is the one that wrote it."""
    import socket

    from rag import wire

    server = None
    with ExitStack() as opened:
        try:
            connected = opened.enter_context(socket.create_connection((HOST, place.port), timeout=wire.SHORT))
            connected.setblocking(True)
            server = Server(opened.enter_context(wire.authenticated(connected, place.key, server=False)))
        except (OSError, OverflowError, wire.Broken):
            pass
        yield server


def running(settings: Settings) -> Place | None:
    """Where a server for a data folder is, whatever its settings; None if there is none that answers."""
    place = Place.of(settings)
    if place is None:
        return None
    with knocked(place) as server:
        return place if server else None
