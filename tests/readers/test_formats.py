"""What other programs export: every format, as those programs write it, with what is wrong with some entries."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rag.errors import PageError
from rag.export import as_bibtex
from rag.papers import Paper
from rag.readers import LeftOut, read_corpus

SAMPLES = Path(__file__).parent / "samples"
EACH = sorted(path.name for path in SAMPLES.iterdir())


def read(path: Path) -> tuple[dict[str, Paper], LeftOut]:
    left_out = LeftOut()
    return {paper.title: paper for paper in read_corpus(path, "x", left_out)}, left_out


def sample(name: str) -> tuple[dict[str, Paper], LeftOut]:
    return read(SAMPLES / name)


def written(folder: Path, content: str | bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only(folder: Path, content: str | bytes, name: str) -> Paper:
    (paper,) = read(written(folder, content, name))[0].values()
    return paper


# As they are exported --------------------------------------------------------------------------


def test_zotero_s_bibtex() -> None:
    papers, left_out = sample("zotero.bib")
    assert list(papers) == [
        "Sieves for DNA: Sorting in vitro",
        "Compilers of Gravel: A Survey",
        "The First of Two Keys",
        "The Second of Two Keys",
        "Photo 51, in Parentheses",
        "On the Invariants of Kettles",
    ]
    sieves = papers["Sieves for DNA: Sorting in vitro"]
    assert sieves.abstract == (
        "We sort 94% of all strands & lose none (p < 0.05). Our sieve, Gravisort, needs 10⁻⁶ mol – a tenth of what "
        "Gödel's étude needed."
    )
    assert sieves.authors == ("Ada Lovelace", "Kurt Gödel", "Johannes van der Waals", "Sieve Consortium")
    assert (sieves.date, sieves.doi, sieves.title_source) == ("2021-04", "10.1000/sieves.2021_04", "page")
    assert sieves.url == "https://doi.org/10.1000/sieves.2021_04"
    compilers = papers["Compilers of Gravel: A Survey"]
    assert (compilers.authors, compilers.authors_complete) == (("Grace Hopper",), False)
    assert (compilers.url, compilers.date, compilers.category) == (
        "https://arxiv.org/abs/2305.01234",
        "2023-05",
        "cs.PL",
    )
    assert papers["On the Invariants of Kettles"].date == "1918-07-26"  # that of what it refers to
    assert papers["On the Invariants of Kettles"].abstract == "A kettle that boils keeps its “warmth”. We prove it."
    assert papers["Photo 51, in Parentheses"].date == "1952-05-06"
    assert papers["The Second of Two Keys"].authors == ("Irène Curie",)
    assert left_out.without_abstract == 2
    assert left_out.problems == [
        f"{SAMPLES / 'zotero.bib'}, line 71: the entry is broken: a brace, a comma or a quotation mark is missing."
    ]


def test_mendeley_s_ris() -> None:
    papers, left_out = sample("mendeley.ris")
    marbles = papers["Sorting Marbles by Sound"]
    assert marbles.authors == ("Ann Hypatia", "Juana Inés de la Cruz", "Henry Ford Jr.")
    assert marbles.abstract == (
        "Background: Marbles sound different. Methods: We listened to 1,200 of them. Results: 97% were told apart."
    )
    assert (marbles.date, marbles.doi) == ("2019-03-14", "10.1000/marbles.7")
    kettle = papers["A Kettle that Listens"]
    assert (kettle.authors, kettle.date) == (("Mary Somerville",), "2020-12")
    assert kettle.url == "https://arxiv.org/abs/2012.00001"
    assert papers["The Entry that Nobody Ended"].date == "2001"
    assert papers["The Last of the File"].abstract == "Here the file ends, in the midst of an entry."
    assert (len(papers), left_out.without_abstract, left_out.unread) == (4, 1, 0)


def test_the_arxiv_s_dump() -> None:
    papers, left_out = sample("arxiv-metadata-oai-snapshot.json")
    assert len(papers) == 13
    sieve = papers["On the sieve that was never built"]
    assert sieve.abstract == (
        "We build a sieve of mass $m_0^2$ that nobody built before. It weighs 1 kilograms, and it is the lightest "
        "sieve known."
    )
    assert sieve.authors == ("C. Balázs", "E. L. Berger Jr.", "Sieve Collaboration")
    assert (sieve.date, sieve.category, sieve.doi) == ("2007-04-02", "cs.CL", "10.1000/sieve")
    assert sieve.url == "https://arxiv.org/abs/0704.0001"
    old = papers["An old one"]
    assert (old.url, old.date, old.authors) == ("https://arxiv.org/abs/math/0112017", "2001-12-20", ("Paul Erdős",))
    assert not left_out


def test_pubmed_s_xml() -> None:
    papers, left_out = sample("pubmed.xml")
    trial = papers["Kettles against Escherichia coli: a trial of 10³ cups."]
    assert trial.abstract == (
        "BACKGROUND: Cups carry germs. METHODS: We boiled H2O in 1,000 kettles (p < 0.05). Nothing survived."
    )
    assert (trial.authors, trial.authors_complete) == (
        ("Florence Nightingale", "M Seacole Jr", "Kettle Trial Group"), False
    )  # fmt: skip
    assert (trial.date, trial.doi) == ("2020-03-05", "10.1000/aim.2020.001")
    tea = papers["[On the boiling of tea]."]
    assert (tea.date, tea.url, tea.authors_complete) == ("1998-11", "https://pubmed.ncbi.nlm.nih.gov/10000002/", True)
    assert papers["Chapter one"].date == "2011-06"
    assert (len(papers), left_out.without_abstract, left_out.unread) == (3, 1, 0)


def test_tables() -> None:
    papers, left_out = sample("fields.csv")
    pebbles = papers["Counting Pebbles, Quickly"]
    assert pebbles.abstract == 'We count pebbles. A second line, with "quotes" and, commas; 40% faster.'
    assert (pebbles.authors, pebbles.date) == (("Satyendra Bose", "Lise Meitner"), "2022-11")
    assert papers["Limits of Kettles"].url == "https://arxiv.org/abs/2401.05678"
    assert (len(papers), left_out.without_abstract) == (2, 1)
    papers, left_out = sample("fields.tsv")
    tabs = papers["Tabs between Fields"]
    assert (tabs.authors, tabs.category) == (("Wu Chien-Shiung", "Maria Goeppert Mayer"), "physics.gen-ph")
    assert tabs.url == "https://arxiv.org/abs/2301.00042"
    after = papers["The Row after It"]
    assert (after.authors, after.authors_complete, after.date) == (("Enrico Fermi",), False, "1934")
    (problem,) = left_out.problems
    assert "fields.tsv, line 3: the row has 8 columns, and the first line names 6" in problem


def test_json_of_anybody_s_own() -> None:
    papers, left_out = sample("papers.jsonl")
    assert papers["Objects for Authors"].authors == ("Emmy Noether", "Lise Meitner", "Sieve Consortium")
    assert papers["Objects for Authors"].date == "2020-05"
    names = papers["Names for Authors"]
    assert (names.authors, names.date) == (("Ada Lovelace", "Grace Hopper", "Alan Turing"), "2018-06-12")
    assert names.url == "https://doi.org/10.1000/names"
    assert papers["Crossref's Own Way"].abstract == "Of 10⁵ records & more, most have tags."
    outside = papers["Identified from Outside"]
    assert (outside.url, outside.doi) == ("https://arxiv.org/abs/2008.01234", "10.1000/outside")
    assert [said.partition(", ")[2][:24] for said in left_out.problems] == [
        "line 5: it is not JSON: ", "line 6: it is not an obj"
    ]  # fmt: skip
    papers, left_out = sample("csl.json")
    assert papers["Kettles, Again"].authors == ("Emmy Noether", "Ludwig van Beethoven", "Kettle Group")
    assert papers["Kettles, Again"].date == "1921-05-17"
    assert papers["Works of a Catalogue"].authors == ("Katherine Johnson", "Dorothy Vaughan")
    assert "record 3: it is not an object" in left_out.problems[0]
    assert list(sample("wrapped.json")[0]) == ["Wrapped Twice", "Wrapped Twice, Too"]


def test_a_folder_of_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for i, name in enumerate(EACH):
        shutil.copy(SAMPLES / name, tmp_path / "inner" if i % 2 else tmp_path)
    written(tmp_path, b"%PDF-1.4", "paper.pdf")
    papers, left_out = read(tmp_path)
    alone = [sample(name) for name in EACH]
    assert len(papers) == sum(len(found) for found, _ in alone)
    assert left_out.unread == sum(told.unread for _, told in alone)
    assert (left_out.others, left_out.cut_off) == (1, set())
    assert {paper.sources[0].file.count("/") for paper in papers.values()} == {1, 2}


@pytest.mark.parametrize("name", EACH)
def test_a_source_is_the_number_of_the_record(name: str) -> None:
    places = [source for paper in sample(name)[0].values() for source in paper.sources]
    assert [place.start for place in places] == [place.end for place in places] == [place.record for place in places]
    assert len({place.start for place in places}) == len(places)


@pytest.mark.parametrize("name", EACH)
def test_gzip_changes_nothing(name: str, tmp_path: Path) -> None:
    packed = written(tmp_path, gzip.compress((SAMPLES / name).read_bytes()), f"{name}.gz")
    assert list(read(packed)[0].values()) == [
        paper.model_copy(
            update={"sources": tuple(s.model_copy(update={"file": f"x/{name}.gz"}) for s in paper.sources)}
        )
        for paper in sample(name)[0].values()
    ]


@pytest.mark.parametrize("name", [name for name in EACH if not name.startswith("fields")])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_a_name_that_says_nothing_is_no_hindrance(name: str, mark: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, mark + (SAMPLES / name).read_bytes(), "download.txt")
    assert len(read(path)[0]) == len(sample(name)[0])


def test_what_was_exported_here_is_read_as_it_was(tmp_path: Path) -> None:
    """BibTeX of ours has no abstracts; with them it is what any other is."""
    papers = [paper for name in EACH for paper in sample(name)[0].values()]
    entries = [
        f"{as_bibtex([paper]).rstrip()[:-1]},\n\tabstract = {{Number {i}.}}\n}}\n" for i, paper in enumerate(papers)
    ]
    again, left_out = read(written(tmp_path, "".join(entries), "ours.bib"))
    assert not left_out
    for paper in papers:
        same = again[paper.title]
        assert (same.authors, same.authors_complete) == (paper.authors, paper.authors_complete)
        assert same.date == (paper.date and paper.date[:7])  # BibTeX has no days
        assert (same.doi, same.url) == (paper.doi, paper.url)


# What is different in some files ---------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_s_delimiter_and_encoding_are_found_out(
    encoding: str, delimiter: str, end: str, tmp_path: Path
) -> None:
    rows = [["Article Title", "Authors", "Publication Year", "Abstract"],
            ["Über Kessel", "Noether, Emmy; Curie, Irène", "1921", "Kessel, die kochen; naïve | “ja”."]]  # fmt: skip
    text = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    paper = only(tmp_path, text.encode(encoding), "kessel.csv")
    assert (paper.title, paper.abstract) == ("Über Kessel", "Kessel, die kochen; naïve | “ja”.")
    assert (paper.authors, paper.date) == (("Emmy Noether", "Irène Curie"), "1921")


@pytest.mark.parametrize("name", ["a.bib", "a.ris"])
def test_an_export_of_old_windows_is_read(name: str, tmp_path: Path) -> None:
    content = {"a.bib": "@misc{a,\n title = {Étude},\n abstract = {Où?}}\n",
               "a.ris": "TY  - GEN\nTI  - Étude\nAB  - Où?\nER  - \n"}[name]  # fmt: skip
    paper = only(tmp_path, content.encode("cp1252"), name)
    assert (paper.title, paper.abstract) == ("Étude", "Où?")


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ("year = 2020", "2020"),
        ("year = {2020}, month = feb", "2020-02"),
        ("year = {2020}, month = {February}", "2020-02"),
        ("year = {2020}, month = {2}, day = {29}", "2020-02-29"),
        ('year = {2020}, month = "29~" # feb', "2020-02-29"),
        ("year = {2020}, month = {2}, day = {30}", "2020-02"),
        ("year = {2020}, month = {Feb.--Mar.}", "2020-02"),
        ("date = {2020-02-29/2020-03-01}", "2020-02-29"),
        ("year = {in press}", None),
        ("year = {20201}", None),
    ],
)
def test_dates_of_bibtex(fields: str, date: str | None, tmp_path: Path) -> None:
    assert only(tmp_path, f"@misc{{a, {fields}, abstract = {{An abstract.}}}}", "a.bib").date == date


@pytest.mark.parametrize(
    ("value", "names", "complete"),
    [
        ("Ada Lovelace, Grace Hopper and Alan Turing", ["Ada Lovelace", "Grace Hopper", "Alan Turing"], True),
        ("Lovelace, Ada and Hopper, Grace", ["Ada Lovelace", "Grace Hopper"], True),
        ("Lovelace, Ada; Hopper, Grace", ["Ada Lovelace", "Grace Hopper"], True),
        ("Ada Lovelace, Grace Hopper", ["Ada Lovelace", "Grace Hopper"], True),
        ("Lovelace, Ada", ["Ada Lovelace"], True),
        ("Smith J, Doe A, and Roe B, et al.", ["Smith J", "Doe A", "Roe B"], False),
        (["Lovelace, Ada", "Grace Hopper", "et al."], ["Ada Lovelace", "Grace Hopper"], False),
        ({"name": "Plato"}, ["Plato"], True),
        ([["Lovelace", "Ada", ""], {"surname": "Hopper", "forename": "Grace"}], ["Ada Lovelace", "Grace Hopper"], True),
        (7, [], True),
    ],
)
def test_authors_in_any_writing(value: Any, names: list[str], complete: bool, tmp_path: Path) -> None:
    paper = only(tmp_path, json.dumps([{"abstract": "An abstract.", "authors": value}]), "a.json")
    assert (list(paper.authors), paper.authors_complete) == (names, complete)


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2023-05-17T08:00:00Z", "2023-05-17"), ("20230517", "2023-05-17"), (2023, "2023"), (2023.0, "2023"),
        ("17. 5. 2023", "2023"), ("17.5.2023", "2023-05-17"), ("3/4/2020", "2020"), ("Spring 1999", "1999"),
        ({"year": 2023, "month": "Dec"}, "2023-12"), ({"date-parts": [[2023, 5]]}, "2023-05"), ([2023, 13], "2023"),
        ("in press", None), (1684281600, None), ({}, None),
    ],
)  # fmt: skip
def test_dates_in_any_writing(value: Any, date: str | None, tmp_path: Path) -> None:
    paper = only(tmp_path, json.dumps([{"abstract": "An abstract.", "date": value}]), "a.json")
    assert paper.date == date


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("a &lt; b &amp;&amp; c", "a < b && c"),
        ("if a<b and c>d, then <think> stays", "if a<b and c>d, then <think> stays"),
        ('see <a href="javascript:x">here</a><br/>now', "see here now"),
        ("<jats:title>Abstract</jats:title><jats:p>We go.</jats:p>", "We go."),
        ("Abstract: We go.", "We go."),
        ("Abstract Meaning Representation is a graph.", "Abstract Meaning Representation is a graph."),
        ("x<sup>2</sup> of the 1<sup>st</sup>", "x² of the 1st"),
        ("bell \u0007, \u202eturned\u202c, \ud800 half", "bell , turned, \ufffd half"),
        (["A list", "of parts."], "A list of parts."),
        ([{"text": "Parts"}, {"text": "with text."}], "Parts with text."),
    ],
)
def test_markup_is_taken_out_of_abstracts(text: Any, read_as: str, tmp_path: Path) -> None:
    assert only(tmp_path, json.dumps({"abstract": text}), "a.jsonl").abstract == read_as


@pytest.mark.parametrize("text", ["", " ", "N/A", "No abstract available.", "[none]", "<p></p>", None])
def test_what_says_that_there_is_no_abstract_is_none(text: str | None, tmp_path: Path) -> None:
    papers, left_out = read(written(tmp_path, json.dumps([{"title": "T", "abstract": text}]), "a.json"))
    assert (papers, left_out.without_abstract, left_out.unread) == ({}, 1, 0)
    assert "There is no abstract in 1 entry" in str(left_out.error())


def test_halves_of_characters_are_kept_nowhere(tmp_path: Path) -> None:
    half = dict.fromkeys(["title", "abstract", "authors", "category", "doi", "url", "id"], "10.1000/x\ud800 \udfff")
    paper = only(tmp_path, json.dumps(half | {"date": "٢٠٢٠"}), "a.jsonl")
    assert Paper.model_validate_json(paper.model_dump_json()) == paper


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://x.org/ y", "//x.org"])
def test_only_links_to_the_web_are_links(url: str, tmp_path: Path) -> None:
    assert only(tmp_path, json.dumps([{"abstract": "An abstract.", "url": url}]), "a.json").url is None


def test_without_a_place_to_count_them_a_problem_is_an_error() -> None:
    with pytest.raises(PageError, match="line 5: it is not JSON"):
        read_corpus(SAMPLES / "papers.jsonl")
