"""The resident server: answers the questions of other processes at a desk, in the line where all others wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from rag import wire
from rag.answers import Answer
from rag.client import running
from rag.desk import Choice, Desk
from rag.errors import RagError, UsageError
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.resident import HOST, Place
from rag.settings import Settings
from rag.wire import Request

_log = logging.getLogger(__name__)
_SHOWN = (Working, Waiting, Doing, Notice, Drafting, Answer)


def refuse_a_second(settings: Settings) -> None:
    """:raises UsageError: if a server for the data folder is running."""
    place = running(settings)
    if place is not None:
        raise UsageError(
            f"A server for {settings.server_file.parent} is running (process {place.pid}): `rag ask` uses it already; "
            f"stop it to start another."
        )


@contextmanager
def open_door(desk: Desk) -> Iterator[None]:
    """Let other processes ask at a desk.

    :raises UsageError: if a server for the data folder is running already.
    :raises StorageError: if there is no writing down where this one is.
    """
    settings = desk.assistant.settings
    refuse_a_second(settings)
    with _Door(desk) as door:
        place = Place.new(door.server_address[1], settings)
        door.key = place.key
        place.write(settings.server_file)
        listening = threading.Thread(target=door.serve_forever, name="door", daemon=True)
        listening.start()
        try:
            yield
        finally:
            if Place.of(settings) == place:  # it may be another's by now
                settings.server_file.unlink(missing_ok=True)
            door.shutdown()


class _Door(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, desk: Desk):
        super().__init__((HOST, 0), _Visit)
        self.desk = desk
        self.key = ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("A visit failed.")


class _Visit(socketserver.BaseRequestHandler):
    """One connection, in a thread of its own; what is wrong with it ends no other."""

    server: _Door

    def handle(self) -> None:
        try:
            with wire.authenticated(self.request, self.server.key, server=True) as connection:
                asyncio.run(_answered(self.server.desk, connection))
        except (OSError, EOFError, wire.Broken) as error:
            _log.debug("A visit ended: %s", type(error).__name__)


async def _answered(desk: Desk, connection: Connection) -> None:
    try:
        request = Request.read(connection.recv_bytes(wire.MOST_BYTES))
        hung_up = threading.Event()
        asyncio.get_running_loop().add_reader(connection.fileno(), hung_up.set)  # the client has nothing more to say
        choice = Choice(request.filters, request.model, request.mode)
        beating = asyncio.create_task(_beating(connection))
        async for event in desk.ask(request.question, choice, request.history, hung_up):
            if isinstance(event, _SHOWN):
                connection.send_bytes(wire.packed(event))
        beating.cancel()
    except RagError as error:
        connection.send_bytes(wire.packed(error))


async def _beating(connection: Connection) -> None:
    """Shows a client who waits that there is something to wait for."""
    with contextlib.suppress(OSError):  # the client has gone, which ends the question too
        while True:
            await asyncio.sleep(wire.BEAT)
            connection.send_bytes(wire.packed(wire.Alive()))
