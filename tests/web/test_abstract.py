from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.export import as_bibtex
from rag.papers import Source
from rag.readers import read_corpus
from rag.text import readable, sentence_spans
from rag.web.abstract import link, marked, opened, page
from rag.web.exchange import Exchange, answered
from tests.web.invented import a_paper, an_answer, citation, filled
from tests.web.markup import HOSTILE, PRINTED, assert_only_text, assert_plain, lined, read, spaced

CORPUS = read_corpus(Path(__file__).parents[2] / "seeds")
TEXT = "Zorb sorts marbles. It is free. Nobody else is."
# Backslash, dollar and tilde may begin LaTeX, which a mark in its midst changes.
PROSE = st.text(st.one_of(PRINTED, st.sampled_from("  \n\t<>&\"'. ")).filter(lambda sign: sign not in "\\$~"))


@st.composite
def spanned(draw):
    """A text and spans of it."""
    text = draw(PROSE)
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(place, place).map(lambda span: (min(span), max(span)))))
    return text, spans


def marks(markup):
    return [mark.text for mark in read(markup).of(".pt-quote")]


def current(markup):
    return [mark.text for mark in read(markup).of(".pt-current")]


def facts(paper):
    reader = read(page(paper))
    return dict(zip((e.text for e in reader.of("dt")), (e.text for e in reader.of("dd")), strict=True))


# Marks -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(spanned(), st.sets(st.integers(0, 9)))
def test_marks_change_no_word_of_the_text(given_, chosen):
    text, spans = given_
    reader = read(marked(text, spans, [span for i, span in enumerate(spans) if i in chosen]))
    assert spaced(reader.text) == spaced(readable(text))
    assert set(reader.tags) <= {"mark"}


@settings(deadline=None)
@given(spanned())
def test_what_is_marked_is_what_the_spans_hold(given_):
    text, spans = given_
    held = "".join(sign if any(start <= i < end for start, end in spans) else " " for i, sign in enumerate(text))
    assert "".join("".join(marks(marked(text, spans))).split()) == "".join(readable(held).split())
    assert "" not in marks(marked(text, spans))


def test_every_shipped_abstract_reads_as_it_was_with_all_its_sentences_marked():
    for paper in CORPUS:
        reader = read(marked(paper.abstract, sentence_spans(paper.abstract)))
        assert spaced(reader.text) == spaced(readable(paper.abstract))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(0, 19)], ["Zorb sorts marbles."]),
        ([(0, 19), (20, 31)], ["Zorb sorts marbles.", "It is free."]),
        ([(20, 31), (0, 19)], ["Zorb sorts marbles.", "It is free."]),
        ([(0, 19), (0, 19)], ["Zorb sorts marbles."]),
        ([(0, 4), (4, 19)], ["Zorb", "sorts marbles."]),  # touching, at a space
        ([(0, 2), (2, 4)], ["Zo", "rb"]),
        ([(0, 10), (5, 19)], ["Zorb", "sorts", "marbles."]),  # overlapping
        ([(0, 47), (20, 31)], ["Zorb sorts marbles.", "It is free.", "Nobody else is."]),  # nested
        ([(5, 5)], []),
        ([(0, len(TEXT))], [TEXT]),
    ],
)
def test_spans_are_marked_in_order_whether_they_touch_overlap_or_nest(spans, expected):
    assert marks(marked(TEXT, spans)) == expected
    assert read(marked(TEXT, spans)).text.split() == TEXT.split() if (0, 2) not in spans else True


def test_a_mark_inside_a_word_does_not_break_it():
    assert read(marked("marbles", [(0, 2), (2, 4)])).text == "marbles"


def test_only_the_spans_that_are_asked_for_are_current():
    spans = [(0, 19), (20, 31), (32, 47)]
    assert current(marked(TEXT, spans, [(20, 31)])) == ["It is free."]
    assert current(marked(TEXT, spans, [(0, 4)])) == current(marked(TEXT, spans)) == []
    assert current(marked(TEXT, [(0, 31), (20, 31)], [(20, 31)])) == ["It is free."]
    assert current(marked(TEXT, [(0, 31), (20, 31)], [(0, 31)])) == ["Zorb sorts marbles.", "It is free."]


def test_mathematics_in_a_quote_is_readable():
    assert marks(marked(r"It is $\alpha$-fair. It is \textbf{free}.", [(0, 20)])) == ["It is α-fair."]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_with_marks_is_still_only_text(text):
    half = len(text) // 2
    reader = read(marked(text, [(0, half), (half, len(text))]))
    assert set(reader.tags) == {"mark"}
    assert {name for name, _ in reader.attributes} == {"class"}


# Pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_paper_adds_a_tag_or_an_attribute(text):
    def block(said):
        return page(filled(said), [citation(1, said)], [(0, len(said))])

    assert_only_text(block, text)
    assert_plain(block, text)


def test_a_page_shows_title_abstract_and_what_is_known():
    sources = (Source(file="seeds/a.txt", start=0, end=9, record=3), Source(file="b.txt", start=0, end=9, record=1))
    paper = a_paper(
        r"{\sc Ofa} wins",
        abstract=r"We show $\alpha$.",
        authors=("A. B", "C. D"),
        authors_complete=False,
        date="2024-03-05",
        date_text="Mar 5, 2024",
        category="CL",
        sources=sources,
    )
    reader = read(page(paper))
    assert reader.of("h2")[0].text == "Ofa wins"
    assert reader.of(".pt-abstract")[0].text == "We show α."
    assert facts(paper) == {
        "Authors": "A. B, C. D et al.",
        "Date": "Mar 5, 2024",
        "Category": "CL",
        "Page": "seeds/a.txt, record 3, b.txt, record 1",
    }


def test_what_is_not_known_is_left_out():
    assert facts(a_paper("x")) == {}
    assert read(page(a_paper("x"))).of("a") == []


@pytest.mark.parametrize(
    ("known", "name", "value"),
    [
        ({"date": "2024-03"}, "Date", "2024-03"),
        ({"title_source": "catalogue"}, "Title", "from the list of published titles"),
        ({"title_source": "derived"}, "Title", "made up from the abstract's first words"),
        ({"authors": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}, "Authors", ", ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        ({"authors": tuple("AB") * 20}, "Authors", ", ".join(tuple("AB") * 15) + " et al."),
    ],
)
def test_a_fact_is_shown_as_far_as_it_is_known(known, name, value):
    assert facts(a_paper("x", **known)) == {name: value}


def test_links_open_elsewhere_and_tell_nothing():
    url, code = "https://arxiv.org/abs/2403.02884", "https://a.org/x?a=b&c=%22d%22#e"
    links = read(page(a_paper("x", url=url, links=(code, url)))).of("a")
    assert [shown.attributes["href"] for shown in links] == [shown.text for shown in links] == [url, code]
    assert {(a.attributes["target"], a.attributes["rel"]) for a in links} == {("_blank", "noopener noreferrer")}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_link_stays_inside_its_attribute(text):
    (made,) = read(link(f"https://a.org/{text}")).elements
    assert made.tag == "a"
    assert made.attributes["href"] == spaced(f"https://a.org/{text}")


def test_a_page_can_be_closed_asked_about_and_copied_as_bibtex():
    paper = a_paper('{\\sc Ofa} "wins"\nagain', 7, abstract="We show it.")
    reader = read(page(paper))
    assert len(reader.pressed("close")) == 1
    assert [button.data for button in reader.pressed("about")] == [{"paper": paper.paper_id}]
    assert [button.data for button in reader.pressed("copy")] == [{"text": lined(as_bibtex([paper]))}]


def test_the_title_takes_the_focus_without_being_in_the_way_of_the_keyboard():
    assert read(page(a_paper("x"))).of("h2")[0].attributes == {"tabindex": "-1"}


def test_no_two_openings_are_the_same_so_that_the_browser_draws_each():
    for pressed in ({"paper": "0" * 16}, {"paper": "gone"}):
        first, second = (read(opened(PAPERS, EXCHANGES, pressed)) for _ in range(2))
        assert first.text == second.text
        assert first.of("header")[0].data != second.of("header")[0].data


def test_quotes_of_other_papers_are_passed_over():
    paper = a_paper("x", 1, abstract=TEXT)
    quoted = [citation(1, "x", 1, start=0, end=19), citation(2, "y", 2, start=20, end=31)]
    assert marks(page(paper, quoted)) == ["Zorb sorts marbles."]


# What is opened --------------------------------------------------------------------------------


PAPERS = {paper.paper_id: paper for paper in (a_paper("Zorb", 0, abstract=TEXT), a_paper("Quux", 1, abstract=TEXT))}
QUOTES = (
    citation(1, "Zorb", 0, start=0, end=19),
    citation(2, "Quux", 1, start=20, end=31),
    citation(1, "Zorb", 0, start=32, end=47),
)
EXCHANGES = [Exchange("A", failure="No.", key="a"), Exchange("B", an_answer("x", citations=QUOTES), key="b")]


def test_each_number_of_an_answer_opens_its_paper_with_its_quotes_in_sight():
    numbers = read(answered("b", EXCHANGES[1].answer)).of(".pt-cite")
    shown = [opened(PAPERS, EXCHANGES, number.data) for number in numbers]
    assert [read(markup).of("h2")[0].text for markup in shown] == ["Zorb", "Quux"]
    assert [marks(markup) for markup in shown] == [["Zorb sorts marbles.", "Nobody else is."], ["It is free."]]
    assert [current(markup) for markup in shown] == [["Zorb sorts marbles.", "Nobody else is."], ["It is free."]]


def test_of_several_quotes_those_of_the_sentence_are_in_sight():
    markup = opened(PAPERS, EXCHANGES, {"paper": "0" * 16, "exchange": "b", "quotes": "2"})
    assert marks(markup) == ["Zorb sorts marbles.", "Nobody else is."]
    assert current(markup) == ["Nobody else is."]


def test_a_title_in_an_answer_opens_its_paper_with_all_its_quotes_marked():
    title = read(answered("b", EXCHANGES[1].answer)).of(".pt-title")[0]
    markup = opened(PAPERS, EXCHANGES, title.data)
    assert marks(markup) == ["Zorb sorts marbles.", "Nobody else is."]
    assert current(markup) == []


@pytest.mark.parametrize(
    "exchange", [{}, {"exchange": ""}, {"exchange": "a"}, {"exchange": "gone"}, {"exchange": None}]
)
def test_a_paper_outside_of_an_answer_is_opened_without_quotes(exchange):
    markup = opened(PAPERS, EXCHANGES, {"paper": "0" * 16, "quotes": "0", **exchange})
    assert read(markup).of("h2")[0].text == "Zorb"
    assert marks(markup) == []


def test_an_answer_is_found_by_its_key_wherever_it_stands_by_now():
    pressed = {"paper": "0" * 16, "exchange": "b", "quotes": "0"}
    for exchanges in (EXCHANGES[1:], [*EXCHANGES, EXCHANGES[0]]):
        assert current(opened(PAPERS, exchanges, pressed)) == ["Zorb sorts marbles."]
    assert marks(opened(PAPERS, EXCHANGES[:1], pressed)) == []


@pytest.mark.parametrize("quotes", ["", "7", "0 7", "x", "0 x -1 ² 1.5 0x0 <b>", "-1", None, 0, []])
def test_what_is_no_quote_of_the_answer_is_passed_over(quotes):
    markup = opened(PAPERS, EXCHANGES, {"paper": "0" * 16, "exchange": "b", "quotes": quotes})
    assert current(markup) == ["Zorb sorts marbles."] * str(quotes).startswith("0")
    assert marks(markup) == ["Zorb sorts marbles.", "Nobody else is."]


@pytest.mark.parametrize("pressed", [{"paper": "f" * 16, "exchange": "b"}, {"paper": ""}, {"paper": None}, {}])
def test_a_paper_that_is_not_there_says_so_and_can_be_closed(pressed):
    reader = read(opened(PAPERS, EXCHANGES, pressed))
    assert "removed" in reader.of("h2")[0].text
    assert len(reader.pressed("close")) == 1
    assert reader.of(".pt-page")


def test_the_quotes_of_a_real_answer_are_marked_in_its_papers(extractive):
    exchange = Exchange("What does PDS do?", extractive.answer("What does PDS do?"))
    for number in read(answered(exchange.key, exchange.answer)).of(".pt-cite"):
        markup = opened(extractive.index.papers, [exchange], number.data)
        quoted = [exchange.answer.citations[int(q)].quote for q in number.data["quotes"].split()]
        assert sorted(current(markup)) == sorted(spaced(readable(quote)) for quote in quoted)
