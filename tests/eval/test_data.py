from collections import Counter
from pathlib import Path

import pytest

from eval.data import Claim, Question, claim_problems, load_claims, load_questions, question_problems
from rag.papers import Paper
from rag.readers import read_corpus

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def papers() -> dict[str, Paper]:
    return {paper.paper_id: paper for paper in read_corpus(ROOT / "seeds")}


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return load_questions()


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return load_claims()


def test_the_gold_set_is_sound(questions: list[Question], papers: dict[str, Paper]) -> None:
    assert list(question_problems(questions, papers)) == []


def test_the_claims_are_sound(claims: list[Claim], papers: dict[str, Paper]) -> None:
    assert list(claim_problems(claims, papers)) == []


def test_the_gold_set_is_large_and_mixed_enough(questions: list[Question]) -> None:
    kinds = Counter(question.kind for question in questions)
    assert len(questions) >= 120
    assert len(kinds) == 10
    assert min(kinds.values()) >= 8
    assert kinds["unanswerable"] >= 30
    assert min(Counter(question.split for question in questions).values()) >= 0.4 * len(questions)


def test_the_claims_are_many_and_half_of_them_true(claims: list[Claim]) -> None:
    assert len(claims) >= 200
    assert sum(claim.supported for claim in claims) == len(claims) / 2


def test_all_five_pages_are_asked_about(questions: list[Question], papers: dict[str, Paper]) -> None:
    asked = {source.file for q in questions for paper_id in q.papers for source in papers[paper_id].sources}
    assert len({Path(file).name for file in asked}) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"evidence": ({"paper_id": "nothing", "quote": "x"},)},
        {"facts": (("no such words anywhere",),)},
        {"kind": "unanswerable"},
        {"papers": ()},
    ],
)
def test_an_unsound_question_is_found(
    change: dict[str, object], questions: list[Question], papers: dict[str, Paper]
) -> None:
    broken = Question.model_validate(questions[0].model_dump() | change)
    assert len(list(question_problems([broken], papers))) >= 1


def test_an_unanswerable_question_says_what_was_searched(questions: list[Question], papers: dict[str, Paper]) -> None:
    unanswerable = next(question for question in questions if question.kind == "unanswerable")
    silent = unanswerable.model_copy(update={"searched": ""})
    assert len(list(question_problems([silent], papers))) == 1


def test_repeats_are_found(questions: list[Question], claims: list[Claim], papers: dict[str, Paper]) -> None:
    assert len(list(question_problems([questions[0]] * 2, papers))) == 2
    assert len(list(claim_problems([claims[0]] * 2, papers))) == 2


def test_a_wrong_label_and_an_altered_quote_are_found(claims: list[Claim], papers: dict[str, Paper]) -> None:
    flipped = claims[0].model_copy(update={"supported": not claims[0].supported})
    altered = claims[0].model_copy(update={"evidence": ("not there",)})
    assert len(list(claim_problems([flipped], papers))) == 1
    assert len(list(claim_problems([altered], papers))) == 1
