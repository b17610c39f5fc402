from dataclasses import replace

import pytest
from hypothesis import given, settings

from rag.answers import Answer, ModelUsed
from rag.conversation import Turn
from rag.desk import Made
from rag.errors import Busy
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.export import as_text
from rag.retrieval import Found
from rag.web.exchange import Exchange, alone, answered, conversation, place, progress, turns, underway, welcome
from tests.web.invented import a_paper, an_answer, citation, sentence
from tests.web.markup import HOSTILE, TEXT, assert_only_text, assert_plain, lined, read

ANSWER = an_answer("Zorb sorts marbles.")
REFUSAL = an_answer("The papers don't say.", refused=True)
BLOCKS = {
    "answer": lambda text: answered("k", an_answer(text, understood=text)),
    "extracted": lambda text: answered("k", an_answer(text, mode="extractive")),
    "quoted": lambda text: answered("k", an_answer(text, sentences=(sentence(text, extracted=True),))),
    "weak": lambda text: answered("k", an_answer(text, sentences=(sentence(text, support=0.5),))),
    "list": lambda text: answered("k", an_answer(text, kind="list")),
    "refusal": lambda text: answered("k", an_answer(text, refused=True, understood=text)),
    "conversation": lambda text: conversation(
        [
            Exchange(text, an_answer(text), notices=(text, text), limits=text, key="a"),
            Exchange(text, an_answer(text, refused=True), key="b"),
            Exchange(text, failure=text, key="c"),
        ],
        {"a": "up", "b": "down"},
    ),
    "underway": lambda text: underway(Exchange(text, notices=(text,), papers=(a_paper(text),), doing=text, share=0.5)),
    "draft": lambda text: underway(Exchange(text, doing=text, draft=text)),
    "alone": lambda text: alone(Exchange(text, an_answer(text), notices=(text,), key="k")),
    "failed alone": lambda text: alone(Exchange(text, failure=text)),
    "welcome": lambda text: welcome([text, "What?"], 3),
}


def shown(*exchanges, ratings=None, idle=True):
    return read(conversation(exchanges, ratings or {}, idle=idle))


def notices(reader):
    return [element.text for element in reader.of(".pt-notice")]


def spoken(reader):
    """What screen readers are told, in order."""
    return [element.data["status"] for element in reader.elements if "status" in element.data]


# What is known ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "known"),
    [
        (Working("Searching"), {"doing": "Searching", "share": None}),
        (Working("Loading the model", needs_model=True), {"doing": "Loading the model", "share": None}),
        (Doing("Fetching", 0.25), {"doing": "Fetching", "share": 0.25}),
        (Doing("Fetching", None), {"doing": "Fetching", "share": None}),
        (Waiting(1), {"doing": "Waiting: 1 question before yours", "share": None}),
        (Waiting(3), {"doing": "Waiting: 3 questions before yours", "share": None}),
        (Found((), (a_paper("Zorb"),), 0.9), {"papers": (a_paper("Zorb"),)}),
        (Notice("And this."), {"notices": ("Know this.", "And this.")}),
        (Drafting("It s"), {"draft": "It s", "doing": "Writing a draft, not yet checked", "share": None}),
        (ANSWER, {"answer": ANSWER, "doing": ""}),
        (Made("something else"), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_event_changes_what_it_tells_of_and_nothing_else(event, known):
    before = Exchange("What does it do?", notices=("Know this.",), doing="Before", share=0.5)
    assert before.after(event) == replace(before, **known)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Working("Searching"), ("Searching", None)),
        (Doing("Fetching", 0.25), ("Fetching", 0.25)),
        (Doing("Fetching", 0.0), ("Fetching", 0.0)),
        (Doing("Fetching", None), ("Fetching", None)),
        (Waiting(1), ("Waiting: 1 question before yours", None)),
        (Waiting(2), ("Waiting: 2 questions before yours", None)),
    ],
)
def test_progress_is_told_in_words_and_as_a_share_where_it_is_known(event, told):
    assert progress(event) == told


def test_an_exchange_keeps_its_key_and_shares_it_with_no_other():
    exchange = Exchange("What?")
    for event in (Working("Searching"), Notice("Know this."), Drafting("It s"), ANSWER):
        assert exchange.after(event).key == exchange.key
    assert len({Exchange("What?").key for _ in range(100)}) == 100


def test_an_exchange_is_found_by_its_key_wherever_it_stands_by_now():
    first, second = Exchange("A", key="a"), Exchange("B", key="b")
    assert (place([first, second], "a"), place([first, second], "b"), place([second], "b")) == (0, 1, 0)
    assert [place(exchanges, key) for exchanges, key in (([second], "a"), ([first], ""), ([], "a"))] == [None] * 3


def test_the_events_of_a_real_question_end_in_its_answer(extractive):
    now, seen = Exchange("What does PDS do?"), []
    for event in extractive.ask(now.question):
        now = now.after(event)
        seen.append(now)
    assert seen[0].doing == "Searching"
    assert any(exchange.papers and not exchange.answer for exchange in seen)
    assert isinstance(now.answer, Answer)
    assert not now.answer.refused
    assert [exchange.answer for exchange in seen[:-1]] == [None] * (len(seen) - 1)


def test_a_stopped_exchange_shows_nothing_unchecked():
    half = Exchange("What?", papers=(a_paper("Zorb"),), doing="Writing", share=0.5, draft="It so")
    assert half.stopped() == Exchange("What?", failure=half.stopped().failure, key=half.key)
    assert "Stopped" in half.stopped().failure
    assert "It so" not in shown(half.stopped()).text


def test_a_failed_exchange_keeps_its_question_and_notices_and_says_why():
    half = Exchange("What?", notices=("Know this.",), doing="Writing", draft="It so")
    failed = half.failed(Busy("Too many are waiting."))
    assert failed == Exchange("What?", notices=("Know this.",), failure="Too many are waiting.", key=half.key)
    assert notices(shown(failed)) == ["Know this.", "Too many are waiting."]


def test_follow_ups_lean_on_answers_alone():
    understood = an_answer("It sorts.", understood="What does Zorb do?")
    exchanges = [Exchange("A", ANSWER), Exchange("B", failure="No."), Exchange("C", understood)]
    assert turns(exchanges) == [Turn.of(ANSWER), Turn.of(understood)]
    assert turns(exchanges)[1].question == "What does Zorb do?"
    assert turns([]) == []


# Conversations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
@settings(deadline=None)
@given(text=TEXT)
def test_no_text_adds_a_tag_or_an_attribute_or_changes_in_one(block, text):
    assert_only_text(BLOCKS[block], text)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_markdown_or_mathematics_reaches_the_page(block, text):
    assert_plain(BLOCKS[block], text)


@settings(deadline=None)
@given(TEXT)
def test_an_answer_is_copied_as_it_was_whatever_it_holds(text):
    (copy,) = shown(Exchange("What?", an_answer(text))).pressed("copy")
    assert copy.data["text"] == lined(as_text(an_answer(text)))


def test_exchanges_stand_in_order_under_their_questions():
    reader = shown(Exchange("First?", ANSWER), Exchange("Second?", REFUSAL))
    assert [article.attributes["aria-label"] for article in reader.of("article")] == ["Question 1", "Question 2"]
    assert [heading.text for heading in reader.of("h3")] == ["First?", "Second?"]
    assert [ANSWER.answer in article.text for article in reader.of("article")] == [True, False]


def test_screen_readers_are_told_each_answer_or_why_there_is_none():
    reader = shown(Exchange("A", ANSWER), Exchange("B", REFUSAL, notices=("Know this.",)), Exchange("C", failure="No."))
    assert spoken(reader) == [ANSWER.answer, REFUSAL.answer, "No."]
    assert spoken(reader) == [article.data["status"] for article in reader.of("article")]


def test_only_the_last_question_can_be_asked_again_or_changed():
    reader = shown(Exchange("A", ANSWER), Exchange("B", failure="No."), Exchange("C", ANSWER, key="c"))
    assert [button.data for button in reader.pressed("retry")] == [{"exchange": "c"}]
    assert [button.data for button in reader.pressed("edit")] == [{"exchange": "c"}]


def test_while_another_is_asked_no_question_can_be_asked_again_or_changed():
    exchanges = Exchange("A", ANSWER), Exchange("B", failure="No."), Exchange("C", ANSWER)
    idle, busy = shown(*exchanges), shown(*exchanges, idle=False)
    assert busy.pressed("retry") == busy.pressed("edit") == []
    for do in ("copy", "rate", "open"):
        assert [button.data for button in busy.pressed(do)] == [button.data for button in idle.pressed(do)] != []


def test_what_failed_can_be_asked_again_but_neither_copied_nor_rated():
    reader = shown(Exchange("A", ANSWER, key="a"), Exchange("B", failure="No.", key="b"))
    assert [button.data["exchange"] for button in reader.pressed("rate")] == ["a", "a"]
    assert len(reader.pressed("copy")) == len(reader.of(".pt-made")) == 1
    assert [button.data for button in reader.pressed("retry")] == [{"exchange": "b"}]


def test_a_refusal_is_an_answer_to_be_copied_and_rated():
    reader = shown(Exchange("A", REFUSAL))
    assert len(reader.pressed("copy")) == 1
    assert len(reader.pressed("rate")) == 2


@pytest.mark.parametrize(
    ("ratings", "pressed"),
    [
        ({"a": "up"}, ["true", "false"]),
        ({"a": "down"}, ["false", "true"]),
        ({}, ["false"] * 2),
        ({"gone": "up"}, ["false"] * 2),
    ],
)
def test_the_rating_that_was_given_is_pressed(ratings, pressed):
    thumbs = shown(Exchange("A", ANSWER, key="a"), ratings=ratings).pressed("rate")
    assert [thumb.data for thumb in thumbs] == [{"exchange": "a", "rating": rating} for rating in ("up", "down")]
    assert [thumb.attributes["aria-pressed"] for thumb in thumbs] == pressed


def test_ratings_do_not_mix():
    first, second, third = (Exchange("A", ANSWER, key=key) for key in "abc")
    ratings = {"c": "down", "a": "up"}
    for exchanges in ((first, second, third), (third, first)):
        thumbs = shown(*exchanges, ratings=ratings).pressed("rate")
        pressed = {thumb.data["exchange"]: thumb.data["rating"] for thumb in thumbs
                   if thumb.attributes["aria-pressed"] == "true"}  # fmt: skip
        assert pressed == ratings


def test_no_two_buttons_or_folds_of_a_conversation_share_a_key():
    two = an_answer("x", sentences=(sentence("x", (1,), (0,)), sentence("y", (1, 2), (1, 2))),
                    citations=(citation(1, "x"), citation(1, "y"), citation(2, "z", 1)))  # fmt: skip
    reader = shown(Exchange("A", two), Exchange("A", two), Exchange("A", failure="No."))
    keys = [element.attributes["data-key"] for element in reader.elements if "data-key" in element.attributes]
    assert len(keys) > 24
    assert len(set(keys)) == len(keys)
    assert len(reader.of("details")) == sum("data-key" in fold.attributes for fold in reader.of("details")) == 4


def test_whatever_has_a_key_has_the_same_when_it_is_drawn_anew_elsewhere():
    """By it the page finds what had the keyboard, and the quotes that were unfolded."""
    exchange = Exchange("B", ANSWER, key="b")
    first, then = shown(exchange), shown(Exchange("A", REFUSAL), exchange, Exchange("C"), ratings={"b": "up"})
    keys = [{element.attributes.get("data-key") for element in reader.elements} for reader in (first, then)]
    assert keys[0] - keys[1] == {"retry b", "edit b"}
    assert {"source b 0 1", "source b 0 2", "quotes b 1", "quotes b 2"} < keys[1]


def test_what_made_an_answer_stands_under_it():
    model = ModelUsed(name="tiny", sha256=None, pinned=False)
    reader = shown(Exchange("A", an_answer("x", model=model)), Exchange("A", an_answer("x", model=None)))
    assert [made.text for made in reader.of(".pt-made")] == ["tiny, 12.3 s", "12.3 s"]


def test_a_conversation_can_be_saved_and_left_once_it_has_begun_and_nothing_is_asked():
    failed, refused, done = Exchange("A", failure="No."), Exchange("B", REFUSAL), Exchange("C", ANSWER)
    for exchanges, formats in (([failed, refused], ["markdown"]), ([done, failed], ["markdown", "bibtex"])):
        reader = shown(*exchanges)
        assert len(reader.pressed("new")) == 1
        assert [button.data for button in reader.pressed("export")] == [{"format": format_} for format_ in formats]
        assert shown(*exchanges, idle=False).pressed("new") == shown(*exchanges, idle=False).pressed("export") == []
    assert conversation([], {}) == conversation([], {}, idle=False) == ""


def test_an_exchange_alone_can_only_be_read():
    exchange = Exchange("A", ANSWER, notices=("Know this.",))
    reader = read(alone(exchange))
    assert reader.text.startswith("AKnow this.Zorb sorts marbles.")
    assert spoken(reader) == [ANSWER.answer]
    assert {element.attributes["data-do"] for element in reader.of("button")} == {"open"}
    assert {button.data["exchange"] for button in reader.pressed("open")} == {exchange.key}
    failed = read(alone(Exchange("A", failure="No.")))
    assert notices(failed) == spoken(failed) == ["No."]


@pytest.mark.parametrize("draw", [alone, underway, lambda exchange: conversation([exchange], {})])
def test_a_question_stands_as_it_was_typed_with_what_it_was_limited_to(draw):
    limited = Exchange("What does\nit do?", failure="No.", limits="Only about: Zorb")
    reader = read(draw(limited))
    assert [heading.text for heading in reader.of("h3")] == ["What does\nit do?"]
    assert [label.text for label in reader.of(".pt-label")] == ["Only about: Zorb"]
    assert read(draw(replace(limited, limits=""))).of(".pt-label") == []


def test_what_it_was_limited_to_stays_whatever_becomes_of_it():
    limited = Exchange("What?", limits="Since 2024")
    for now in (limited.after(Drafting("It")), limited.after(ANSWER), limited.stopped(), limited.failed(Busy("No."))):
        assert now.limits == "Since 2024"


def test_the_welcome_counts_the_papers_and_offers_its_questions():
    reader = read(welcome(["What does “Zorb” do?", "Why?"], 255))
    assert reader.of("h2")[0].text == "Ask 255 papers"
    assert [button.data for button in reader.pressed("example")] == [
        {"question": "What does “Zorb” do?"},
        {"question": "Why?"},
    ]


# While it is worked on -------------------------------------------------------------------------


def test_titles_are_shown_readable_while_the_answer_is_made():
    now = Exchange("What?", papers=(a_paper(r"{\sc Ofa} wins", 7),), doing="Loading the model")
    reader = read(underway(now))
    assert reader.text == "What?Loading the model…Ofa wins"
    assert [button.data for button in reader.pressed("open")] == [{"paper": f"{7:016x}", "exchange": ""}]


def test_nothing_found_yet_shows_the_stage_alone():
    reader = read(underway(Exchange("What?")))
    assert reader.text == "What?Searching…"
    assert reader.pressed("open") == []


def test_a_draft_is_marked_as_one_and_takes_the_place_of_the_titles():
    now = Exchange("What?", papers=(a_paper("Zorb"),)).after(Drafting("It may be."))
    reader = read(underway(now))
    assert [draft.text for draft in reader.of(".pt-draft")] == ["It may be."]
    assert reader.text == "What?Writing a draft, not yet checked…It may be."
    assert reader.of(".pt-answer") == []


def test_how_far_it_is_and_what_to_know_are_shown_meanwhile():
    reader = read(underway(Exchange("What?", notices=("Know this.",)).after(Doing("Fetching", 0.5))))
    assert reader.text == "What?Know this.Fetching, 50%…"
    assert reader.of("progress")[0].attributes["value"] == "0.500"


# Answers ---------------------------------------------------------------------------------------


def test_an_answer_shows_its_sentence_numbers_papers_and_quotes():
    reader = read(answered("k", ANSWER))
    assert reader.of(".pt-answer")[0].text == "Zorb sorts marbles.12"
    assert reader.text.count("Zorb sorts marbles.") == 1 + 2 * 4  # in the sentence; as title, two authors and quote
    assert [item.attributes["value"] for item in reader.of(".pt-paper")] == ["1", "2"]
    assert [quote.text for quote in reader.of("blockquote")] == ["“Zorb sorts marbles.”"] * 2


def test_a_number_opens_its_paper_at_the_quotes_of_its_sentence():
    quotes = (citation(1, "a", 4), citation(1, "b", 4), citation(2, "c", 5), citation(1, "d", 4))
    said = (sentence("One.", (1,), (0, 1)), sentence("Two.", (2, 1), (3, 2)), sentence("Three.", (1,), (1,)))
    reader = read(answered("six", an_answer("x", citations=quotes, sentences=said)))
    first, second = f"{4:016x}", f"{5:016x}"
    assert [(button.text, button.data) for button in reader.of(".pt-cite")] == [
        ("1", {"paper": first, "exchange": "six", "quotes": "0 1"}),
        ("2", {"paper": second, "exchange": "six", "quotes": "2"}),
        ("1", {"paper": first, "exchange": "six", "quotes": "3"}),
        ("1", {"paper": first, "exchange": "six", "quotes": "1"}),
    ]
    assert [button.data for button in reader.of(".pt-title")] == [
        {"paper": first, "exchange": "six"},
        {"paper": second, "exchange": "six"},
    ]
    keys = ["source six 0 1", "source six 1 2", "source six 1 1", "source six 2 1"]
    assert [button.attributes["data-key"] for button in reader.of(".pt-cite")] == keys


def test_a_number_says_its_source():
    quotes = (citation(1, "Zorb"), citation(2, "Quux", 1))
    numbers = read(answered("k", an_answer("x", citations=quotes))).of(".pt-cite")
    assert [number.attributes["aria-label"] for number in numbers] == ["Source 1: Zorb", "Source 2: Quux"]


def test_quotes_of_a_paper_stand_under_one_title():
    quotes = (citation(1, "x"), citation(1, "y"), citation(2, "z", 1))
    reader = read(answered("k", an_answer("x", citations=quotes)))
    assert len(reader.of(".pt-title")) == 2
    assert [shown.text for shown in reader.of("details")] == ["2 quotes“x”“y”", "1 quote“z”"]


@pytest.mark.parametrize(
    ("support", "extracted", "mark"),
    [
        (0.8, False, []),
        (1.0, True, ["(quoted)"]),
        (0.79, False, ["(support 79%)"]),
        (0.5, True, ["(support 50%)"]),  # the doubt is what a reader must know
    ],
)
def test_a_sentence_is_marked_where_it_is_weak_or_not_the_models_own(support, extracted, mark):
    said = sentence("x", support=support, extracted=extracted)
    reader = read(answered("k", an_answer("x", sentences=(said,))))
    assert [made.text for made in reader.of(".pt-mark")] == mark
    assert len(reader.of(".pt-weak")) == (support < 0.8)


def test_each_kind_of_mark_is_explained_once_and_only_where_there_is_one():
    plain, weak, quoted = sentence("x"), sentence("x", support=0.5), sentence("x", extracted=True)
    means = {
        (plain,): [],
        (plain, weak, weak): ["“support 55%” means"],
        (quoted, plain, quoted): ["“quoted” means"],
        (quoted, weak): ["“support 55%” means", "“quoted” means"],
        (sentence("x", support=0.5, extracted=True),): ["“support 55%” means"],
    }
    for sentences, expected in means.items():
        labels = read(answered("k", an_answer("x", sentences=sentences))).of(".pt-label")
        assert [label.text.split(":")[0] for label in labels] == expected
    reader = read(answered("k", an_answer("x", sentences=(quoted,), mode="extractive")))
    assert [label.text for label in reader.of(".pt-label")] == ["Extracted from the abstracts; no model wrote this"]
    assert reader.of(".pt-mark") == []  # it goes without saying


def test_extracted_answers_say_so():
    label = "no model wrote this"
    assert label in read(answered("k", an_answer("x", mode="extractive"))).text
    assert label not in read(answered("k", an_answer("x"))).text
    assert label not in read(answered("k", an_answer("x", mode="extractive", refused=True))).text


def test_a_follow_up_says_as_what_it_was_understood():
    for refused in (False, True):
        said = read(answered("k", an_answer("x", refused=refused, understood="What does Zorb do?"))).text
        assert said.startswith("Understood as: What does Zorb do?x")
        assert "Understood" not in read(answered("k", an_answer("x", refused=refused))).text


def test_lists_are_shown_as_lists():
    said = (sentence("One.", (1,), (0,)), sentence("Two.", (2,), (1,)))
    reader = read(answered("k", an_answer("- One [1].\n- Two [2].", kind="list", sentences=said)))
    (shown,) = reader.of(".pt-answer")
    assert shown.text == "One.1Two.2"
    assert [item.text for item in reader.of("li")][:2] == ["One.1", "Two.2"]
    prose = read(answered("k", an_answer("x", sentences=said)))
    assert "ul" not in prose.tags
    assert prose.of(".pt-answer")[0].text == "One.1 Two.2"


def test_a_refusal_shows_the_nearest_papers_and_no_quotes():
    reader = read(answered("k", REFUSAL))
    assert reader.text == "The papers don't say.Nearest papersThe papers don't say."
    assert reader.of(".pt-refusal")
    assert reader.of("blockquote") == reader.of(".pt-answer") == reader.of(".pt-cite") == []
    assert [button.data["paper"] for button in reader.pressed("open")] == ["0" * 16]


def test_a_refusal_without_nearest_papers_offers_none():
    assert read(answered("k", an_answer("No.", refused=True, nearest=()))).text == "No."


@pytest.mark.parametrize(
    ("source", "said"),
    [("page", ""), ("catalogue", "from the list of published titles"), ("derived", "made up from the abstract")],
)
def test_only_titles_that_no_page_prints_say_where_they_come_from(source, said):
    text = read(answered("k", an_answer("x", citations=(citation(1, "x", title_source=source),)))).text
    assert said in text
    assert ("2024-03 · x, x · title " in text) == bool(said)


@pytest.mark.parametrize(
    ("known", "about"),
    [
        ({"authors": ("A", "B")}, "2024-03 · A, B"),
        ({"authors": ("A", "B", "C", "D")}, "2024-03 · A, B, C et al."),
        ({"authors": ("A",), "authors_complete": False}, "2024-03 · A et al."),
        ({"authors": ("A",), "date": None}, "A"),
        ({"authors": ()}, "2024-03"),
        ({"authors": (), "date": None}, ""),
    ],
)
def test_date_and_first_authors_stand_under_a_title(known, about):
    only = an_answer("x", citations=(citation(1, "x", **known),))
    assert [shown.text for shown in read(answered("k", only)).of(".pt-about")] == [about]


def test_quotes_are_readable():
    quoted = citation(1, "x", quote=r"It is $\alpha$-fair,  \textbf{really}.")
    assert (
        read(answered("k", an_answer("x", citations=(quoted,)))).of("blockquote")[0].text == "“It is α-fair, really.”"
    )


def test_a_real_answer_opens_the_papers_that_it_cites(extractive):
    answer = extractive.answer("What does PDS do?")
    numbers = read(answered("k", answer)).of(".pt-cite")
    assert numbers
    for number in numbers:
        quoted = [answer.citations[int(q)] for q in number.data["quotes"].split()]
        assert quoted
        assert {(str(c.n), c.paper_id) for c in quoted} == {(number.text, number.data["paper"])}
        assert number.data["paper"] in extractive.index.papers
