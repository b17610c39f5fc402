"""Assistants that are broken on purpose: each must move the metrics that it should, and no others.

The real assistant in extractive mode over the real index, so that hundreds of answers take seconds.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eval.data import Question, load_questions
from eval.gate import Baseline, compare
from eval.manifest import Manifest
from eval.records import AnswerRecord, Failure, Said, write_records
from eval.run import Plan, run, sample
from eval.score import score
from eval.scores import Scores
from eval.systems import Full
from rag.assistant import Assistant
from rag.papers import Paper
from rag.retrieval import Found, Retriever
from rag.settings import Settings

# A list question counts cited titles among what is said, so that citations would move key facts too.
ANSWERABLE = sample([q for q in load_questions() if q.kind not in {"unanswerable", "list"}], 40)
SURE = 0.5
UNANSWERABLE = [q for q in load_questions() if q.kind == "unanswerable"]


@pytest.fixture(scope="module")
def careful(indexed: Settings) -> Iterator[Assistant]:
    """One that refuses sooner, so that questions close to the corpus are among what it refuses without a model."""
    sooner = indexed.retrieval.model_copy(update={"min_confidence": SURE})
    assistant = Assistant(indexed.model_copy(update={"mode": "extractive", "retrieval": sooner}))
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def questions(careful: Assistant) -> list[Question]:
    """Some of each kind, and all that are refused without a language model."""
    refused = [q for q in UNANSWERABLE if careful.search(q.question).confidence < SURE]
    assert len(refused) >= 4
    return [*ANSWERABLE, *refused, *[q for q in UNANSWERABLE if q not in refused][:2]]


def asked(assistant: Assistant, questions: Sequence[Question]) -> list[AnswerRecord]:
    system = Full("assistant", assistant)
    return [system(question) for question in questions]


def scored(assistant: Assistant, answers: Sequence[AnswerRecord], folder: Path) -> Scores:
    """A run of retrieval and of these answers, as if they were the assistant's own."""
    run(assistant, replace(Plan.of("full", ["extractive"]), claims=(), systems=()), folder)
    write_records(folder / "assistant.jsonl", answers)
    Manifest.read(folder).model_copy(update={"systems": ("assistant",)}).write(folder)
    return score(folder)


@pytest.fixture(scope="module")
def answers(careful: Assistant, questions: list[Question]) -> list[AnswerRecord]:
    return asked(careful, questions)


@pytest.fixture(scope="module")
def intact(careful: Assistant, answers: list[AnswerRecord], tmp_path_factory: pytest.TempPathFactory) -> Scores:
    return scored(careful, answers, tmp_path_factory.mktemp("intact"))


def moved(broken: Scores, intact: Scores) -> set[str]:
    """The metrics that the gate calls lost."""
    assert broken.shares["failures"].keys() == intact.shares["failures"].keys()
    verdicts = compare(broken, Baseline(manifest=intact.manifest, scoring_sha256="", shares=intact.shares))
    return {verdict.metric for verdict in verdicts if verdict.lost}


def test_the_intact_assistant_loses_nothing_against_itself(intact: Scores) -> None:
    assert moved(intact, intact) == set()
    assert intact.systems["assistant"].metrics["faithful"]["all"].value == 1.0


def rewritten(record: AnswerRecord, change: Callable[[Said], Said]) -> AnswerRecord:
    return record.model_copy(update={"sentences": tuple(change(said) for said in record.sentences)})


def test_shuffled_citations_move_the_metrics_of_citation_alone(
    intact: Scores, careful: Assistant, answers: list[AnswerRecord], tmp_path: Path
) -> None:
    quotes = [said.quotes for record in answers for said in record.sentences]
    turned = iter(quotes[len(quotes) // 2 :] + quotes[: len(quotes) // 2])
    shuffled = [rewritten(r, lambda said: said.model_copy(update={"quotes": next(turned)})) for r in answers]
    lost = moved(scored(careful, shuffled, tmp_path), intact)
    assert lost == {"citation_recall", "citation_precision", "paper_recall", "paper_precision", "evidence_recall"}


def test_a_changed_number_moves_faithfulness_and_what_rests_on_the_words(
    intact: Scores, careful: Assistant, answers: list[AnswerRecord], tmp_path: Path
) -> None:
    def change(said: Said) -> Said:
        other = re.sub(r"\d+", lambda figure: str(int(figure[0]) * 3 + 7), said.text, count=1)
        return said.model_copy(update={"text": other})

    lost = moved(scored(careful, [rewritten(record, change) for record in answers], tmp_path), intact)
    assert {"faithful", "faithful_answers", "correct", "facts"} <= lost
    assert lost <= {"faithful", "faithful_answers", "correct", "facts", "citation_recall", "citation_precision"}


def test_refusals_turned_off_move_refusals_alone(
    intact: Scores, questions: list[Question], indexed: Settings, tmp_path: Path
) -> None:
    never = indexed.retrieval.model_copy(update={"min_confidence": 0.0})
    assistant = Assistant(indexed.model_copy(update={"mode": "extractive", "retrieval": never}))
    broken = scored(assistant, asked(assistant, questions), tmp_path)
    assistant.close()
    assert broken.systems["assistant"].metrics["right_refusals"]["all"].value == 0
    assert broken.systems["assistant"].metrics["false_refusals"]["all"].value == 0
    assert moved(broken, intact) == {"right_refusals", "false_answers"}


def test_retrieval_at_random_moves_retrieval_and_what_is_found_alone(
    intact: Scores, questions: list[Question], indexed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Retriever.search
    texts = [question.question for question in questions]

    def search(self: Retriever, question: str, count: int, among: Sequence[Paper] | None = None) -> Found:
        """As sure as ever, and of what another question asks for."""
        other = texts[(texts.index(question) + 11) % len(texts)] if question in texts else question[::-1]
        return replace(real(self, other, count, among), confidence=real(self, question, 1, among).confidence)

    monkeypatch.setattr(Retriever, "search", search)
    sooner = indexed.retrieval.model_copy(update={"min_confidence": SURE})
    assistant = Assistant(indexed.model_copy(update={"mode": "extractive", "retrieval": sooner}))
    broken = scored(assistant, asked(assistant, questions), tmp_path)
    assistant.close()
    found = set(broken.retrieval)
    assert moved(broken, intact) == found | {
        "correct",
        "facts",
        "paper_recall",
        "paper_precision",
        "evidence_recall",
    }


def test_an_assistant_that_always_fails_is_not_left_out(
    intact: Scores, questions: list[Question], careful: Assistant, tmp_path: Path
) -> None:
    failed = [AnswerRecord(id=q.id, error=Failure(code="timeout", message="")) for q in questions]
    broken = scored(careful, failed, tmp_path)
    assert broken.systems["assistant"].failures == len(questions)
    assert broken.systems["assistant"].metrics["correct"]["all"].value == 0
    assert {"failures", "correct", "facts", "right_refusals"} <= moved(broken, intact)
