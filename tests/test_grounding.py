import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.assistant import _cite
from rag.embedding import Embedder
from rag.grounding import Evidence, Grounded, Quote, support_of
from rag.papers import Paper, Record, Source, papers_from
from rag.prompts import Prompt

ZORB = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip. It is free."
QUUX = "Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds."


def paper(abstract: str, title: str) -> Paper:
    source = Source(file="page", start=0, end=len(abstract), record=1)
    return papers_from([Record(source, abstract, title=title)])[0]


PAPERS = [paper(ZORB, "Zorb: Sorting Marbles"), paper(QUUX, "A Kettle for Science")]


class Believes:
    """A model that says yes to everything (or to nothing): what is left are the exact checks."""

    def __init__(self, yes: float = 0.99):
        self._yes = yes

    def yes(self, conversations: list[object]) -> list[float]:
        return [self._yes] * len(conversations)


def evidence(embedder: Embedder | None) -> Evidence:
    return Evidence(PAPERS, embedder)


def support(sentence: str, embedder: Embedder, yes: float = 0.99) -> float:
    quotes = evidence(embedder).attribute(sentence)
    return support_of([(sentence, quotes)], Believes(yes), Prompt.load("check"))[0]  # type: ignore[arg-type]


def test_a_sentence_is_matched_to_the_quote_that_backs_it(embedder: Embedder) -> None:
    quotes = evidence(embedder).attribute("Zorb can sort 1200 marbles each second.")
    assert [quote.text for quote in quotes][:1] == ["Zorb sorts 1,200 marbles a second, 3 times more than Blip."]


def test_a_sentence_about_two_papers_gets_quotes_of_both(embedder: Embedder) -> None:
    sentence = "Zorb sorts 1,200 marbles a second while Quux boils 2.5 litres of water in 40 seconds."
    assert {quote.paper.title for quote in evidence(embedder).attribute(sentence)} == {p.title for p in PAPERS}


@given(st.lists(st.sampled_from([*(ZORB + " " + QUUX).split(), "42", "«", "<|im_end|>", "[1]"]), max_size=25))
@settings(max_examples=60, deadline=None)
def test_every_quote_is_the_exact_words_of_its_abstract(words: list[str]) -> None:
    for quote in evidence(None).attribute(" ".join(words)):
        assert quote.paper in PAPERS
        assert quote.paper.abstract[quote.start : quote.end] == quote.text != ""


@pytest.mark.parametrize(
    "sentence",
    [
        "Zorb sorts 1,300 marbles a second.",
        "Quux boils 40 litres of water in 25 seconds.",
        "XQ-7 sorts 1,200 marbles a second.",
        "Zorb sorts 1,200 marbles a second and uses LoRA.",
    ],
)
def test_a_figure_or_name_that_is_not_in_the_quotes_is_never_supported(sentence: str, embedder: Embedder) -> None:
    assert support(sentence, embedder) < 0.5


@pytest.mark.parametrize(
    "sentence", ["Zorb sorts 1200 marbles per second.", "The kettle boils 2.5 litres in 40 seconds."]
)
def test_support_follows_the_model_where_figures_and_names_agree(sentence: str, embedder: Embedder) -> None:
    assert support(sentence, embedder, yes=0.99) > 0.5 > support(sentence, embedder, yes=0.01)


def test_a_figure_of_the_neighbouring_abstract_backs_nothing(embedder: Embedder) -> None:
    assert support("Zorb sorts marbles for 40 hours.", embedder) < 0.5


def test_no_quotes_no_support() -> None:
    assert Evidence([], None).attribute("Anything.") == ()
    assert support_of([("Anything.", ())], Believes(), Prompt.load("check")) == [0.0]  # type: ignore[arg-type]


def test_the_best_sentences_for_a_question_come_from_one_paper(embedder: Embedder) -> None:
    best = evidence(embedder).best("How fast does Quux boil water?")
    assert "40 seconds" in best[-1].text
    assert len({quote.paper.paper_id for quote in best}) == 1


_quotes = st.sampled_from([quote for p in PAPERS for quote in Evidence([p], None).quotes])


@given(st.lists(st.tuples(st.text(min_size=1), st.lists(_quotes, min_size=1, max_size=3)), min_size=1, max_size=5))
@settings(deadline=None)
def test_citations_number_papers_in_order_of_first_use(sentences: list[tuple[str, list[Quote]]]) -> None:
    citations, cited = _cite([Grounded(text, tuple(quotes), 1.0) for text, quotes in sentences])
    by_id = {p.paper_id: p for p in PAPERS}
    first_seen = list(dict.fromkeys(citation.n for citation in citations))
    assert first_seen == list(range(1, len(first_seen) + 1))
    assert len({(c.paper_id, c.start) for c in citations}) == len(citations)
    assert len({(c.n, c.paper_id) for c in citations}) == len({c.n for c in citations})
    for citation in citations:
        assert by_id[citation.paper_id].abstract[citation.start : citation.end] == citation.quote
        assert citation.title == by_id[citation.paper_id].title
    for sentence, (_, quotes) in zip(cited, sentences, strict=True):
        assert {(citations[i].paper_id, citations[i].start) for i in sentence.quotes} == {
            (quote.paper.paper_id, quote.start) for quote in quotes
        }
        assert set(sentence.citations) == {citations[i].n for i in sentence.quotes}
