"""Who may change an index on a server: whoever made a collection by a certain name, of which there is only one.

It is renewed every few seconds. One that is not, because its owner was killed or lost the network, is taken over; it is
renamed for that by its id, so that of several who try only one succeeds. No two machines' clocks are compared.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from chromadb.errors import ChromaError, NotFoundError

from rag.errors import Busy

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

_RENEWED = 5.0
_STALE = 30.0
"""Seconds in which a lock wasn't renewed after which its owner is believed dead."""
_LOOK = 0.5


@contextmanager
def held(client: ClientAPI, name: str, owner: str, waiting: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """While nobody else holds the lock.

    :param owner: of whom there is only one at a time: what it left is taken over at once.
    :param waiting: is told that somebody else holds it.
    :returns: what raises :class:`Busy` if it was taken over, because nothing was heard of us.
    """
    lock = _taken(client, name, owner, waiting)
    stop, lost = threading.Event(), threading.Event()

    def renew() -> None:
        count = 0
        while not stop.wait(_RENEWED) and not lost.is_set():
            count += 1
            try:
                lock.modify(metadata={"owner": owner, "count": count})
            except NotFoundError:
                lost.set()
            except Exception:  # a server that is away for a moment; for longer, whoever writes is told
                continue

    def still() -> None:
        if lost.is_set():
            raise Busy("Another ingest has taken this one's place, because it was silent for too long: type it again.")

    renewing = threading.Thread(target=renew, name="lock", daemon=True)
    renewing.start()
    try:
        yield still
    finally:
        stop.set()
        renewing.join()
        with suppress(Exception):  # a server that is away; it becomes stale
            _drop(client, lock)


def _taken(client: ClientAPI, name: str, owner: str, waiting: Callable[[], None]) -> Collection:
    seen: tuple[object, object] | None = None
    since = time.monotonic()
    while True:
        try:
            return client.create_collection(name, embedding_function=None, metadata={"owner": owner, "count": 0})
        except ChromaError as error:
            if "already exists" not in str(error):
                raise
        try:
            lock = client.get_collection(name, embedding_function=None)
        except NotFoundError:
            continue  # it has just been given back
        held_by = lock.metadata or {}
        now = lock.id, held_by.get("count")
        if now != seen:
            seen, since = now, time.monotonic()
        if held_by.get("owner") == owner or time.monotonic() - since > _STALE:
            with suppress(NotFoundError):
                _drop(client, lock)
            continue
        waiting()
        time.sleep(_LOOK)


def _drop(client: ClientAPI, lock: Collection) -> None:
    """By its id, which a name can't do: another may bear the name by now."""
    gone = f"{lock.name}.{uuid.uuid4().hex}"
    lock.modify(name=gone)
    client.delete_collection(gone)
