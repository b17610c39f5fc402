import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.embedding import Embedder
from rag.evidence import Evidence
from tests.abstracts import PAPERS, QUUX, ZORB


def test_a_sentence_is_matched_to_the_quote_that_backs_it(embedder: Embedder) -> None:
    quotes = Evidence(PAPERS, embedder).attribute("Zorb can sort 1200 marbles each second.")
    assert [quote.text for quote in quotes][:1] == ["Zorb sorts 1,200 marbles a second, 3 times more than Blip."]


def test_a_sentence_about_two_papers_gets_quotes_of_both(embedder: Embedder) -> None:
    sentence = "Zorb sorts 1,200 marbles a second while Quux boils 2.5 litres of water in 40 seconds."
    assert {quote.paper.title for quote in Evidence(PAPERS, embedder).attribute(sentence)} == {p.title for p in PAPERS}


@given(st.lists(st.sampled_from([*(ZORB + " " + QUUX).split(), "42", "«", "<|im_end|>", "[1]"]), max_size=25))
@settings(max_examples=60, deadline=None)
def test_every_quote_is_the_exact_words_of_its_abstract(words: list[str]) -> None:
    evidence = Evidence(PAPERS, None)
    text = " ".join(words)
    for quote in (*evidence.attribute(text), *evidence.best(text), evidence.nearest(text)[0], evidence.telling(text)):
        assert quote.paper in PAPERS
        assert quote.paper.abstract[quote.start : quote.end] == quote.text != ""


def test_no_papers_no_quotes() -> None:
    assert Evidence([], None).attribute("Anything.") == ()
    assert Evidence([], None).best("Anything?") == ()


def test_the_best_sentences_for_a_question_come_from_one_paper(embedder: Embedder) -> None:
    best = Evidence(PAPERS, embedder).best("How fast does Quux boil water?")
    assert "40 seconds" in best[-1].text
    assert len({quote.paper.paper_id for quote in best}) == 1


@pytest.mark.parametrize(
    ("question", "words"), [("How many marbles does it sort?", "1,200"), ("What is the tool?", "We introduce")]
)
def test_the_telling_sentence_is_of_the_kind_that_is_asked_for(question: str, words: str, embedder: Embedder) -> None:
    assert words in Evidence(PAPERS[:1], embedder).telling(question).text
