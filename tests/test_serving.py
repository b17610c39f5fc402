"""The resident server and those who ask it: real processes on loopback, and doors in this one for invented models."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag import errors, wire
from rag.answers import Answer
from rag.assistant import NO_FILTERS, Assistant
from rag.client import knocked, reached
from rag.conversation import Turn
from rag.desk import Desk, Line
from rag.errors import Busy, RagError
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.filters import Filters
from rag.resident import Place
from rag.server import open_door
from rag.settings import Settings, load_settings
from tests.command import Result, Run, is_one_error
from tests.says import Says
from tests.web.invented import an_answer

ROOT = Path(__file__).parent.parent
RAG = "from rag.cli import main; main()"
QUUX = "Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds."
ZORB = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip."
FILLING = (
    "All of this was measured in a laboratory that nobody had tidied up before, which is harder than it looks. " * 3
)
PDS = "What does PDS do?"
CAPITAL = "What is the capital of France?"
# Asked one thing, it says that it searches, and dies.
DYING = """
import os, threading
from rag.assistant import Assistant
from rag.desk import Desk, Line
from rag.events import Working
from rag.server import open_door
from rag.settings import load_settings

def ask(*given, **named):
    yield Working("Searching")
    threading.Event().wait(1)
    os._exit(9)

Assistant.ask = ask
assistant = Assistant(load_settings())
assistant.told()
with open_door(Desk(assistant)):
    threading.Event().wait()
"""

# The same, but that it freezes.
FREEZING = DYING.replace("os._exit(9)", "os.kill(os.getpid(), 19)")


@contextmanager
def process(settings: Settings, code: str = RAG, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, once it is ready."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"RAG_MODE": "extractive", "RAG_DATA_DIR": str(settings.server_file.parent)},
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them ignore interrupts, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def is_ready() -> bool:
        assert started.poll() is None, started.communicate()
        place = Place.of(settings)
        return place is not None and place.pid == started.pid

    try:
        eventually(is_ready)
        yield started
    finally:
        started.kill()
        started.communicate()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server(indexed: Settings) -> Iterator[subprocess.Popen[str]]:
    """``rag serve`` over the real index, extractive unless a question says otherwise."""
    with process(indexed, RAG, "serve") as started:
        yield started


@pytest.fixture
def invented(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data folder of its own, for papers that nobody wrote."""
    (tmp_path / "pages").mkdir()
    write(tmp_path / "pages", "kettle", QUUX)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RAG_CORPUS", str(tmp_path / "pages"))
    return load_settings()


def write(folder: Path, name: str, abstract: str) -> None:
    (folder / f"{name}.txt").write_text(f"{abstract} {FILLING}\n")


@contextmanager
def gone(file: Path) -> Iterator[None]:
    """No server that anybody could find."""
    aside = file.with_suffix(".aside")
    file.rename(aside)
    try:
        yield
    finally:
        aside.rename(file)


@pytest.fixture
def served(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, which must leave all work to the server."""

    def command(*arguments: str) -> Result:
        with monkeypatch.context() as patch:
            patch.setattr(Assistant, "__init__", None)
            return run(*arguments)

    return command


def lasting(result: Result) -> tuple[int, str, list[str]]:
    """What is the same however often and by whom a question is answered."""
    out = re.sub(r'("\w+": )[\d.]+(,?\n(?=(    "\w+": \S+\n)*  }\n}))', r"\1-\2", result.out)
    return result.status, out, [line for line in result.err.splitlines() if not line.startswith("Loading ")]


# The same answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [PDS],
        [CAPITAL],
        ["--author", "Zhendong Wang", "--since", "2023", "How is diffusion made faster?"],
        ["--paper", "nope", "What is GRIN?"],
        ["--model", "gpt-99", "--mode", "auto", "What is GRIN?"],
        ["x" * 5000],
        ["A lone \udcff surrogate?"],
    ],
)
def test_both_streams_and_the_status_are_the_same_with_and_without_a_server(
    arguments: list[str], server: object, served: Run, run: Run, indexed: Settings
) -> None:
    indexed.conversation_file.unlink(missing_ok=True)
    with_it = lasting(served("ask", *arguments)), remembered(indexed)
    indexed.conversation_file.unlink(missing_ok=True)
    with gone(indexed.server_file):
        assert (lasting(run("ask", *arguments)), remembered(indexed)) == with_it


def remembered(settings: Settings) -> str | None:
    return settings.conversation_file.read_text() if settings.conversation_file.is_file() else None


def test_json_is_the_same_but_for_the_time_it_took(server: object, served: Run, run: Run, indexed: Settings) -> None:
    with_it = json.loads(served("ask", "--json", PDS).out)
    with gone(indexed.server_file):
        without = json.loads(run("ask", "--json", PDS).out)
    assert with_it.pop("seconds")["total"] > 0
    del without["seconds"]
    assert with_it == without


def test_a_follow_up_is_understood_by_the_server(server: object, served: Run) -> None:
    served("ask", PDS)
    result = served("ask", "-c", "And how much does it speed up?")
    assert result.out.startswith("Understood as: ")
    assert "[1] Data Selection via Optimal Control for Language Models" in result.out


def test_model_and_mode_come_with_the_question(
    server: object, served: Run, run: Run, indexed: Settings, tiny_model: Path
) -> None:
    arguments = ("ask", "--mode", "generated", "--model", str(tiny_model), PDS)
    with_it = served(*arguments)
    assert "Writing…" in with_it.err or "Reading the nearest abstracts…" in with_it.err
    with gone(indexed.server_file):
        assert lasting(run(*arguments)) == lasting(with_it)


def test_eight_at_once_each_get_their_own_answer(server: object, indexed: Settings) -> None:
    names = ["PDS", "GRIN", "LoRA", "DPO", "SAMBA", "Florence-2", "BitNet", "RetNet"]
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", RAG, "ask", "--json", f"What does {name} do?"],
            env=os.environ | {"RAG_MODE": "extractive"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    answers = [json.loads(one.communicate(timeout=240)[0]) for one in asked]
    assert [answer["question"] for answer in answers] == [f"What does {name} do?" for name in names]
    assert len({answer["answer"] for answer in answers}) > 4


# Who may ask, and what ends ---------------------------------------------------------------------------


def test_a_second_server_says_that_one_is_running(server: subprocess.Popen[str], run: Run) -> None:
    result = run("serve")
    assert result.status == 2
    assert is_one_error(result)
    assert f"process {server.pid}" in result.err


def test_doctor_says_whether_a_server_is_running(
    server: subprocess.Popen[str], run: Run, monkeypatch: pytest.MonkeyPatch, indexed: Settings
) -> None:
    assert f"a server is running (process {server.pid}): `rag ask` is answered" in run("doctor").out
    with gone(indexed.server_file):
        assert "no server is running" in run("doctor").out
    monkeypatch.setenv("RAG_RETRIEVAL__PAPERS", "4")
    assert "`rag ask` doesn't use it" in run("doctor").out


def test_only_a_server_that_would_answer_the_same_is_asked(server: object, indexed: Settings) -> None:
    def used(**settings: Any) -> bool:
        with reached(load_settings(**settings)) as found:
            return found is not None

    assert used()
    assert used(mode="generated", model="qwen2.5-coder-0.5b-instruct")
    assert used(model=str(ROOT))
    assert used(log={"level": "info"})
    assert not used(model="rag")  # another folder elsewhere
    assert not used(retrieval={"papers": 4})
    assert not used(grounding={"checker": "some/checker"})
    assert not used(cache_dir=ROOT)
    assert not used(data_dir=ROOT / "nowhere")


def test_code_that_has_changed_since_is_not_answered_for(
    server: object, indexed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.__version__", "0.2.0")
    with reached(indexed) as found:
        assert found is None


def test_the_key_is_for_its_owner_alone(server: object, indexed: Settings) -> None:
    assert indexed.server_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [{"key": "00" * 32}, {"port": 1}, {"port": 70_000}, {"pid": 2**22 + 1}])
def test_a_stale_file_is_no_server(change: dict[str, Any], server: object, indexed: Settings) -> None:
    place = Place.of(indexed)
    assert place is not None
    try:
        replace(place, **change).write(indexed.server_file)
        with reached(indexed) as found:
            assert found is None
    finally:
        place.write(indexed.server_file)
    with reached(indexed) as found:
        assert found is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"port": 1}', '{"pid": "x"}', "\x00"])
def test_a_file_that_says_nothing_is_no_server(text: str, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    settings.server_file.write_text(text)
    assert Place.of(settings) is None


def test_a_silent_stranger_at_the_port_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SHORT", 1)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        begun = time.monotonic()
        with knocked(Place.new(stranger.getsockname()[1], load_settings(data_dir=tmp_path))) as found:
            assert found is None
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "said", [b"", b"nonsense", b"{}", b"[]", b'{"question": 5}', b"[" * 100_000, b" " * (wire.MOST_BYTES + 1)]
)
def test_a_request_that_is_none_ends_only_its_own_connection(
    said: bytes, server: object, served: Run, indexed: Settings
) -> None:
    place = Place.of(indexed)
    assert place is not None
    with (
        socket.create_connection(("127.0.0.1", place.port)) as connected,
        wire.authenticated(connected, place.key, server=False) as connection,
    ):
        with suppress(ConnectionError):  # cut off in the middle, if it is too long
            connection.send_bytes(said)
        with pytest.raises((EOFError, ConnectionError)):
            connection.recv_bytes()
    assert served("ask", CAPITAL).status == 3


@pytest.mark.parametrize(("code", "what"), [(DYING, "has gone"), (FREEZING, "has fallen silent")])
def test_a_server_that_ends_in_the_middle_is_answered_without(
    code: str, what: str, run: Run, invented: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SILENT", 3)
    run("ingest")
    with process(invented, code):
        result = run("ask", "What is Quux?")
    assert result.status == 0
    assert "Quux is a kettle" in result.out
    assert [line for line in result.err.splitlines() if not line.startswith("Loading ")] == [
        "Searching…",
        f"The server {what}; the question is answered without it.",
        "Searching…",
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_server_follows_one_that_was_killed_and_ends_cleanly(
    how: signal.Signals, run: Run, invented: Settings
) -> None:
    run("ingest")
    replace(Place.new(1, invented), pid=2**22 + 1).write(invented.server_file)
    with process(invented, RAG, "serve") as started:
        started.send_signal(how)
        _, said = started.communicate(timeout=60)
        assert (started.returncode, "Traceback" in said) == (0, False), said
    assert "Ready: " in said
    assert not invented.server_file.exists()


def test_the_chat_page_opens_the_same_door(run: Run, served: Run, invented: Settings) -> None:
    run("ingest")
    with process(invented, RAG, "chat", "--no-browser") as started:
        assert "Quux is a kettle" in served("ask", "What is Quux?").out
        started.send_signal(signal.SIGINT)
        started.wait(60)
    assert not invented.server_file.exists()


def test_what_another_process_does_to_the_index_is_seen(run: Run, served: Run, invented: Settings) -> None:
    pages = Path(os.environ["RAG_CORPUS"])
    run("ingest")
    with process(invented, RAG, "serve"):
        assert "marbles" not in served("ask", "How fast does Zorb sort marbles?").out
        write(pages, "marbles", ZORB)
        assert "1 added" in run("ingest").out
        assert "Zorb sorts 1,200 marbles a second" in served("ask", "How fast does Zorb sort marbles?").out
        write(pages, "marbles", ZORB.replace("1,200", "1,300"))
        run("ingest", "--rebuild")
        assert "Zorb sorts 1,300 marbles a second" in served("ask", "How fast does Zorb sort marbles?").out


# In this process, with an invented model -----------------------------------------------------------------


class Gated(Says):
    """Writes only while its gate is open."""

    def __init__(self) -> None:
        super().__init__("PDS approximates optimal data selection by solving the PMP conditions. " * 20)
        self.gate = threading.Event()
        self.writing = False
        self.pieces = 0

    def stream(self, *given: Any, **named: Any) -> Iterator[str]:
        self.writing = True
        try:
            for piece in super().stream(*given, **named):
                yield piece
                self.pieces += 1
                assert self.gate.wait(60)
                time.sleep(0.01)
        finally:
            self.writing = False


@pytest.fixture
def model() -> Iterator[Gated]:
    model = Gated()
    yield model
    model.gate.set()


@contextmanager
def door(extractive: Assistant, model: Gated, folder: Path, line: Line | None = None) -> Iterator[Settings]:
    """A door to a model, and the settings with which it is found."""
    settings = extractive.settings.model_copy(update={"mode": "auto", "data_dir": folder})
    assistant = Assistant(settings)
    assistant.__dict__ |= {"model": model, "index": extractive.index, "embedder": extractive.embedder}
    with open_door(Desk(assistant, line)):
        yield settings


@contextmanager
def asked(settings: Settings, question: str = PDS) -> Iterator[Iterator[Any]]:
    with reached(settings) as server:
        assert server is not None
        yield server.ask(settings, question, NO_FILTERS, ())


def until(events: Iterator[Any], kind: type) -> Any:
    return next(event for event in events if isinstance(event, kind))


def test_who_hangs_up_stops_the_writing(extractive: Assistant, model: Gated, tmp_path: Path) -> None:
    with door(extractive, model, tmp_path) as settings:
        with asked(settings) as events:
            assert until(events, Drafting).text.startswith("PDS")
        model.gate.set()
        eventually(lambda: not model.writing)
        assert model.pieces < 100  # of 203
        with asked(settings) as events:
            assert until(events, Answer).question == PDS


def test_a_server_that_takes_its_time_is_waited_for(
    extractive: Assistant, model: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SILENT", 2)
    monkeypatch.setattr(wire, "BEAT", 0.2)
    with door(extractive, model, tmp_path) as settings, asked(settings) as events:
        until(events, Drafting)
        threading.Timer(5, model.gate.set).start()
        assert until(events, Answer).question == PDS


def test_a_client_who_asks_nothing_is_not_waited_for(
    extractive: Assistant, model: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SILENT", 1)
    with door(extractive, model, tmp_path) as settings:
        place = Place.of(settings)
        assert place is not None
        with (
            socket.create_connection(("127.0.0.1", place.port)) as connected,
            wire.authenticated(connected, place.key, server=False) as connection,
        ):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 60, 0))
            with pytest.raises(EOFError):
                connection.recv_bytes()


def test_questions_are_answered_in_the_order_in_which_they_came(
    extractive: Assistant, model: Gated, tmp_path: Path
) -> None:
    with door(extractive, model, tmp_path) as settings, asked(settings) as first:
        until(first, Drafting)
        with asked(settings) as second:
            assert until(second, Waiting).before == 1
            with asked(settings) as third:
                assert until(third, Waiting).before == 2
                model.gate.set()
                assert [until(events, Answer).refused for events in (first, second, third)] == [False] * 3


def test_a_full_line_is_told_to_who_comes_too_late(extractive: Assistant, model: Gated, tmp_path: Path) -> None:
    with door(extractive, model, tmp_path, Line(most=1)) as settings, asked(settings) as first:
        until(first, Drafting)
        with asked(settings) as second, pytest.raises(Busy, match="ask again"):
            until(second, Answer)


# What travels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        Working("Searching"),
        Working("Writing", needs_model=True),
        Waiting(3),
        Doing("Loading", 0.5),
        Doing("Loading", None),
        Notice("“No”\n"),
        Drafting("half a \ud83d"),
        an_answer("A text <b>&</b> “quoted” \u2028 $x_1$"),
        an_answer("no", refused=True),
    ],
)
def test_an_event_arrives_as_it_was(told: Any) -> None:
    assert wire.read(wire.packed(told)) == told


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RagError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_raised_again_as_what_it_was(kind: type[RagError]) -> None:
    with pytest.raises(RagError, match="type this") as raised:
        wire.read(wire.packed(kind("Something: type this.")))
    assert type(raised.value) is kind


@pytest.mark.parametrize("data", [b"", b"\xff", b"1", b"[]", b'{"event": "Path", "fields": {}}', b'{"error": "sys"}'])
def test_what_is_no_event_is_not_understood(data: bytes) -> None:
    with pytest.raises(wire.Broken):
        wire.read(data)


def test_a_request_arrives_as_it_was() -> None:
    filters = Filters(("93aafa60",), "Zhendong Wang", "2023", "2024-05")
    request = wire.Request(PDS, "a model", "auto", filters, (Turn("q", "a", "t"), Turn("q", "a")))
    assert wire.Request.read(request.packed()) == request
