import json
import stat
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.conversation import Turn, complete, leans_on_history, remember, remembered
from rag.prompts import Prompt
from rag.settings import Settings
from tests.says import Says

BEFORE = Turn("What does Zorb do?", "Zorb sorts marbles [1].", "Zorb: Sorting Marbles")


@pytest.mark.parametrize(
    "question",
    [
        "And how big is it?",
        "why?",
        "What about the authors?",
        "How many parameters does the model have?",
        "Does it need a GPU?",
        "and on MATH?",
        "How do they compare?",
    ],
)
def test_questions_that_lean_on_what_was_asked(question: str) -> None:
    assert leans_on_history(question, names_a_paper=False)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does Zorb do and how does it work?", True),
        ("Which papers study mixture-of-experts routing in translation?", False),
        ("How can large language models be quantized without retraining data?", False),
    ],
)
def test_questions_that_stand_alone(question: str, names: bool) -> None:
    assert not leans_on_history(question, names)


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("How big is Zorb?", "How big is Zorb?"),
        ('"How big is Zorb?"\n', "How big is Zorb?"),
        ("Zorb sorts marbles.", "And how big is it? (Zorb: Sorting Marbles)"),  # an answer instead of a question
        ("And how big is it?", "And how big is it? (Zorb: Sorting Marbles)"),  # nothing was put in
        ("how big " * 300, "And how big is it? (Zorb: Sorting Marbles)"),
        ("", "And how big is it? (Zorb: Sorting Marbles)"),
    ],
)
def test_what_the_model_makes_of_a_follow_up_is_believed_only_while_it_asks_the_same(
    written: str, understood: str
) -> None:
    model = Says(written)
    assert complete("And how big is it?", [BEFORE], model, Prompt.load("complete")) == understood  # type: ignore[arg-type]
    assert BEFORE.question in model.asked[0]


def test_without_a_model_the_title_is_added() -> None:
    assert (
        complete("How big is it?", [BEFORE], None, Prompt.load("complete")) == "How big is it? (Zorb: Sorting Marbles)"
    )


def test_a_follow_up_finds_the_paper_of_the_question_before(extractive: Assistant) -> None:
    first = extractive.answer("What does PDS do?")
    second = extractive.answer("And how much does it speed things up?", history=[Turn.of(first)])
    assert second.citations[0].paper_id == first.citations[0].paper_id
    assert second.question == "And how much does it speed things up?"
    assert second.understood is not None
    assert first.citations[0].title in second.understood


def test_history_changes_nothing_about_a_question_that_stands_alone(extractive: Assistant) -> None:
    history = [Turn.of(extractive.answer("What does GRIN do?"))]
    alone, after = (extractive.answer("What does PDS do?", history=h) for h in ((), history))
    assert after.understood is None
    assert alone.model_dump(exclude={"seconds"}) == after.model_dump(exclude={"seconds"})


def test_a_conversation_is_kept_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "conversation.json"
    remember(path, [BEFORE] * 20)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(remembered(path)) == {BEFORE}
    assert len(remembered(path)) < 20


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '{"a": 1}', '[{"question": "x"}]'])
def test_a_file_that_holds_no_conversation_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text)
    assert remembered(tmp_path / "c.json") == ()
    assert remembered(tmp_path / "nothing.json") == ()


@pytest.mark.llm
def test_and_how_big_is_it(generating: Assistant, indexed: Settings) -> None:
    first = generating.answer("What does GRIN do?")
    second = generating.answer("And how big is it?", history=[Turn.of(first)])
    assert "GRIN" in (second.understood or "")
    assert not second.refused
    assert second.citations[0].paper_id == first.citations[0].paper_id
    assert json.loads(second.model_dump_json())["understood"] == second.understood
