import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.web import html
from tests.web.invented import a_paper
from tests.web.markup import HOSTILE, PRINTED, TEXT, assert_only_text, assert_plain, lined, read, spaced

PLAIN = re.compile(r"(?:\w(?<!_)|[^\S\r\n\t]|&#\d+;)*")
BLOCKS = {
    "safe": html.safe,
    "button": lambda text: html.button("go", html.safe(text), key=text, spoken=text, question=text),
    "button without a key": lambda text: html.button("go", "Go", question=text, again=text),
    "opening": lambda text: html.opening(a_paper(text), "k"),
    "titles": lambda text: html.titles([a_paper(text), a_paper(text, 1)]),
    "notice": html.notice,
    "told": html.told,
    "stage": lambda text: html.stage(text, 0.5),
    "chip": lambda text: html.chip("anywhere", text),
}


@given(TEXT)
def test_safe_text_is_read_back_as_it_was(text):
    reader = read(html.safe(text))
    assert reader.tags == []
    assert reader.text == spaced(text)


@given(st.text())
def test_safe_text_holds_words_spaces_and_references_only(text):
    assert PLAIN.fullmatch(html.safe(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_sign_with_a_meaning_survives(text):
    for shown in (html.safe(text), html.lines(text)):
        left = set(re.sub(r"&#\d+;", "", shown))
        assert not left & set("<>&\"'`*_#[]()!$\\~|-+=.:/@{}^\n\r\u202e\u200b\ufeff")


def test_words_in_any_script_stay_readable():
    assert html.safe("Größe 漢字 x2") == "Größe 漢字 x2"


@given(st.text(st.one_of(PRINTED, st.sampled_from('\r\n "'))))
def test_an_attribute_keeps_its_text_with_its_lines(text):
    reader = read(f'<p title="{html.lines(text)}"></p>')
    assert reader.attributes == [("title", lined(text))]


@pytest.mark.parametrize("block", BLOCKS)
@settings(deadline=None)
@given(text=TEXT)
def test_no_text_adds_a_tag_or_an_attribute_or_changes_in_one(block, text):
    assert_only_text(BLOCKS[block], text)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_markdown_or_mathematics_reaches_the_page(block, text):
    assert_plain(BLOCKS[block], text)


def test_a_button_carries_what_pressing_it_means():
    (made,) = read(html.button("rate", "<b>Good</b>", spoken="Good answer", exchange=2, rating="up")).of("button")
    assert made.attributes["type"] == "button"  # it must not send a form
    assert made.attributes["data-do"] == "rate"
    assert made.data == {"exchange": "2", "rating": "up"}
    assert made.attributes["aria-label"] == "Good answer"
    assert made.text == "Good"


def test_buttons_that_mean_different_things_have_different_keys_unless_told_otherwise():
    keys = [
        read(made).elements[0].attributes["data-key"]
        for made in (
            html.button("open", "x", paper="a", exchange=0),
            html.button("open", "x", paper="a", exchange=1),
            html.button("about", "x", paper="a", exchange=1),
            html.button("about", "x", paper="b", exchange=1, key="mine"),
        )
    ]
    assert keys == ["open a 0", "open a 1", "about a 1", "mine"]


def test_a_button_says_its_label_unless_it_is_told_what_to_say():
    assert "aria-label" not in read(html.button("new", "New")).elements[0].attributes


def test_a_title_opens_its_paper_in_its_exchange():
    (made,) = read(html.opening(a_paper(r"{\sc Ofa} wins", 7), "k")).pressed("open")
    assert made.text == "Ofa wins"
    assert made.data == {"paper": f"{7:016x}", "exchange": "k"}
    assert read(html.opening(a_paper("x"))).elements[0].data["exchange"] == ""


def test_a_list_of_titles_has_them_in_order():
    reader = read(html.titles([a_paper("One"), a_paper("Two", 1)]))
    assert [item.text for item in reader.of("li")] == ["One", "Two"]
    assert read(html.titles([])).tags == ["ul"]


def test_a_notice_is_one():
    (made,) = read(html.notice("The page is gone.")).of(".pt-notice")
    assert made.text == "The page is gone."


def test_what_is_told_is_said_and_not_seen():
    reader = read(html.told("Kept: 1 > 0"))
    assert [element.data for element in reader.elements] == [{"status": "Kept: 1 > 0"}]
    assert reader.text == ""


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [(0, "paper", "0 papers"), (1, "paper", "1 paper"), (2, "paper", "2 papers"), (1, "quote", "1 quote")],
)
def test_things_are_counted_in_words(count, noun, said):
    assert html.counted(count, noun) == said
    assert html.counted(count) == said.replace(noun, "paper")


@pytest.mark.parametrize(
    ("share", "shown", "value"), [(0, ", 0%", "0.000"), (0.256, ", 26%", "0.256"), (1, ", 100%", "1.000")]
)
def test_a_stage_shows_how_much_is_done(share, shown, value):
    reader = read(html.stage("Fetching", share))
    assert reader.text == f"Fetching{shown}…"
    (bar,) = reader.of("progress")
    assert bar.attributes == {"max": "1", "value": value, "aria-label": "Fetching"}
    assert reader.elements[0].attributes["data-status"] == "Fetching"  # is not said again at each per cent


def test_a_stage_of_unknown_length_shows_no_bar():
    reader = read(html.stage("Searching"))
    assert reader.text == "Searching…"
    assert "progress" not in reader.tags
    assert reader.elements[0].attributes["data-status"] == "Searching"


def test_a_chip_says_what_pressing_it_does():
    (made,) = read(html.chip("anywhere", "Only about: Zorb")).pressed("anywhere")
    assert made.text == "Only about: Zorb"
    assert made.attributes["aria-label"] == "Only about: Zorb. Take this back"
    assert made.data == {}


def test_the_head_of_the_page_has_its_one_first_heading():
    assert [made.text for made in read(html.heading()).of("h1")] == ["PaperTrail"]
