from rag.checking import Checker
from rag.evidence import Evidence
from rag.grounding import ground
from rag.prompts import Prompt
from rag.reading import Reader
from tests.abstracts import PAPERS
from tests.says import Says

CHECKER = Checker(Reader(Says(), Prompt.load("answers"), Prompt.load("states")))  # type: ignore[arg-type]


def test_sentences_come_back_in_order_with_their_quotes_and_support() -> None:
    draft = "Zorb sorts 1,200 marbles a second. Zorb sorts 9 marbles a second."
    true, false = ground(draft, Evidence(PAPERS, None), CHECKER)
    assert (true.text, false.text) == ("Zorb sorts 1,200 marbles a second.", "Zorb sorts 9 marbles a second.")
    assert true.support > 0.9 > 0.1 >= false.support
    assert "1,200" in true.quotes[0].text


def test_a_bare_marker_number_or_word_is_no_sentence() -> None:
    for draft in ("[1]", "[1], [2]", "1.77", "Zorb.", "Yes, free."):
        assert ground(draft, Evidence(PAPERS, None), CHECKER) == []
