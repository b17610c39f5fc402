from pathlib import Path

import pytest

from rag.papers import Source
from rag.readers import read_corpus
from rag.web.table import ROWS, View, drawn, selected
from tests.web.invented import a_paper, filled
from tests.web.markup import HOSTILE, assert_only_text, assert_plain, read

CORPUS = read_corpus(Path(__file__).parents[2] / "seeds", "seeds")
COLUMNS = ["Title", "Authors", "Year", "Category", "Source"]


def source(file):
    return (Source(file=file, start=0, end=1, record=1),)


ZORB = a_paper(
    "Zorb: Sorting Marbles",
    0,
    abstract="It sorts glass.",
    authors=("Ana Müller", "B. Ade"),
    date="2023-05-17",
    category="CL",
    sources=source("z/b.txt"),
)
QUUX = a_paper(
    "A Kettle for GPT-4",
    1,
    abstract=r"We boil \textbf{glass}.",
    authors=("Zoë Ng",),
    date="2024",
    category="AI",
    sources=source("a.txt"),
)
BLIP = a_paper("ünder the sea", 2, abstract="Water.", listed_on=("Jo March",))
PAPERS = [ZORB, QUUX, BLIP]


def titles(markup):
    return [button.text for button in read(markup).pressed("open")]


def cells(markup):
    """The words of each row."""
    texts = [cell.text for cell in read(markup).of("td")]
    return [texts[i : i + len(COLUMNS)] for i in range(0, len(texts), len(COLUMNS))]


def turning(markup):
    return {button.text: int(button.data["page"]) for button in read(markup).pressed("turn")}


# Searching -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [QUUX, BLIP, ZORB]),
        ("  ", [QUUX, BLIP, ZORB]),
        ("glass", [QUUX, ZORB]),
        ("GLASS", [QUUX, ZORB]),
        ("muller", [ZORB]),
        ("MÜLLER", [ZORB]),
        ("zoe", [QUUX]),
        ("Under", [BLIP]),
        ("gpt 4", [QUUX]),
        ("GPT-4", [QUUX]),
        ("glass 2023", [ZORB]),
        ("sorts glass marbles", [ZORB]),  # from title and abstract
        ("glass water", []),
        ("march", [BLIP]),
        ("textbf", []),  # what is read, not what is written
        ("cl", [ZORB]),
        ("sort marb", [ZORB]),
        ("nobody", []),
    ],
)
def test_all_words_are_looked_for_without_case_and_accents(words, expected):
    assert selected(PAPERS, View(words=words)) == expected


@pytest.mark.parametrize("words", HOSTILE[:-1])
def test_anything_can_be_searched_for(words):
    assert selected(PAPERS, View(words=words)) == []
    assert_only_text(lambda said: drawn(PAPERS, View(words=said)), words)


def test_a_search_says_how_many_it_found():
    assert [read(drawn(PAPERS, View(words=words))).of(".pt-count")[0].text for words in ("", " ", "glass", "x y")] == [
        "3 papers",
        "3 papers",
        "2 of 3 papers",
        "0 of 3 papers: none holds all of these words.",
    ]
    (count,) = read(drawn(PAPERS, View(words="glass"))).of(".pt-count")
    assert count.data["status"] == count.text  # for screen readers


def test_a_new_search_begins_on_the_first_page_and_keeps_the_order():
    assert View("a", "Year", True, 3).searched("b") == View("b", "Year", True, 0)


# Sorting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Title", [QUUX, BLIP, ZORB]),
        ("Authors", [BLIP, ZORB, QUUX]),  # by the last name of the first author, or of the page's owner
        ("Year", [ZORB, QUUX, BLIP]),
        ("Category", [QUUX, ZORB, BLIP]),
        ("Source", [QUUX, ZORB, BLIP]),
    ],
)
def test_a_column_is_sorted_both_ways_with_what_it_lacks_last(column, expected):
    lacking = 0 if column in ("Title", "Authors") else 1
    known, unknown = expected[: len(expected) - lacking], expected[len(expected) - lacking :]
    assert selected(PAPERS, View(by=column)) == known + unknown
    assert selected(PAPERS, View(by=column, descending=True)) == known[::-1] + unknown


def test_papers_alike_in_a_column_stay_in_their_order():
    alike = [a_paper(title, i, date="2024") for i, title in enumerate("CAB")]
    for descending in (False, True):
        assert selected(alike, View(by="Year", descending=descending)) == alike


@pytest.mark.parametrize("name", ["", " ", "."])
def test_an_author_without_letters_is_no_obstacle(name):
    assert selected([a_paper("x", authors=(name,))], View(by="Authors"))


def test_sorting_by_a_column_again_turns_it_round():
    view = View(page=3)
    assert view.sorted_by("Year") == View(by="Year")
    assert view.sorted_by("Year").sorted_by("Year") == View(by="Year", descending=True)
    assert view.sorted_by("Year").sorted_by("Year").sorted_by("Year") == View(by="Year")
    assert view.sorted_by("Year").sorted_by("Year").sorted_by("Title") == View()
    assert view.sorted_by("Title") == View(descending=True)


@pytest.mark.parametrize("column", ["", "title", "__class__", "Abstract"])
def test_a_column_that_there_is_not_changes_nothing(column):
    view = View("a", "Year", True, 3)
    assert view.sorted_by(column) == view


# Drawing ---------------------------------------------------------------------------------------


def test_a_row_shows_what_is_known_of_a_paper():
    assert cells(drawn(PAPERS, View())) == [
        ["A Kettle for GPT-4", "Zoë Ng", "2024", "AI", "a.txt"],
        ["ünder the sea", "Jo March", "", "", ""],
        ["Zorb: Sorting Marbles", "Ana Müller, B. Ade", "2023", "CL", "b.txt"],
    ]


def test_long_lists_of_authors_are_cut_and_titles_readable():
    paper = a_paper(r"{\sc Ofa} wins", authors=("A", "B", "C"))
    assert cells(drawn([paper], View()))[0][:2] == ["Ofa wins", "A, B et al."]


def test_a_title_opens_its_paper():
    assert [button.data["paper"] for button in read(drawn(PAPERS, View())).pressed("open")] == [
        QUUX.paper_id,
        BLIP.paper_id,
        ZORB.paper_id,
    ]


@pytest.mark.parametrize(("descending", "order", "arrow"), [(False, "ascending", "↑"), (True, "descending", "↓")])
@pytest.mark.parametrize("column", COLUMNS)
def test_the_head_says_how_the_table_is_sorted(column, descending, order, arrow):
    reader = read(drawn(PAPERS, View(by=column, descending=descending)))
    heads = reader.of("th")
    assert [head.attributes["aria-sort"] for head in heads] == [order if name == column else "none" for name in COLUMNS]
    assert [head.text for head in heads] == [f"{name} {arrow}" if name == column else name for name in COLUMNS]
    assert [button.data for button in reader.pressed("sort")] == [{"by": name} for name in COLUMNS]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_paper_adds_a_tag_or_an_attribute(text):
    def block(said):
        return drawn([filled(said), filled(said)], View())

    assert_only_text(block, text)
    assert_plain(block, text)


def test_no_papers_make_an_empty_table():
    reader = read(drawn([], View()))
    assert reader.of(".pt-count")[0].text == "0 papers"
    assert reader.of("td") == reader.pressed("turn") == []


# Pages -----------------------------------------------------------------------------------------


def test_the_pages_show_every_paper_once_in_order():
    pages = [read(drawn(CORPUS, View(page=page))).pressed("open") for page in range(6)]
    assert [len(page) for page in pages] == [ROWS] * 5 + [5]
    shown = [button.data["paper"] for page in pages for button in page]
    assert shown == [paper.paper_id for paper in selected(CORPUS, View())]
    assert len(set(shown)) == len(CORPUS)


def test_a_page_leads_to_its_neighbours():
    assert turning(drawn(CORPUS, View())) == {"Next": 1}
    assert turning(drawn(CORPUS, View(page=2))) == {"Previous": 1, "Next": 3}
    assert turning(drawn(CORPUS, View(page=5))) == {"Previous": 4}
    assert read(drawn(CORPUS, View(page=2))).of("nav")[0].text == "PreviousPage 3 of 6Next"


@pytest.mark.parametrize("page", [6, 99])
def test_a_page_beyond_the_end_is_the_last(page):
    assert drawn(CORPUS, View(page=page)) == drawn(CORPUS, View(page=5))


def test_a_page_before_the_first_is_the_first():
    assert View(page=2).turned(-1) == View()
    assert View().turned(4) == View(page=4)


@pytest.mark.parametrize(("count", "pages"), [(ROWS - 1, 1), (ROWS, 1), (ROWS + 1, 2), (2 * ROWS, 2)])
def test_a_full_page_needs_no_other(count, pages):
    markup = drawn([a_paper("x", i) for i in range(count)], View(page=9))
    assert (f"Page {pages} of {pages}" in read(markup).text) == (pages > 1)
    assert len(titles(markup)) == count - ROWS * (pages - 1)
