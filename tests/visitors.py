"""Many visitors of a page in a process of its own: what each is shown, how long that takes, and at what cost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from rag.settings import Settings

ROOT = Path(__file__).parent.parent
FAKED = "from tests.faked import main; main()"
REAL = "import faulthandler, signal; faulthandler.register(signal.SIGUSR1); from rag.cli import main; main()"
STAY = 3
"""Questions of one visitor, who then goes and comes as another."""
VANISH = 7
"""Of so many visitors one goes in the middle of an answer."""
_PATIENCE = 900
"""Seconds after which an answer is taken for lost."""
# What differs between two showings of one answer: keys of exchanges, their numbers, and the seconds that it took.
_OWN = re.compile(r"\b[0-9a-f]{12}\b|Question \d+|<span class=\"pt-made\">[^<]*</span>")


# The page ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chat:
    """A running ``rag chat``."""

    address: str
    process: psutil.Process
    said: Path
    """What it writes to standard error."""

    def asking(self) -> int:
        """How many threads work on questions right now."""
        before = self.said.stat().st_size

        def stacks() -> str:
            return self.said.read_bytes()[before:].decode(errors="replace")

        self.process.send_signal(signal.SIGUSR1)  # see tests/faked.py
        eventually(lambda: "Current thread" in stacks())  # the main one, which is shown last
        return len(re.findall(r'desk\.py", line \d+ in run\b', stacks()))

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)


@contextmanager
def chat(settings: Settings, folder: Path, code: str = FAKED, **environment: str) -> Iterator[Chat]:
    """``rag chat`` over an index, in a process of its own.

    :param folder: takes what it writes to standard error.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = folder / "chat.err"
    command = [sys.executable, "-c", code, "chat", "--no-browser", "--port", str(port)]
    environment = os.environ | {"RAG_DATA_DIR": str(settings.index_dir.parent)} | environment
    with said.open("wb") as errors, subprocess.Popen(command, cwd=ROOT, env=environment, stderr=errors) as started:
        address = f"http://127.0.0.1:{port}"

        def is_ready() -> bool:
            assert started.poll() is None, said.read_text()
            with suppress(httpx.HTTPError):
                return httpx.get(f"{address}/config", timeout=60).is_success
            return False

        try:
            eventually(is_ready)
            yield Chat(address, psutil.Process(started.pid), said)
        finally:
            started.kill()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    end = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


# One visitor -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wiring:
    """Which of a page's events asks a question, what is sent with it, and which one shows the conversation after."""

    asks: int
    box: int
    values: tuple[Any, ...]
    shows: int

    @classmethod
    async def of(cls, http: httpx.AsyncClient) -> Wiring:
        page = (await http.get("/config")).json()
        parts = {part["id"]: part for part in page["components"]}
        box = next(id_ for id_, part in parts.items() if part["props"].get("elem_id") == "pt-question")
        asks = next(event for event in page["dependencies"] if [box, "submit"] in event["targets"])
        shows = next(event for event in page["dependencies"] if event.get("trigger_after") == asks["id"])
        values = [None if parts[id_]["type"] == "state" else parts[id_]["props"].get("value") for id_ in asks["inputs"]]
        return cls(asks["id"], asks["inputs"].index(box), tuple(values), shows["id"])


class Visitor:
    """A tab of a browser, as the page's server knows it: by its session, and by a connection that ends with it."""

    def __init__(self, http: httpx.AsyncClient, wiring: Wiring):
        self._http = http
        self._wiring = wiring
        self._session = uuid4().hex

    async def __aenter__(self) -> Visitor:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beating.cancel()
        with suppress(asyncio.CancelledError):
            await self._beating

    async def _beat(self) -> None:
        async with self._http.stream("GET", f"/gradio_api/heartbeat/{self._session}", timeout=None) as beats:
            async for _ in beats.aiter_raw():
                pass

    async def events(self, question: str) -> AsyncIterator[dict[str, Any]]:
        """What the server sends while a question is answered."""
        data = list(self._wiring.values)
        data[self._wiring.box] = question
        asked = {"session_hash": self._session, "fn_index": self._wiring.asks, "data": data}
        (await self._http.post("/gradio_api/queue/join", json=asked)).raise_for_status()
        where = {"session_hash": self._session}
        async with self._http.stream("GET", "/gradio_api/queue/data", params=where, timeout=_PATIENCE) as told:
            async for line in told.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def ask(self, question: str) -> str:
        """The last exchange as HTML, once the question is answered, less what is never twice the same; unescaped."""
        ended = [event async for event in self.events(question) if event["msg"] == "process_completed"]
        assert [event["success"] for event in ended] == [True], ended
        shown = {"session_hash": self._session, "fn_index": self._wiring.shows, "data": [None, None]}
        made = (await self._http.post("/gradio_api/run/predict", json=shown)).raise_for_status().json()["data"][0]
        html = made["value"] if isinstance(made, dict) else made
        return unescape(_OWN.sub("", html[html.rindex('<article class="pt-exchange"') :].partition("</article>")[0]))

    async def vanish(self, question: str, after: int) -> None:
        """Ask, and go after so many steps of the answer."""
        steps = count()
        async with aclosing(self.events(question)) as events:
            async for event in events:
                if event["msg"] == "process_generating" and next(steps) == after:
                    return


def connected(address: str) -> httpx.AsyncClient:
    """What visitors come through."""
    return httpx.AsyncClient(base_url=address, limits=httpx.Limits(max_connections=None), timeout=_PATIENCE)


# Many ------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What came of many visitors."""

    alone: dict[str, str]
    """What each question is answered when nobody else is there."""
    waits: list[float] = field(default_factory=list)
    """Seconds from a question to its answer."""
    crossed: list[tuple[str, str]] = field(default_factory=list)
    """Questions that got another answer than alone, and which."""
    vanished: int = 0
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Resident bytes, so many seconds after the beginning."""

    def p95(self) -> float:
        """The wait that one answer in twenty takes longer than, in seconds."""
        return sorted(self.waits)[int(0.95 * len(self.waits))]

    def growth(self, warm: float) -> float:
        """By which share memory grew from ``warm`` seconds after the beginning to the end: medians over a tenth."""
        warmed = [bytes_ for seconds, bytes_ in self.memory if seconds >= warm]
        tenth = max(1, len(warmed) // 10)
        first, last = sorted(warmed[:tenth]), sorted(warmed[-tenth:])
        return last[len(last) // 2] / first[len(first) // 2] - 1


async def load(page: Chat, questions: Sequence[str], *, seconds: float, most: int, clients: int = 16) -> Load:
    """So many clients ask one question after the other, until the time is over or so many questions are asked."""
    async with connected(page.address) as http:
        wiring = await Wiring.of(http)
        made = Load({})
        for question in questions:
            async with Visitor(http, wiring) as visitor:
                made.alone[question] = await visitor.ask(question)
        begun, asked, came = time.monotonic(), count(), count(1)

        def is_over() -> bool:
            return time.monotonic() - begun > seconds

        async def client() -> None:
            while not is_over():
                async with Visitor(http, wiring) as visitor:
                    if next(came) % VANISH == 0:
                        await visitor.vanish(questions[next(asked) % len(questions)], 3 * (made.vanished % 5))
                        made.vanished += 1
                        continue
                    for _ in range(STAY):
                        number = next(asked)
                        if number >= most:
                            return
                        question, since = questions[number % len(questions)], time.monotonic()
                        shown = await asyncio.wait_for(visitor.ask(question), _PATIENCE)
                        made.waits.append(time.monotonic() - since)
                        if shown != made.alone[question]:
                            made.crossed.append((question, shown))
                        if is_over():
                            return

        async def watch() -> None:
            while True:
                made.memory.append((time.monotonic() - begun, page.memory()))
                await asyncio.sleep(0.5)

        watching = asyncio.create_task(watch())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(client())
        finally:
            watching.cancel()
        return made


async def burst(page: Chat, slow: str, question: str, *, clients: int, held: int) -> list[str]:
    """What each of many who ask at once is shown.

    They ask while a slow question is answered, whose asker vanishes once all are turned away whom a line that holds so
    many has no room for.
    """
    async with connected(page.address) as http:
        wiring = await Wiring.of(http)
        shown: list[str] = []
        turned_away = asyncio.Event()

        async def ask() -> None:
            async with Visitor(http, wiring) as visitor:
                shown.append(await asyncio.wait_for(visitor.ask(question), _PATIENCE))
                if len(shown) == clients - (held - 1):
                    turned_away.set()

        async with Visitor(http, wiring) as first, aclosing(first.events(slow)) as writing:
            async for event in writing:
                if "pt-draft" in json.dumps(event):
                    break
            asking = [asyncio.create_task(ask()) for _ in range(clients)]
            await asyncio.wait_for(turned_away.wait(), _PATIENCE)
        await asyncio.gather(*asking)
        return shown
