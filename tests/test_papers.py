import json

import pytest

from rag.errors import PageError
from rag.papers import (
    Catalogue,
    Paper,
    Record,
    Source,
    arxiv_date,
    derived_title,
    find_links,
    join_papers,
    join_sources,
    paper_id,
    papers_from,
)

ABSTRACT = "We propose a method that learns low-rank updates of large models with very few trained weights."


def record(abstract=ABSTRACT, file="a.txt", start=0, **fields):
    return Record(Source(file=file, start=start, end=start + len(abstract), record=1), abstract, **fields)


def only_paper(*records, catalogue=None):
    (paper,) = papers_from(records, catalogue)
    return paper


def by_author(*authors, listed_on=()):
    return Paper(
        paper_id="0", title="T", title_source="page", abstract=ABSTRACT, authors=authors, listed_on=tuple(listed_on)
    )


def test_paper_id_is_sixteen_hex_digits():
    assert len(paper_id(ABSTRACT)) == 16
    int(paper_id(ABSTRACT), 16)


@pytest.mark.parametrize(
    "same", [ABSTRACT.upper(), f"  {ABSTRACT}\n", ABSTRACT.replace(" ", "\u00a0\t"), ABSTRACT.replace("W", "Ｗ")]
)
def test_paper_id_is_blind_to_case_spacing_and_unicode_form(same):
    assert same != ABSTRACT
    assert paper_id(same) == paper_id(ABSTRACT)


def test_paper_id_sees_every_word():
    assert paper_id(ABSTRACT.replace("few", "many")) != paper_id(ABSTRACT)


def test_papers_come_in_the_order_in_which_they_were_read():
    papers = papers_from([record("Second."), record("First."), record("Second.", file="b.txt")])
    assert [paper.abstract for paper in papers] == ["Second.", "First."]


def test_the_same_abstract_on_two_pages_is_one_paper_with_two_sources():
    paper = only_paper(record(file="b.txt", start=7), record(file="a.txt", start=3))
    assert [(source.file, source.start) for source in paper.sources] == [("a.txt", 3), ("b.txt", 7)]


def test_the_same_place_read_twice_is_one_source():
    assert len(only_paper(record(), record()).sources) == 1


def test_reprints_in_another_case_keep_the_first_abstract():
    assert only_paper(record(), record(ABSTRACT.upper(), file="b.txt")).abstract == ABSTRACT


@pytest.mark.parametrize("turn", [1, -1], ids=["untitled first", "titled first"])
def test_a_printed_title_beats_a_derived_one_in_either_order(turn):
    paper = only_paper(*[record(), record(file="b.txt", title="Printed")][::turn])
    assert (paper.title, paper.title_source) == ("Printed", "page")


@pytest.mark.parametrize("turn", [1, -1], ids=["catalogue first", "page first"])
def test_a_printed_title_beats_the_catalogue_and_keeps_its_link(turn):
    catalogue = Catalogue(({"begins": "We propose", "title": "Published", "arxiv": "2403.02884"},))
    paper = only_paper(*[record(), record(file="b.txt", title="Printed")][::turn], catalogue=catalogue)
    assert (paper.title, paper.title_source) == ("Printed", "page")
    assert paper.url == "https://arxiv.org/abs/2403.02884"


def test_what_one_page_leaves_out_another_gives():
    bare = record(title="Printed")
    full = record(
        file="b.txt",
        authors=("Ada Lovelace",),
        authors_complete=False,
        affiliations=("analytical-engines",),
        listed_on="Charles Babbage",
        date="2024-05-06",
        date_text="May 6, 2024",
        category="CL",
        code=False,
        arxiv="2405.01234",
    )
    paper = only_paper(bare, full)
    assert paper.authors == ("Ada Lovelace",)
    assert not paper.authors_complete
    assert paper.affiliations == ("analytical-engines",)
    assert paper.listed_on == ("Charles Babbage",)
    assert (paper.date, paper.date_text) == ("2024-05-06", "May 6, 2024")
    assert (paper.category, paper.code) == ("CL", False)
    assert paper.url == "https://arxiv.org/abs/2405.01234"


def test_a_doi_leads_to_the_paper_unless_it_is_on_the_arxiv():
    doi = record(doi="10.1000/a<1>#2", url="https://a.org/1")
    assert only_paper(doi).url == "https://doi.org/10.1000/a%3C1%3E%232"
    assert only_paper(record(url="https://a.org/1")).url == "https://a.org/1"
    joined = only_paper(record(arxiv="2405.01234", file="b.txt"), doi)
    assert (joined.url, joined.doi) == ("https://arxiv.org/abs/2405.01234", "10.1000/a<1>#2")


def test_what_the_first_page_says_stands():
    paper = only_paper(record(date="2024-05-06", code=False), record(file="b.txt", date="2023-01-01", code=True))
    assert (paper.date, paper.code) == ("2024-05-06", False)


def test_a_paper_on_two_author_pages_is_listed_on_both_once():
    owners = [record(file=f"{i}.txt", listed_on=owner) for i, owner in enumerate(["Ada", "Bob", "Ada"])]
    assert only_paper(*owners).listed_on == ("Ada", "Bob")


def test_papers_join_as_their_records_do():
    first, second = record(), record(file="b.txt", title="Printed")
    assert join_papers(only_paper(first), only_paper(second)) == only_paper(first, second)


def test_sources_can_be_replaced():
    paper = only_paper(record(file="a.txt"), record(file="b.txt"))
    assert join_sources(paper, paper.sources[1:]).sources == paper.sources[1:]


def test_an_unknown_title_is_the_first_ten_words_in_plain_sight():
    assert derived_title("one two three four five six seven eight nine ten eleven") == (
        "[untitled] one two three four five six seven eight nine ten…"
    )


def test_a_derived_title_of_a_whole_abstract_has_no_ellipsis():
    assert derived_title("Only  four\nwords here.") == "[untitled] Only four words here."


@pytest.mark.parametrize(
    ("arxiv", "month"),
    [("2403.02884", "2024-03"), ("0704.0001", "2007-04"), ("2412.1234", "2024-12"), ("2413.00001", None)],
)
def test_the_month_is_read_from_an_arxiv_id(arxiv, month):
    assert arxiv_date(arxiv) == month


def test_an_arxiv_id_from_before_2007_gives_no_date():
    assert arxiv_date("cs/0112017") is None


@pytest.mark.parametrize(
    "mention", ["(arXiv:2403.02884)", "arXiv: 2403.02884v2.", "https://arxiv.org/abs/2403.02884", "ArXiv:2403.02884"]
)
def test_an_arxiv_id_in_the_abstract_is_a_link_to_some_paper_not_the_papers_own(mention):
    paper = only_paper(record(f"{ABSTRACT} {mention}"))
    assert (paper.url, paper.date, paper.links) == (None, None, ("https://arxiv.org/abs/2403.02884",))


def test_the_date_on_the_page_beats_the_month_of_the_arxiv_id():
    assert only_paper(record(arxiv="2403.02884", date="2024-05-06")).date == "2024-05-06"


def test_a_bare_number_is_no_arxiv_id():
    assert only_paper(record("We train on 2403.02884 tokens.")).url is None


def test_a_paper_without_year_or_id_has_no_date():
    paper = only_paper(record(date_text="Feb 2"))
    assert (paper.date, paper.date_text, paper.url) == (None, "Feb 2", None)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("Code: https://github.com/a/b.", ["https://github.com/a/b"]),
        ("(https://a.org/x).", ["https://a.org/x"]),
        ("(see https://a.org/x), too", ["https://a.org/x"]),
        (r"\url{https://a.org/x_y}.", ["https://a.org/x_y"]),
        ("https://en.wikipedia.org/wiki/Attention_(machine_learning)", None),
        ("https://a.org/?q=1&r=2#top", None),
        ("http://a.org/ and https://b.org/;", ["http://a.org/", "https://b.org/"]),
        ("https://a.org https://a.org", ["https://a.org"]),
        ("no link: www, github", []),
    ],
)
def test_links_are_found_without_the_punctuation_after_them(text, links):
    assert list(find_links(text)) == ([text] if links is None else links)


@pytest.mark.parametrize("text", ["“https://a.org/x”", "[https://a.org/x]", "‘https://a.org/x’.", "(https://a.org/x)]"])
def test_closing_quotes_and_brackets_are_no_part_of_a_link(text):
    assert find_links(text) == ("https://a.org/x",)


def test_a_link_with_brackets_of_its_own_may_stand_in_brackets():
    assert find_links("(see https://a.org/x_(y))") == ("https://a.org/x_(y)",)


@pytest.mark.parametrize("name", ["Weizhu Chen", "chen", "chen weizhu", "W. Chen", "Edward Hu", "edward j hu"])
def test_an_author_is_found_by_any_words_of_the_name(name):
    assert by_author("Weizhu Chen", "Edward J. Hu").has_author(name)


@pytest.mark.parametrize("name", ["Jose Garcia", "José García", "Zhong Zhi", "zhong-zhi li"])
def test_accents_and_hyphens_do_not_matter_in_names(name):
    assert by_author("José García-López", "Zhong-Zhi Li").has_author(name)


def test_words_of_two_authors_are_not_one_name():
    assert not by_author("Weizhu Chen", "Edward Hu").has_author("Weizhu Hu")


def test_the_middle_of_a_name_is_not_a_name():
    assert not by_author("Weizhu Chen").has_author("hen")


def test_the_owner_of_the_page_is_an_author():
    assert by_author("Greg Yang", listed_on=["Weizhu Chen"]).has_author("Chen")


def test_a_paper_without_authors_has_no_author():
    assert not by_author().has_author("Chen")


def test_the_digest_changes_with_anything_that_is_stored():
    paper = only_paper(record(title="Printed"))
    changes = {"title": "Other", "authors": ("A",), "date": "2024", "code": True, "sources": (), "listed_on": ("B",)}
    digests = {paper.model_copy(update={name: value}).digest for name, value in changes.items()}
    assert len(digests | {paper.digest}) == len(changes) + 1


def test_the_digest_of_the_same_paper_is_the_same():
    assert only_paper(record()).digest == only_paper(record()).digest


def test_a_catalogue_entry_without_id_matches_what_the_abstract_begins_with():
    catalogue = Catalogue(({"begins": "We propose a method", "title": "Published"},))
    assert only_paper(record(), catalogue=catalogue).title == "Published"
    assert only_paper(record("We propose nothing."), catalogue=catalogue).title_source == "derived"


def test_a_catalogue_entry_with_an_id_ignores_what_abstracts_begin_with():
    catalogue = Catalogue(({"begins": "We propose", "title": "Published", "paper_id": paper_id(ABSTRACT)},))
    own, other = papers_from([record(), record("We propose something else.")], catalogue)
    assert (own.title, own.title_source) == ("Published", "catalogue")
    assert (other.title, other.title_source) == ("[untitled] We propose something else.", "derived")


def test_a_paper_from_before_2007_in_the_catalogue_is_read_without_a_date():
    catalogue = Catalogue(({"begins": "We propose", "title": "Old", "arxiv": "cs/0112017"},))
    paper = only_paper(record(), catalogue=catalogue)
    assert (paper.url, paper.date) == ("https://arxiv.org/abs/cs/0112017", None)


def test_a_catalogue_is_read_from_its_file(tmp_path):
    entries = [{"begins": "We propose", "title": "Publié"}, {"paper_id": "0123456789abcdef", "title": "B"}]
    (tmp_path / "titles.json").write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    assert Catalogue.load(tmp_path / "titles.json").entries == tuple(entries)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{not json",
        b"7",
        b'{"begins": "x", "title": "y"}',
        b'["title"]',
        b'[{"begins": "x"}]',
        b'[{"title": "x"}]',
        b'[{"title": "", "begins": "x"}]',
        b'[{"title": "caf\xe9", "begins": "x"}]',
    ],
)
def test_a_bad_catalogue_is_refused_by_name(tmp_path, content):
    path = tmp_path / "titles.json"
    path.write_bytes(content)
    with pytest.raises(PageError, match=r"titles\.json is not a list of titles"):
        Catalogue.load(path)


@pytest.mark.parametrize(
    "entry",
    [{"title": 7, "begins": "We"}, {"title": "T", "begins": 7}, {"title": "T", "begins": "We", "arxiv": 2403.02884}],
)
def test_catalogue_values_that_are_not_strings_are_refused(tmp_path, entry):
    path = tmp_path / "titles.json"
    path.write_text(json.dumps([entry]))
    with pytest.raises(PageError):
        Catalogue.load(path)


@pytest.mark.parametrize(
    ("name", "found"), [("Li", True), ("yixiao li", True), ("Y. Li", True), ("Lia", False), ("L", True)]
)
def test_an_author_is_found_by_whole_words_and_initials(name, found):
    assert only_paper(record(authors=("Yixiao Li", "Chen Liang"))).has_author(name) is found
    assert only_paper(record(authors=("Chen Liang",))).has_author("Li") is False
