import os

import pytest

from eval.data import load_questions
from rag.answers import Answer
from rag.web.evaluation import gold, last_report, verdict
from tests.web.markup import HOSTILE, assert_only_text, assert_plain, read

GOLD = gold()
NAMED = GOLD["a01"]  # one paper, two facts
OTHER = next(q for q in GOLD.values() if q.kind == "what-does" and not set(q.papers) & set(NAMED.papers))
UNANSWERABLE = next(q for q in GOLD.values() if q.kind == "unanswerable")


@pytest.fixture(scope="module")
def answered(extractive):
    return extractive.answer(NAMED.question)


@pytest.fixture(scope="module")
def refused(extractive):
    return extractive.answer("How do I bake bread?")


def lines(markup):
    """Each line of a verdict, and whether it is met; what its colour says, its words say too."""
    found = []
    for item in read(markup).of("li"):
        right = "pt-right" in item.classes
        said = "Met " if right else "Not met "
        assert item.text.startswith(said)
        assert right != ("pt-wrong" in item.classes)
        found.append((right, item.text.removeprefix(said)))
    return found


def report_at(folder, run, text, time):
    path = folder / run / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (time, time))


def frame(markup):
    (found,) = read(markup).of("iframe")
    return found.attributes


# Reports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [False, True])
def test_without_a_report_it_says_what_to_type(made, tmp_path):
    folder = tmp_path / "eval"
    if made:
        (folder / "stopped").mkdir(parents=True)
    markup = last_report(folder)
    assert [code.text for code in read(markup).of("code")] == ["make eval-quick", "make eval"]
    assert "iframe" not in read(markup).tags


def test_the_newest_report_is_shown_whatever_its_run_is_called(tmp_path):
    report_at(tmp_path, "b", "<p>the old one</p>", 1_700_000_000)
    report_at(tmp_path, "a", "<p>the new one</p>", 1_700_000_100)
    markup = last_report(tmp_path)
    assert frame(markup)["srcdoc"] == "<p>the new one</p>"
    assert "2023-11-1" in read(markup).text


def test_a_report_can_run_nothing(tmp_path):
    report_at(tmp_path, "a", "<script>alert(1)</script>", 1_700_000_000)
    markup = last_report(tmp_path)
    assert frame(markup)["sandbox"] == ""
    assert "script" not in read(markup).tags


@pytest.mark.parametrize("text", [*HOSTILE[:-1], '"></iframe><img src=x onerror=alert(1)>', "a\nb &amp; &quot;c&quot;"])
def test_a_report_stays_inside_its_frame_as_it_was_written(text, tmp_path):
    report_at(tmp_path, "a", text, 1_700_000_000)
    markup = last_report(tmp_path)
    assert read(markup).tags == ["p", "iframe"]
    assert frame(markup)["srcdoc"] == text


# Verdicts --------------------------------------------------------------------------------------


def test_the_gold_set_is_that_of_the_evaluation():
    assert {id_: question.question for id_, question in GOLD.items()} == {q.id: q.question for q in load_questions()}


def test_a_right_answer_cites_its_paper_and_says_its_facts(answered, extractive):
    title = extractive.index.papers[NAMED.papers[0]].title
    facts = [" or ".join(wordings) for wordings in NAMED.facts]
    assert lines(verdict(NAMED, answered, extractive)) == [
        (True, f"Cites: {title}"),
        *((True, f"Says: {fact}") for fact in facts),
    ]


def test_an_answer_to_something_else_is_wrong_in_everything(answered, extractive):
    found = lines(verdict(OTHER, answered, extractive))
    assert [right for right, _ in found] == [False] * (len(OTHER.papers) + len(OTHER.facts))


def test_a_right_source_is_told_from_a_fact_that_is_missing(answered, extractive):
    question = NAMED.model_copy(update={"facts": (*NAMED.facts, ("no one says this", "nor this"))})
    found = lines(verdict(question, answered, extractive))
    assert [right for right, _ in found] == [True, True, True, False]
    assert found[-1][1] == "Says: no one says this or nor this"


def test_refusing_what_has_an_answer_is_wrong(refused, extractive):
    assert refused.refused
    assert {right for right, _ in lines(verdict(NAMED, refused, extractive))} == {False}


def test_refusing_what_no_abstract_answers_is_right_and_answering_it_wrong(answered, refused, extractive):
    assert [right for right, _ in lines(verdict(UNANSWERABLE, refused, extractive))] == [True]
    assert [right for right, _ in lines(verdict(UNANSWERABLE, answered, extractive))] == [False]


def test_a_gold_paper_that_is_not_indexed_is_named_as_such(answered, extractive):
    question = NAMED.model_copy(update={"papers": ("f" * 16,)})
    assert lines(verdict(question, answered, extractive))[0] == (False, "Cites: a paper that is not indexed")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_gold_question_adds_a_tag_or_an_attribute(text, answered, extractive):
    assert isinstance(answered, Answer)

    def block(said):
        return verdict(NAMED.model_copy(update={"facts": ((said, said), (said,))}), answered, extractive)

    assert_only_text(block, text)
    assert_plain(block, text)
