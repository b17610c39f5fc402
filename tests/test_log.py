"""The log: which lines a question leaves, that they hold together, and what is never in them."""

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rag import log
from rag.answers import Answer
from rag.assistant import Assistant
from rag.conversation import Turn
from rag.desk import Choice, Desk, Line
from rag.errors import RagError, UsageError
from rag.events import Working
from rag.settings import Log, Settings
from tests.command import Run
from tests.loops import run as in_a_loop
from tests.says import Says

PDS = "What does PDS do?"
RARE = "xylophone"
DRAFT = "PDS approximates optimal data selection by solving the PMP conditions."
# Writes as many lines as it is told, each numbered.
WRITER = """
import logging, sys
from pathlib import Path
from rag import log
from rag.settings import Log

file, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log.configure(Log(file=file, max_bytes=20_000), lambda text: sys.exit(text))
for i in range(count):
    logging.getLogger("rag").info("%s %d %s", name, i, "x" * 20)
"""


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Callable[..., Callable[[], list[dict[str, Any]]]]]:
    """Begins a log; what that gives reads its lines."""

    def begin(**settings: Any) -> Callable[[], list[dict[str, Any]]]:
        file = tmp_path / "logs" / "rag.log"
        log.configure(Log(file=file, **settings), pytest.fail)
        return lambda: lines(file)

    yield begin
    log.configure(Log(), pytest.fail)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def stages(found: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in found]


@pytest.fixture
def saying(indexed: Settings) -> Callable[..., Assistant]:
    def make(*drafts: str, words: bool = False, **beliefs: Any) -> Assistant:
        assistant = Assistant(indexed.model_copy(update={"mode": "auto", "log": Log(questions=words)}))
        assistant.__dict__["model"] = Says(*(drafts or (DRAFT,)), **beliefs)
        return assistant

    return make


# Which lines --------------------------------------------------------------------------------------------


def test_each_stage_leaves_a_line_under_one_id(logged: Any, saying: Any) -> None:
    read = logged()
    assistant = saying()
    turn = Turn.of(assistant.answer(PDS))
    first = read()
    assert stages(first) == ["retrieve", "load", "read", "write", "check", "answer"]
    assert len({line["request"] for line in first}) == 1
    assert all(line["seconds"] >= 0 and line["level"] == "info" and line["process"] == os.getpid() for line in first)
    assert first[-1] | {"seconds": 0, "time": "", "request": "", "process": 0} == {
        "time": "",
        "level": "info",
        "process": 0,
        "request": "",
        "event": "answer",
        "seconds": 0,
        "kind": "what",
        "mode": "generated",
        "refused": None,
        "sentences": 1,
    }
    assistant.answer("And how much does it speed up?", history=[turn])
    second = read()[len(first) :]
    assert stages(second)[:2] == ["complete", "retrieve"]
    assert {line["request"] for line in second}.isdisjoint({line["request"] for line in first})


def test_a_refusal_says_why_and_an_error_its_code(logged: Any, saying: Any) -> None:
    read = logged()
    saying().answer("What is the capital of France?")
    assert read()[-1]["refused"] == "off_topic"
    with pytest.raises(UsageError):
        saying().answer("  ")
    assert read()[-1] | {"event": "answer", "error": "usage"} == read()[-1]


def test_mending_is_seen_too(logged: Any, saying: Any) -> None:
    read = logged()
    saying("PDS weighs 3 kilograms.", claims=0.01).answer(PDS)
    found = [(line["event"], line.get("supported")) for line in read()]
    assert found.count(("check", 0)) == 2
    assert [line.get("again") for line in read() if line["event"] == "write"] == [False, True]


def test_searches_claims_and_ingests_are_logged(logged: Any, saying: Any, indexed: Settings) -> None:
    read = logged()
    assistant = saying()
    assistant.search(PDS)
    assistant.check("PDS selects data")
    assistant.ingest()
    assert [name for name in stages(read()) if name in ("search", "claim", "ingest")] == ["search", "claim", "ingest"]
    assistant.close()


def test_nothing_is_logged_below_the_level(logged: Any, saying: Any) -> None:
    read = logged(level="warning")
    saying().answer(PDS)
    assert read() == []


# Whose lines ---------------------------------------------------------------------------------------------


def test_eight_at_once_at_a_desk_keep_their_lines_apart(logged: Any, saying: Any) -> None:
    read = logged()
    names = ["PDS", "Glot500", "AdaLoRA", "LongVILA", "MegaScale", "LongAgent", "CAMERO", "SimANS"]
    desk = Desk(saying(words=True))

    async def ask(question: str) -> Answer:
        async for event in desk.ask(question, Choice()):
            if isinstance(event, Answer):
                return event
        raise AssertionError("no answer")

    async def every() -> list[Answer]:
        return await asyncio.gather(*(ask(f"What does {name} do?") for name in names))

    answers = in_a_loop(every())
    found = read()
    assert len({line["request"] for line in found}) == 8
    ended = {line["request"]: line for line in found if line["event"] == "answer"}
    assert {line["question"]: line["answer"] for line in ended.values()} == {a.question: a.answer for a in answers}
    for request in ended:
        count = Counter(line["event"] for line in found if line["request"] == request)
        assert count["wait"] == count["retrieve"] == count["load"] == count["answer"] == 1
        assert count["write"] == count["check"] >= 1
    ids = [line["request"] for line in found]
    assert sum(a != b for a, b in pairwise(ids)) > 7, "they were worked on one after the other"


def test_two_questions_that_take_turns_in_one_thread_keep_theirs(logged: Any, saying: Any) -> None:
    read = logged()
    one, two = saying().ask(PDS), saying().ask(PDS)
    for _ in zip(one, two, strict=True):
        with log.request() as outside:
            assert outside not in {line["request"] for line in read()}
    found = read()
    assert len({line["request"] for line in found}) == 2
    assert Counter(stages(found))["answer"] == 2


def test_who_goes_in_the_middle_is_logged_as_stopped(logged: Any, saying: Any) -> None:
    read = logged()
    events = saying().ask(PDS)
    assert next(events) == Working("Searching")
    events.close()
    assert read()[-1]["error"] == "stopped"


def test_a_full_desk_is_logged_as_busy(logged: Any, saying: Any) -> None:
    read = logged()

    async def asked() -> None:
        async for _ in Desk(saying(), Line(most=0)).ask(PDS, Choice()):
            pass

    with pytest.raises(RagError, match="waiting"):
        in_a_loop(asked())
    found = {line["event"]: line for line in read()}
    assert found["wait"]["error"] == "busy"
    assert found["answer"]["error"] == "stopped"


def test_a_batch_gives_each_line_its_own_id(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAG_LOG__FILE", str(tmp_path / "log"))
    (tmp_path / "in").write_text(f'{{"question": "{PDS}"}}\n{{"question": "What is GRIN?"}}\n')
    assert run("ask", "--input", str(tmp_path / "in")).status == 0
    assert len({line["request"] for line in lines(tmp_path / "log")}) == 2


# What is never in them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [False, True])
def test_what_is_asked_and_answered_is_there_only_when_asked_for(
    words: bool, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAG_LOG__FILE", str(tmp_path / "log"))
    monkeypatch.setenv("RAG_LOG__QUESTIONS", str(words).lower())
    corpus = tmp_path / f"{RARE}-pages"
    corpus.mkdir()
    (corpus / "page.txt").write_text(f"Quux is a {RARE} for laboratories. It has 25 bars, and each of them sings. " * 4)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    assert run("ingest", str(corpus)).status == 0
    assert RARE in run("ask", f"What is the {RARE} Quux?").out
    run("ask", "--paper", RARE, PDS)  # an error that repeats what was typed
    run("search", RARE)
    text = (tmp_path / "log").read_text()
    assert text.count("\n") >= 6
    assert (RARE in text) is words
    assert ("laboratories" in text) is words


@pytest.mark.parametrize("words", [False, True])
def test_what_the_page_hides_is_logged_under_the_id_that_it_shows(words: bool, logged: Any, saying: Any) -> None:
    read = logged(questions=words)
    assistant = saying(words=words)

    def breaks(*_: Any, **__: Any) -> Iterator[str]:
        raise ZeroDivisionError(f"{RARE} in /home/someone") from KeyError(RARE)

    assistant.__dict__["model"].stream = breaks

    async def asked() -> None:
        async for _ in Desk(assistant).ask(PDS, Choice()):
            pass

    with pytest.raises(RagError) as raised:
        in_a_loop(asked())
    (failed,) = [line for line in read() if "traceback" in line]
    assert f"under {failed['request']}" in str(raised.value)
    assert failed["level"] == "error"
    assert "ZeroDivisionError" in failed["traceback"]
    assert "KeyError" in failed["traceback"]
    assert "answering.py" in failed["traceback"]
    assert (RARE in failed["traceback"]) is words
    assert RARE not in str(raised.value)
    assert {"retrieve", "write", "answer"} <= {line["event"] for line in read() if line["request"] == failed["request"]}


def test_without_a_file_a_failure_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Log(), pytest.fail)
    with log.request() as id_:
        try:
            raise ValueError(RARE)
        except ValueError:
            logging.getLogger("rag.desk").exception("A piece of work failed.")
        logging.getLogger("rag.desk").info("Not worth a word.")
    (line,) = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["request"], RARE in line) == (id_, False)


def test_a_command_says_nothing_of_its_log(run: Run) -> None:
    assert run("ask", PDS).err.splitlines() == ["Searching…"]


# Where they go -------------------------------------------------------------------------------------------


def test_a_full_file_is_set_aside_and_three_of_those_are_kept(logged: Any, tmp_path: Path) -> None:
    logged(max_bytes=2000)
    for i in range(200):
        logging.getLogger("rag").info("%d", i)
    files = sorted((tmp_path / "logs").iterdir(), key=lambda file: file.name, reverse=True)
    assert [file.name for file in files] == ["rag.log.3", "rag.log.2", "rag.log.1", "rag.log"]
    assert all(file.stat().st_size <= 2000 for file in files)
    numbers = [int(line["event"]) for file in files for line in lines(file)]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 30


def test_processes_share_a_file_and_lose_no_line(tmp_path: Path) -> None:
    file = tmp_path / "rag.log"
    code = [sys.executable, "-c", WRITER, str(file)]
    writers = [subprocess.Popen([*code, name, "100"]) for name in "ab"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    files = list(tmp_path.iterdir())
    assert len(files) > 1
    found = [tuple(line["event"].split()[:2]) for one in files for line in lines(one)]
    assert sorted(found) == sorted((name, str(i)) for name in "ab" for i in range(100))


def test_a_file_that_was_taken_away_is_made_again(logged: Any, tmp_path: Path) -> None:
    read = logged()
    logging.getLogger("rag").info("before")
    (tmp_path / "logs" / "rag.log").rename(tmp_path / "logs" / "old")
    logging.getLogger("rag").info("after")
    assert stages(read()) == ["after"]


def test_a_log_is_for_its_owner_alone(logged: Any, tmp_path: Path) -> None:
    logged()
    logging.getLogger("rag").info("x")
    assert stat.S_IMODE((tmp_path / "logs" / "rag.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("place", ["/dev/full", "{folder}/a file/log", "{folder}"])
def test_a_log_that_cannot_be_written_costs_no_answer(
    place: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    without = run("ask", PDS)
    monkeypatch.setenv("RAG_LOG__FILE", place.format(folder=tmp_path))
    result = run("ask", PDS)
    assert (result.status, result.out) == (0, without.out)
    (said,) = [line for line in result.err.splitlines() if line not in without.err.splitlines()]
    assert said.startswith("The log ")
    assert "RAG_LOG__FILE" in said


def test_doctor_says_where_the_log_is(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no log is written" in run("doctor").out
    monkeypatch.setenv("RAG_LOG__FILE", str(tmp_path / "log"))
    assert f"log: {tmp_path / 'log'}\n" in run("doctor").out
    monkeypatch.setenv("RAG_LOG__QUESTIONS", "true")
    assert "with questions and answers" in run("doctor").out
