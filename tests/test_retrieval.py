import pytest

from rag.assistant import Assistant
from rag.errors import UsageError
from rag.memory_index import MemoryIndex
from rag.papers import Paper
from rag.retrieval import Filters, Found, Retriever, confidence, find_paper, question_names
from rag.settings import Retrieval


@pytest.fixture(scope="module")
def papers(extractive: Assistant) -> list[Paper]:
    return extractive.papers


def search(assistant: Assistant, question: str, count: int = 5) -> Found:
    return assistant._retriever.search(question, count)


# Written for these tests by reading abstracts; the gold set of the evaluation is another.
QUESTIONS = {
    "What does PDS do?": "Data Selection via Optimal Control for Language Models",
    "What is SoRA?": "Sparse Low-rank Adaptation of Pre-trained Language Models",
    "Which model covers 511 languages?": "Glot500",
    "How was the first 1-bit transformer trained?": "BitNet",
    "training a small language model in nine days": "1.5-Pints",
    "Does Chinchilla outperform Gopher?": "Training Compute-Optimal Large Language Models",
    "protein language model": "Ankh",
    "how do language models represent geography": "Geographical Representation in Language Models",
}


@pytest.mark.parametrize(("question", "title"), QUESTIONS.items())
def test_the_right_paper_is_among_the_first_three(question: str, title: str, extractive: Assistant) -> None:
    assert any(title in paper.title for paper in search(extractive, question, 3).papers)


def test_passages_are_quotes_grouped_by_paper_with_the_reason(extractive: Assistant) -> None:
    found = search(extractive, "What does PDS do?")
    by_id = {paper.paper_id: paper for paper in found.papers}
    for passage in found.passages:
        assert by_id[passage.paper_id].abstract[passage.start : passage.end] == passage.text
    assert list(dict.fromkeys(p.paper_id for p in found.passages)) == [p.paper_id for p in found.papers]
    scores = [passage.score for passage in found.passages]
    assert scores == sorted(scores, reverse=True)
    why = found.passages[0].why
    assert (why.dense_rank, why.lexical_rank, why.names) == (1, 1, ("pds",))


def test_the_same_question_finds_the_same_passages(extractive: Assistant) -> None:
    assert search(extractive, "mixture of experts") == search(extractive, "mixture of experts")


def test_a_question_about_something_else_gets_low_confidence(extractive: Assistant) -> None:
    about = [search(extractive, question).confidence for question in QUESTIONS]
    other = [
        search(extractive, question).confidence
        for question in ("What is the capital of France?", "How do I bake bread?", "Who won the match yesterday?")
    ]
    assert min(about) > 0.5 > max(other)


def test_confidence_is_a_probability_that_grows(extractive: Assistant) -> None:
    values = [confidence(cosine / 10, known) for known in (False, True) for cosine in range(-10, 11)]
    assert all(0 <= value <= 1 for value in values)
    assert values[:21] == sorted(values[:21])
    assert confidence(0.2, True) > confidence(0.2, False)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does PDS do?", {"pds"}),
        ("Is BitNet b1.58 better than LoRA?", {"bitnet", "b1.58", "lora"}),
        ("what is the meaning of this", set()),
        ("What is GPT-4V(ision)?", {"gpt-4v"}),
    ],
)
def test_names_in_a_question_are_seen(question: str, names: set[str]) -> None:
    assert names <= question_names(question)
    assert not question_names(question) - names - {"ision"}


def test_filters_let_through_what_they_say(papers: list[Paper]) -> None:
    chosen, undated = Filters(author="zhendong wang", since="2023").select(papers)
    assert chosen
    assert all(paper.has_author("Zhendong Wang") and paper.date and paper.date >= "2023" for paper in chosen)
    assert undated == 0
    by_owner, undated = Filters(author="Weizhu Chen", since="2025").select(papers)
    assert len(by_owner) < 50
    assert undated == sum(p.date is None for p in papers if p.has_author("Weizhu Chen")) > 0


def test_since_compares_at_the_coarser_precision(papers: list[Paper]) -> None:
    paper = papers[0].model_copy(update={"date": "2023-05"})
    for since, passes in {"2023": True, "2023-05": True, "2023-05-31": True, "2023-06": False, "2024": False}.items():
        assert bool(Filters(since=since).select([paper])[0]) is passes


def test_filtered_search_finds_only_those(extractive: Assistant, papers: list[Paper]) -> None:
    among = papers[30:40]
    found = extractive._retriever.search("language models", 20, among)
    assert {paper.paper_id for paper in found.papers} <= {paper.paper_id for paper in among}
    assert found.papers
    assert extractive._retriever.search("language models", 20, []).passages == ()


@pytest.mark.parametrize("since", ["yesterday", "2023-13", "2023-1", "23", "2023-05-32", ""])
def test_a_date_that_is_none_is_a_usage_error(since: str) -> None:
    with pytest.raises(UsageError, match="is not a date"):
        Filters(since=since)


def test_a_paper_is_found_by_id_start_of_id_or_title(papers: list[Paper]) -> None:
    paper = papers[17]
    for key in (paper.paper_id, paper.paper_id[:8], paper.title, f" {paper.title.upper()} "):
        assert find_paper(papers, key) is paper
    with pytest.raises(UsageError, match="No indexed paper"):
        find_paper(papers, "0000000")
    with pytest.raises(UsageError, match="2 papers have an id"):
        find_paper([paper, paper.model_copy(update={"title": "Other"})], paper.paper_id[:6])


def test_without_an_embedder_words_still_find_papers(papers: list[Paper]) -> None:
    retriever = Retriever(MemoryIndex(papers, 600), None, Retrieval())
    found = retriever.search("What does PDS do?", 3)
    assert "Optimal Control" in found.papers[0].title
    assert found.confidence > 0.5 > retriever.search("What is the capital of France?", 3).confidence
