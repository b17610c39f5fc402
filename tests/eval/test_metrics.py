"""Small cases whose scores can be worked out by hand."""

from typing import Any

import pytest

from eval.data import Question
from eval.judge import Judge
from eval.metrics import answer_shares, facts_said, search_shares
from eval.records import AnswerRecord, Failure, Quoted, Said
from rag.papers import Paper

QUILL = "We introduce Quill, which prunes attention heads. It removes 40\\% of the heads. Nothing else changes."
OTHER = "We introduce Inkwell, a data set of 511 languages. It was collected by hand."
PAPERS = {
    "q": Paper(paper_id="q", title="Pruning With Quill", title_source="page", abstract=QUILL),
    "o": Paper(paper_id="o", title="Inkwell", title_source="page", abstract=OTHER),
}
JUDGE = Judge.of([QUILL, OTHER], 0.75)


def question(**changes: Any) -> Question:
    fields: dict[str, Any] = {
        "id": "x",
        "split": "dev",
        "kind": "fact",
        "question": "How many heads does Quill remove?",
        "papers": ("q",),
        "evidence": ({"paper_id": "q", "quote": "It removes 40\\% of the heads."},),
        "facts": (("40%", "forty percent"), ("heads",)),
        "searched": "",
        "note": "",
    }
    return Question.model_validate(fields | changes)


UNANSWERABLE = question(kind="unanswerable", papers=(), evidence=(), facts=(), searched="heads")


def record(*sentences: Said, **changes: Any) -> AnswerRecord:
    return AnswerRecord(id="x", sentences=sentences, papers=("q", "o"), **changes)


def said(text: str, *quotes: tuple[str, str]) -> Said:
    return Said(text=text, quotes=tuple(Quoted(paper_id=p, quote=q) for p, q in quotes), support=0.9)


def shares(answer: AnswerRecord, of: Question, cites: bool = True) -> dict[str, tuple[float, float]]:
    counted = answer_shares(answer, of, PAPERS, JUDGE, cites=cites)
    return {metric: share for metric, share in counted.items() if share[1]}


RIGHT = said("Quill removes 40% of the heads.", ("q", "It removes 40\\% of the heads."))


def test_a_right_answer_scores_on_everything() -> None:
    assert shares(record(RIGHT), question()) == {
        "failures": (0, 1),
        "timed_out": (0, 1),
        "correct": (1, 1),
        "facts": (2, 2),
        "false_refusals": (0, 1),
        "faithful": (1, 1),
        "faithful_own_words": (1, 1),
        "faithful_answers": (1, 1),
        "copied": (0, 1),
        "citation_recall": (1, 1),
        "citation_precision": (1, 1),
        "paper_precision": (1, 1),
        "paper_recall": (1, 1),
        "evidence_recall": (1, 1),
    }


def test_a_refusal_is_right_or_wrong_by_the_question() -> None:
    refusal = record(refused=True, refusal_reason="not_stated")
    assert shares(refusal, question())["false_refusals"] == (1, 1)
    assert shares(refusal, question())["correct"] == (0, 1)
    assert shares(refusal, question())["paper_recall"] == (0, 1)
    assert "faithful" not in shares(refusal, question())
    assert shares(refusal, UNANSWERABLE)["right_refusals"] == (1, 1)
    assert shares(record(RIGHT), UNANSWERABLE)["false_answers"] == (1, 1)


def test_a_failure_is_a_miss_and_never_left_out() -> None:
    failed = AnswerRecord(id="x", error=Failure(code="timeout", message="too slow"))
    assert shares(failed, question()) == {
        "failures": (1, 1),
        "timed_out": (0, 1),
        "correct": (0, 1),
        "facts": (0, 2),
        "false_refusals": (0, 1),
        "paper_recall": (0, 1),
        "evidence_recall": (0, 1),
    }
    assert shares(failed, UNANSWERABLE)["right_refusals"] == (0, 1)
    assert shares(failed, UNANSWERABLE)["false_answers"] == (0, 1)


def test_an_answer_cut_off_by_the_time_limit_is_a_miss_even_if_it_reads_like_a_refusal() -> None:
    cut = record(refused=True, refusal_reason="not_stated", timed_out=True)
    assert shares(cut, UNANSWERABLE)["right_refusals"] == (0, 1)
    assert shares(cut, UNANSWERABLE)["timed_out"] == (1, 1)
    assert shares(record(RIGHT, timed_out=True), question())["correct"] == (0, 1)


def test_a_figure_borrowed_from_the_neighbouring_paper_is_not_faithful() -> None:
    borrowed = said("Quill, which prunes attention heads, covers 511 languages.", ("q", QUILL), ("o", OTHER))
    assert shares(record(borrowed), question())["faithful"] == (0, 1)


def test_a_wrong_quote_costs_citation_recall_and_precision_but_not_faithfulness() -> None:
    scores = shares(record(said(RIGHT.text, ("o", "It was collected by hand."))), question())
    assert scores["faithful"] == (1, 1)
    assert scores["citation_recall"] == scores["citation_precision"] == (0, 1)
    assert scores["paper_precision"] == scores["paper_recall"] == scores["evidence_recall"] == (0, 1)


def test_a_quote_that_adds_nothing_costs_precision_alone() -> None:
    padded = said(RIGHT.text, ("q", "It removes 40\\% of the heads."), ("o", "It was collected by hand."))
    scores = shares(record(padded), question())
    assert scores["citation_recall"] == (1, 1)
    assert scores["citation_precision"] == (1, 2)


def test_a_copied_sentence_is_not_the_systems_own_words_and_earns_no_correctness() -> None:
    text = "We introduce Quill, which prunes attention heads."
    copied = record(said(text, ("q", text)), copied=0.0)
    scores = shares(copied, question())
    assert scores["faithful"] == (1, 1)
    assert scores["correct"] == (0, 1)
    assert scores["facts"] == (1, 2)


def test_a_system_that_does_not_cite_has_no_part_in_citation_metrics() -> None:
    scores = shares(record(Said(text=RIGHT.text)), question(), cites=False)
    assert not [name for name in scores if "citation" in name or "paper" in name or "evidence" in name]
    assert scores["faithful"] == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("It removes 40 % of the Heads.", True), ("It removes forty percent of heads.", True), ("40 heads", False)],
)
def test_facts_are_found_however_they_are_spaced_and_cased(text: str, expected: bool) -> None:
    assert all(facts_said(record(said(text)), question(), PAPERS)) is expected


def test_the_titles_of_cited_papers_count_for_lists_alone() -> None:
    listed = question(kind="list", facts=(("Pruning With Quill",),))
    answer = record(said("One paper removes heads.", ("q", "It removes 40\\% of the heads.")))
    assert facts_said(answer, listed, PAPERS) == [True]
    assert facts_said(answer, question(facts=(("Pruning With Quill",),)), PAPERS) == [False]


def test_retrieval_metrics_by_hand() -> None:
    both = question(papers=("q", "o"), kind="compare")
    scores = search_shares(("a", "q", "b", "o"), both.papers)
    assert scores["hit@1"] == (0, 1)
    assert scores["hit@3"] == (1, 1)
    assert scores["mrr"] == (0.5, 1)
    assert scores["all_needed"] == (1, 1)
    assert scores["ndcg@10"][0] == pytest.approx((1 / 1.58496 + 1 / 2.32193) / (1 + 1 / 1.58496), abs=1e-4)
    assert search_shares(("a",), both.papers)["all_needed"] == (0, 1)
    assert set(search_shares((), both.papers).values()) == {(0.0, 1.0)}
    assert search_shares(("q",), UNANSWERABLE.papers) == {}
