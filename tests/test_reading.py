from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.llm import load_model
from rag.models import ModelStore
from rag.prompts import Prompt
from rag.reading import Belief, Reader, Text
from rag.settings import Generation
from tests.abstracts import PAPERS
from tests.says import Says

PROMPTS = (Prompt.load("answers"), Prompt.load("states"))
ZORB = Text.of(PAPERS[0])


def test_without_a_probe_the_odds_of_yes_are_believed() -> None:
    reader = Reader(Says(claims=0.8, answers=0.3), *PROMPTS)  # type: ignore[arg-type]
    (belief,) = reader.beliefs([("Zorb is free.", ZORB)])
    assert belief == Belief(pytest.approx(0.8), 0.0, pytest.approx(0.2))
    (outlook,) = reader.outlooks("Is Zorb free?", [ZORB])
    assert (outlook.answers, outlook.silent) == (pytest.approx(0.3), pytest.approx(0.7))
    assert reader.beliefs([]) == []


def test_two_papers_are_read_as_one_text() -> None:
    both = Text.of(*PAPERS)
    assert both.title == "Zorb: Sorting Marbles; A Kettle for Science"
    assert all(paper.abstract in both.body for paper in PAPERS)


def test_a_tiny_random_model_is_read_too(tiny_model: Path) -> None:
    weights = ModelStore(tiny_model.parent, offline=True).resolve(str(tiny_model))
    reader = Reader(load_model(weights, Generation(), offline=True), *PROMPTS)
    for belief in reader.beliefs([("Zorb is free.", ZORB), ("Zorb is costly, very.", ZORB)]):
        assert 0 <= belief.stated <= 1


@pytest.mark.llm
def test_the_real_model_tells_what_an_abstract_states_denies_and_leaves_out(generating: Assistant) -> None:
    reader = Reader(generating.model, *PROMPTS)
    claims = [
        "Zorb can sort 1,200 marbles per second.",
        "Blip sorts three times more marbles than Zorb.",
        "Zorb was written in Rust by a team in Oslo.",
    ]
    stated, denied, silent = reader.beliefs([(claim, ZORB) for claim in claims])
    assert stated.stated > 0.5
    assert denied.contradicted > 0.5
    assert silent.not_stated > 0.5
    outlooks = [
        reader.outlooks(question, [ZORB])[0]
        for question in ("How many marbles does Zorb sort in a second?", "In which language is Zorb written?")
    ]
    assert outlooks[0].answers > 0.5 > outlooks[1].answers
