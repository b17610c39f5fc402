"""Who may change an index on a server: one at a time, whoever dies."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from chromadb.api import ClientAPI

from rag.errors import Busy
from rag.settings import Store
from rag.store import lock
from rag.store.connection import connection


@pytest.fixture
def client(chroma: str) -> Iterator[ClientAPI]:
    with connection(Store(url=chroma)) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_RENEWED", 0.05)
    monkeypatch.setattr(lock, "_STALE", 1.0)
    monkeypatch.setattr(lock, "_LOOK", 0.02)


def nothing() -> None: ...


def test_one_at_a_time(client: ClientAPI) -> None:
    """Each takes longer than a lock that isn't renewed lives."""
    inside, most, ended = [], [], []

    def work(name: str) -> None:
        with lock.held(client, "test.lock.one", name, nothing) as still:
            inside.append(name)
            most.append(len(inside))
            time.sleep(1.3)
            still()
            inside.remove(name)
        ended.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["a", "b", "c"]
    assert most == [1, 1, 1]
    assert not [one.name for one in client.list_collections() if one.name.startswith("test.lock.one")]


def asked_for_seconds(still: Callable[[], None]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        still()
        time.sleep(0.02)


def left_behind(client: ClientAPI, name: str) -> None:
    client.create_collection(name, embedding_function=None, metadata={"owner": "dead", "count": 3})


def test_one_whose_owner_died_is_taken_over_by_one_alone(client: ClientAPI) -> None:
    left_behind(client, "test.lock.two")
    told: list[str] = []
    order: list[str] = []

    def work(name: str) -> None:
        with lock.held(client, "test.lock.two", name, lambda: told.append(name)) as still:
            order.append(f"{name} in")
            time.sleep(0.3)
            still()
            order.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun > 1
    assert set(told) == {"a", "b"}
    assert [line[:1] for line in order] in (list("aabb"), list("bbaa"))


def test_its_owner_takes_it_back_at_once(client: ClientAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_STALE", 600.0)
    left_behind(client, "test.lock.three")
    with lock.held(client, "test.lock.three", "dead", nothing) as still:
        still()


def test_who_was_silent_for_too_long_is_told(client: ClientAPI) -> None:
    with ExitStack() as one:
        still = one.enter_context(lock.held(client, "test.lock.four", "one", nothing))
        still()
        client.delete_collection("test.lock.four")  # as who takes it over does
        left_behind(client, "test.lock.four")
        with pytest.raises(Busy, match="type it again"):
            asked_for_seconds(still)
    assert (client.get_collection("test.lock.four", embedding_function=None).metadata or {})["owner"] == "dead"
    client.delete_collection("test.lock.four")
