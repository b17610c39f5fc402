"""An answer that takes too long is stopped and says so, whatever it was busy with."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rag.answers import Answer
from rag.assistant import Assistant
from rag.clock import Limit
from rag.errors import TimedOut
from rag.events import Drafting, Notice
from rag.settings import Settings
from tests.command import Run, is_one_error
from tests.says import Message, Says

PDS = "What does PDS do?"
LIST = "Which papers are about pre-training?"
PAPERS = 255


class Slow(Says):
    """Writes and reads as slowly as it is told, and counts."""

    def __init__(self, *drafts: str, piece: float = 0, abstract: float = 0, claim: float = 0, **beliefs: Any):
        """:param piece: seconds for a piece of a draft; ``abstract``, ``claim``, to read one."""
        super().__init__(*drafts, **beliefs)
        self.piece, self.abstract, self.claim = piece, abstract, claim
        self.pieces = self.abstracts = 0

    def stream(
        self, messages: Sequence[Message], stopped: Callable[[], bool] = lambda: False, **named: Any
    ) -> Iterator[str]:
        for piece in super().stream(messages, stopped, **named):
            if stopped():
                break
            time.sleep(self.piece)
            self.pieces += 1
            yield piece

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        for messages in conversations:
            is_claim = "\nClaim: " in messages[-1]["content"]
            time.sleep(self.claim if is_claim else self.abstract)
            self.abstracts += not is_claim
        return super().yes(conversations)


def asked(indexed: Settings, model: Slow, mode: str, question: str = PDS, seconds: float = 2) -> Iterator[Any]:
    generation = indexed.generation.model_copy(update={"max_seconds": seconds})
    assistant = Assistant(indexed.model_copy(update={"mode": mode, "generation": generation}))
    assistant.__dict__["model"] = model
    yield from assistant.ask(question)
    assistant.close()


def test_a_draft_that_takes_too_long_gives_way_to_extracted_sentences(indexed: Settings) -> None:
    model = Slow("PDS approximates optimal data selection by solving the PMP conditions. " * 40, piece=0.05)
    events = list(asked(indexed, model, "auto"))
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "took longer than 2 seconds" in notice
    assert "RAG_GENERATION__MAX_SECONDS=4" in notice
    assert any(isinstance(event, Drafting) for event in events)
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert (answer.mode, answer.refused, answer.draft) == ("extractive", False, "")
    assert answer.copied == 1.0
    assert answer.seconds.generate >= 2
    assert model.pieces < 60  # of over 400


def test_mode_generated_fails_in_one_sentence(indexed: Settings) -> None:
    with pytest.raises(TimedOut, match="took longer than 2 seconds"):
        list(asked(indexed, Slow("PDS selects data. " * 100, piece=0.05), "generated"))


def test_reading_many_abstracts_is_stopped_between_two(indexed: Settings) -> None:
    model = Slow(abstract=0.6)
    with pytest.raises(TimedOut):
        list(asked(indexed, model, "generated", LIST))
    assert 0 < model.abstracts < 6  # of twelve


def test_a_failed_check_is_not_mended_after_the_end(indexed: Settings) -> None:
    model = Slow("PDS weighs 3 kilograms.", claims=0.01, claim=2.5)
    with pytest.raises(TimedOut):
        list(asked(indexed, model, "generated"))
    assert len(model.asked) == 1  # nothing was written again


def test_what_is_in_time_is_as_if_there_were_no_limit(indexed: Settings) -> None:
    def answer(seconds: float) -> Answer:
        made = list(asked(indexed, Slow("PDS approximates optimal data selection."), "generated", seconds=seconds))[-1]
        assert isinstance(made, Answer)
        return made

    left_out = {"seconds", "settings_sha256"}
    assert answer(60).model_dump(exclude=left_out) == answer(3600).model_dump(exclude=left_out)


def test_waiting_for_a_turn_is_not_counted(indexed: Settings) -> None:
    events = asked(indexed, Slow("PDS approximates optimal data selection."), "generated", seconds=4)
    for event in events:
        if getattr(event, "needs_model", False):
            time.sleep(4.5)  # as a desk waits, before it asks for more
    assert isinstance(event, Answer)


def test_a_limit_ends_and_none_never_does() -> None:
    Limit().check()
    assert not Limit().or_once(lambda: False)()
    assert Limit(math.inf).or_once(lambda: True)()
    assert Limit(-1).or_once(lambda: False)()
    with pytest.raises(TimedOut):
        Limit(-1).check()


# The real engine, on the command line -----------------------------------------------------------------


def test_the_command_says_it_in_one_sentence_and_ends_with_1(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_GENERATION__MAX_SECONDS", "1e-6")
    result = run("ask", "--mode", "generated", "--model", str(tiny_model), PDS)
    assert result.status == 1
    assert is_one_error(result)
    assert "took longer than" in result.err


def test_a_batch_does_again_what_took_too_long(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text(json.dumps({"question": PDS}))
    command = ("ask", "--model", str(tiny_model), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"))

    def made(mode: str) -> Any:
        run(*command, "--mode", mode)
        return json.loads((tmp_path / "out").read_text())

    with monkeypatch.context() as patch:
        patch.setenv("RAG_GENERATION__MAX_SECONDS", "1e-6")
        assert made("generated")["error"]["code"] == "timed_out"
    assert made("generated")["mode"] == "generated"
