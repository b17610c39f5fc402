import pytest

from rag.assistant import Assistant
from rag.ingest import ingest
from rag.text import readable
from rag.web.examples import examples
from tests.abstracts import PAPERS, paper


@pytest.fixture
def over(settings, embedder, tmp_path):
    """An assistant over an index of these papers."""

    def make(papers):
        here = settings.model_copy(update={"data_dir": tmp_path, "mode": "extractive"})
        ingest(here, papers, embedder=embedder)
        made.append(Assistant(here))
        made[-1].embedder = embedder
        return made[-1]

    made = []
    yield make
    for assistant in made:
        assistant.close()


@pytest.fixture(scope="module")
def offered(extractive):
    return examples(extractive)


def test_three_questions_and_one_that_no_paper_answers(offered):
    assert len(set(offered)) == 4
    assert [question[:4] for question in offered[:3]] == ["What", "How ", "What"]


def test_the_same_index_offers_the_same_questions(offered, extractive):
    assert examples(extractive) == offered


def test_search_finds_first_the_paper_whose_name_is_asked_about(offered, extractive):
    for question in offered[:3]:
        found = extractive.retriever.search(question, 1).papers[0]
        name, colon, _ = readable(found.title).partition(":")
        assert colon
        assert f" {name} " in question.replace("?", " ")


def test_the_first_three_are_answered_and_the_last_is_not(offered, extractive):
    assert [extractive.answer(question).refused for question in offered] == [False, False, False, True]


def test_an_empty_index_offers_only_the_question_that_nothing_answers(over, offered):
    assert examples(over([])) == offered[3:]


def test_papers_that_name_no_system_are_not_asked_about(over, offered):
    assert examples(over(PAPERS)) == offered[3:]


def test_only_names_that_the_abstract_uses_are_asked_about(over):
    papers = [
        paper("ZorbNet is a tool for marbles, which it sorts.", "ZorbNet: Sorting Marbles"),
        paper("We introduce a kettle for laboratories. It boils water.", "KettleNet: Boiling Water"),
    ]
    assert [question for question in examples(over(papers)) if "Net" in question] == ["What does ZorbNet do?"]
