import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rag.errors import PageError, UsageError
from rag.papers import paper_id
from rag.readers import pages, read_corpus, read_file
from rag.readers.left_out import LeftOut, sift

SEEDS = Path(__file__).parents[2] / "seeds"
COUNTS = {"000": 10, "001": 10, "002": 50, "003": 63, "004": 125}
PROSE = "We study how language models read pages that nobody has tidied up before, which is harder than it looks. " * 4
PROSE = PROSE.strip()
OTHER = PROSE.replace("study", "measure")


def read_page(path, label=None):
    return list(sift(read_file(path, label), None))


def seed(number):
    return next(SEEDS.glob(f"{number}_*.txt"))


def records_of(number):
    return read_page(seed(number), number)


def characters(path):
    return path.read_bytes().decode("utf-8")


def page_at(folder, content, name="page.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def corpus():
    return read_corpus(SEEDS, "seeds")


@pytest.fixture(scope="module")
def by_title(corpus):
    return {paper.title: paper for paper in corpus}


@pytest.mark.parametrize(("number", "count"), COUNTS.items())
def test_every_record_of_a_seed_page_is_read(number, count):
    assert [record.source.record for record in records_of(number)] == list(range(1, count + 1))


def test_the_seeds_hold_258_records_of_255_papers(corpus):
    assert sum(len(paper.sources) for paper in corpus) == sum(COUNTS.values()) == 258
    assert len(corpus) == len({paper.paper_id for paper in corpus}) == 255


def test_every_source_holds_its_abstract_word_for_word(corpus):
    texts = {path.name: characters(path) for path in SEEDS.glob("*.txt")}
    for paper in corpus:
        for source in paper.sources:
            text = texts[source.file.removeprefix("seeds/")]
            assert text[source.start : source.end] == paper.abstract


def test_abstracts_are_whole_lines_without_outer_space(corpus):
    for paper in corpus:
        assert paper.abstract == paper.abstract.strip()
        assert "\n" not in paper.abstract
        assert len(paper.abstract) > 500


def test_no_abstract_keeps_its_label(corpus):
    assert not [paper.abstract for paper in corpus if paper.abstract.casefold().startswith("abstract")]


@pytest.mark.parametrize("number", ["000", "001"])
def test_pages_of_bare_abstracts_have_no_titles_of_their_own(number):
    assert {record.title for record in records_of(number)} == {None}


@pytest.mark.parametrize("number", ["002", "003", "004"])
def test_pages_with_titles_give_one_to_every_record(number):
    titles = [record.title for record in records_of(number)]
    assert all(titles)
    assert len(set(titles)) == len(titles)
    assert max(map(len, titles)) < 150


def test_the_author_page_is_read_to_the_last_field():
    first = records_of("002")[0]
    assert first.title == (
        "Phi-4-Mini Technical Report: Compact yet Powerful Multimodal Language Models via Mixture-of-LoRAs"
    )
    assert first.authors == ("Abdelrahman Abouelenin", "Atabak Ashfaq", "Adam Atkinson")
    assert first.authors_complete is False
    assert first.affiliations == ("microsoft-research",)
    assert (first.category, first.date, first.date_text, first.code) == ("CL", "2025-03-03", "Mar 3, 2025", True)
    assert first.abstract.startswith("We introduce Phi-4-Mini and Phi-4-Multimodal, compact yet highly capable")


def test_every_paper_of_the_author_page_is_listed_on_its_owner(corpus):
    assert [record.listed_on for record in records_of("002")] == ["Weizhu Chen"] * 50
    assert sum(paper.has_author("Weizhu Chen") for paper in corpus) == 50


def test_et_al_marks_author_lists_as_incomplete():
    records = records_of("002")
    assert Counter(record.authors_complete for record in records) == {False: 48, True: 2}
    names = [name for record in records for name in record.authors]
    assert len(names) == 150
    assert not [name for name in names if "et al" in name or "·" in name or "," in name or name != name.strip()]


def test_affiliations_stand_after_the_dot(by_title):
    records = records_of("002")
    assert sum(bool(record.affiliations) for record in records) == 31
    paper = by_title["Patch Diffusion: Faster and More Data-Efficient Training of Diffusion Models"]
    assert paper.affiliations == ("apple-ml", "microsoft-research")
    assert paper.authors == ("Zhendong Wang", "Yifan Jiang", "Huangjie Zheng")


def test_a_date_without_a_year_is_kept_as_printed_only():
    undated = {record.title[:12]: (record.date_text, record.code) for record in records_of("002") if not record.date}
    assert undated == {
        "Rethinking L": ("Mar 30", True),
        "Test-time Re": ("Feb 3", True),
        "RE-TRAC: REc": ("Feb 2", False),
        "Training LLM": ("Feb 2", False),
    }


def test_a_score_before_the_category_is_dropped():
    scored = next(record for record in records_of("002") if record.title.startswith("Rethinking Language Model"))
    assert scored.category == "LG"


def test_categories_and_code_flags_are_those_of_the_author_page():
    records = records_of("002")
    assert Counter(record.category for record in records) == {"CL": 39, "LG": 8, "SE": 2, "CV": 1}
    assert Counter(record.code for record in records) == {True: 26, False: 24}


def test_page_furniture_is_no_date():
    assert {record.date_text for record in records_of("003")} == {None}


def test_pages_that_say_nothing_of_code_leave_it_open(corpus):
    assert sum(paper.code is None for paper in corpus) == 205


def test_the_label_glued_to_a_title_is_cut_off():
    titles = [record.title for record in records_of("004")]
    assert titles[0] == "Scaling Language Models: Methods, Analysis & Insights from Training Gopher"
    assert not [title for title in titles if "Subscribe" in title]


def test_furniture_before_the_first_title_is_no_title():
    assert records_of("003")[0].title == (
        "Babel-ImageNet: Massively Multilingual Evaluation of Vision-and-Language Representations"
    )


def test_three_papers_stand_on_two_pages_each(corpus):
    twice = {paper.title: [source.file[6:9] for source in paper.sources] for paper in corpus if len(paper.sources) > 1}
    assert twice == {
        "Towards Optimal Learning of Language Models": ["000", "001"],
        "Synthetic Data (Almost) from Scratch: Generalized Instruction Tuning for Language Models": ["000", "001"],
        "Language Models are Few-Shot Learners": ["003", "004"],
    }


def test_titles_come_from_the_page_or_the_catalogue(corpus):
    assert Counter(paper.title_source for paper in corpus) == {"page": 237, "catalogue": 18}


def test_catalogue_papers_have_the_link_and_month_of_their_arxiv_id(by_title):
    paper = by_title["MathScale: Scaling Instruction Tuning for Mathematical Reasoning"]
    assert "{\\sc MwpBench}" in paper.abstract
    assert (paper.url, paper.date) == ("https://arxiv.org/abs/2403.02884", "2024-03")


def test_papers_are_dated_by_day_by_month_or_not_at_all(corpus):
    assert Counter(len(paper.date or "") for paper in corpus) == {len("2024-02-24"): 46, len("2024-02"): 18, 0: 191}


def test_links_of_abstracts_are_kept(by_title):
    assert by_title["ResLoRA: Identity Residual Mapping in Low-Rank Adaption"].links == (
        "https://github.com/microsoft/LMOps/tree/main/reslora",
    )
    links = [link for paper in by_title.values() for link in paper.links]
    assert len(links) > 70
    assert not [link for link in links if link[-1] in ".,;:)}"]


def test_every_catalogue_entry_names_one_paper_of_the_seeds(corpus):
    entries = json.loads((SEEDS / "titles.json").read_text(encoding="utf-8"))
    abstracts = {paper.paper_id: paper.abstract for paper in corpus}
    assert all(abstracts[entry["paper_id"]].startswith(entry["begins"]) for entry in entries)


def test_without_the_catalogue_titles_are_derived(tmp_path):
    shutil.copy(seed("000"), tmp_path)
    papers = read_corpus(tmp_path)
    assert {paper.title_source for paper in papers} == {"derived"}
    assert papers[0].title == (
        "[untitled] Large language models (LLMs) have demonstrated remarkable capabilities in problem-solving.…"
    )


def test_an_abstract_that_merely_begins_like_a_catalogue_entry_is_not_given_its_title(tmp_path):
    shutil.copy(SEEDS / "titles.json", tmp_path)
    begins = "Large language models (LLMs) have demonstrated remarkable ca"
    page_at(tmp_path, f"Abstract: {begins}pacity for something else.")
    (paper,) = read_corpus(tmp_path)
    assert (paper.title_source, paper.url, paper.date) == ("derived", None, None)


def test_a_single_page_uses_the_catalogue_beside_it():
    assert {paper.title_source for paper in read_corpus(seed("001"))} == {"catalogue"}


def test_sources_carry_the_label_or_the_absolute_path():
    path = seed("000")
    assert {source.file for paper in read_corpus(path, "seeds") for source in paper.sources} == {f"seeds/{path.name}"}
    assert {source.file for paper in read_corpus(path) for source in paper.sources} == {str(path.absolute())}


def test_pages_are_read_in_the_order_of_their_names(tmp_path):
    page_at(tmp_path, f"Abstract: {OTHER}", "b.txt")
    page_at(tmp_path, f"Abstract: {PROSE}", "a.txt")
    assert [paper.abstract for paper in read_corpus(tmp_path)] == [PROSE, OTHER]


def test_hidden_files_and_folders_and_the_catalogue_are_no_pages(tmp_path):
    for folder in (tmp_path, tmp_path / ".git", tmp_path / "inner", tmp_path / "inner" / "most", tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
    for folder in (tmp_path, tmp_path / ".git", tmp_path / "inner" / "most"):
        page_at(folder, "x", ".hidden")
        page_at(folder, "[]", "titles.json")
        page_at(folder, "x")
    (tmp_path / "linked").symlink_to(tmp_path / "inner")
    assert [name for _, name in pages(tmp_path, "label")] == ["label/page.txt", "label/inner/most/page.txt"]


def test_a_catalogue_is_that_of_its_own_folder(tmp_path):
    for name, abstract in (("one", PROSE), ("two", OTHER)):
        (tmp_path / name).mkdir()
        page_at(tmp_path / name, f"Abstract: {abstract}")
    page_at(tmp_path / "one", json.dumps([{"begins": "We ", "title": "Of the First Folder"}]), "titles.json")
    assert [paper.title_source for paper in read_corpus(tmp_path)] == ["catalogue", "derived"]


def test_files_of_other_kinds_are_passed_over_with_a_word(tmp_path):
    page_at(tmp_path, f"Abstract: {PROSE}")
    for name in ("a.pdf", "b.PNG", "c.py"):
        page_at(tmp_path, b"\0", name)
    left_out = LeftOut()
    assert len(read_corpus(tmp_path, None, left_out)) == 1
    assert left_out.told() == ["Left out: 3 files of other kinds (a.pdf, b.PNG, c.py)."]


def test_a_missing_path_is_a_usage_error_that_names_it(tmp_path):
    with pytest.raises(UsageError, match=r"nothing at .*nowhere"):
        read_corpus(tmp_path / "nowhere")


def test_a_folder_without_pages_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no pages"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \r\n\t\n", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"Abstract: one\nAbstract: t\0wo\n", r"binary file \(a NUL byte in line 2\)"),
        (f"Abstract: {PROSE}".encode("utf-16"), "UTF-16 text"),
        ("Abstract: one\n\nAbstract: déjà vu\n".encode("latin-1"), r"not UTF-8 text \(line 3\)"),
        (b"Title\n\nToo short to be an abstract.\n", "holds no abstracts: none of its 2 lines"),
        (b"Abstract:\n\nAbstract:   \n", "holds no abstracts"),
        (b"CLMar 3, 2025Code\n", "line 1: no abstract follows"),
    ],
)
def test_a_bad_page_is_refused_by_name_with_the_reason(tmp_path, content, reason):
    path = page_at(tmp_path, content, "bad.txt")
    with pytest.raises(PageError, match=f"bad.txt.*{reason}"):
        read_page(path)


def test_one_bad_page_stops_the_whole_folder(tmp_path):
    page_at(tmp_path, f"Abstract: {PROSE}", "a.txt")
    page_at(tmp_path, b"", "b.txt")
    with pytest.raises(PageError, match=r"b\.txt is empty"):
        read_corpus(tmp_path)


def test_what_cannot_be_read_is_told_and_the_rest_is_read(tmp_path):
    page_at(tmp_path, f"Abstract: {PROSE}", "a.txt")
    page_at(tmp_path, b"", "b.txt")
    page_at(tmp_path, f"Owner\nCLMar 3, 2025\nTitle\nAuthor\n{OTHER}\nCLMar 4, 2025\n", "c.txt")
    (tmp_path / "d.txt").symlink_to("/etc/passwd")
    left_out = LeftOut()
    assert [paper.abstract for paper in read_corpus(tmp_path, "pages", left_out)] == [PROSE, OTHER]
    assert left_out.cut_off == {"pages/b.txt", "pages/d.txt"}
    empty, headless, link, total = left_out.told()
    assert "b.txt is empty" in empty
    assert "c.txt, line 6: no abstract follows 'CLMar 4, 2025'" in headless
    assert "is a link to a file outside" in link
    assert total == "Left out: 3 entries or files not read."


def test_of_many_problems_the_first_are_told_and_the_others_counted(tmp_path):
    for i in range(30):
        page_at(tmp_path, b"", f"{i:02}.txt")
    left_out = LeftOut()
    assert read_corpus(tmp_path, None, left_out) == []
    assert len(left_out.told()) == 22
    assert left_out.told()[-2:] == ["And 10 more like these.", "Left out: 30 entries or files not read."]
    assert str(left_out.error()).endswith("00.txt is empty: take it out of the folder. Nothing else could be read "
                                          "either: 29 more were left out.")  # fmt: skip


def test_a_page_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(PageError, match="can't be read"):
        read_page(tmp_path)


def test_an_oversized_page_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(257 * 1024 * 1024)
    with pytest.raises(PageError, match="larger than 256 MiB"):
        read_page(path)


LAYOUTS = {
    "abstract lines": f"\n\nAbstract:{PROSE}\n\nAbstract: {OTHER}\n",
    "author page": (
        f"Ada Lovelace\n\nCLMar 3, 2025Code\nFirst\n\nGrace Hopper, Alan Turing et al. · bletchley, yale\n\n{PROSE}\n"
        f"\n99.7LGMar 30\nSecond\n\nAda Lovelace\n\n{OTHER}\n"
    ),
    "title list": f"Menu\n\nSubscribeFirst\n\n{PROSE}\n\nSecond\n\n{OTHER}\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n\t"], ids=["LF", "CRLF", "CR", "blanks"])
def test_line_ends_and_a_byte_order_mark_change_nothing_but_the_offsets(tmp_path, layout, bom, end):
    path = page_at(tmp_path, bom + LAYOUTS[layout].replace("\n", end))
    plain = read_page(page_at(tmp_path, LAYOUTS[layout], "plain.txt"), "page")
    records = read_page(path, "page")
    text = characters(path)
    assert [text[record.source.start : record.source.end] for record in records] == [PROSE, OTHER]
    fields = [{name: value for name, value in vars(record).items() if name != "source"} for record in records]
    assert fields == [{name: value for name, value in vars(record).items() if name != "source"} for record in plain]


def test_an_author_page_of_another_owner_is_read(tmp_path):
    first, second = read_page(page_at(tmp_path, LAYOUTS["author page"]))
    assert (first.title, second.title) == ("First", "Second")
    assert (first.authors, first.authors_complete) == (("Grace Hopper", "Alan Turing"), False)
    assert (second.authors, second.authors_complete) == (("Ada Lovelace",), True)
    assert (first.affiliations, second.affiliations) == (("bletchley", "yale"), ())
    assert (first.date, second.date, second.date_text) == ("2025-03-03", None, "Mar 30")
    assert (first.code, second.code) == (True, False)
    assert {first.listed_on, second.listed_on} == {"Ada Lovelace"}


def test_a_day_that_does_not_exist_is_kept_as_printed_only(tmp_path):
    (record,) = read_page(page_at(tmp_path, f"Owner\nCLFeb 30, 2024\nTitle\nAuthor\n{PROSE}"))
    assert (record.date, record.date_text) == (None, "Feb 30, 2024")


def test_an_author_page_without_a_name_above_has_no_owner(tmp_path):
    (record,) = read_page(page_at(tmp_path, f"CLMar 3, 2025\nTitle\nAuthor\n{PROSE}"))
    assert record.listed_on is None


def test_a_short_abstract_on_an_author_page_is_not_lost(tmp_path):
    short = "We show in a few words that short abstracts exist."
    page = page_at(tmp_path, LAYOUTS["author page"].replace(OTHER, short))
    assert [record.abstract for record in read_page(page)] == [PROSE, short]


def test_an_abstract_without_a_title_in_a_list_gets_none(tmp_path):
    records = read_page(page_at(tmp_path, f"{PROSE}\n\n{OTHER}"))
    assert [record.title for record in records] == [None, None]


@pytest.mark.parametrize("title", ["Subscribers Matter", "Following Instructions", "Sharegpt4v"])
def test_titles_that_begin_like_a_button_are_left_whole(tmp_path, title):
    (record,) = read_page(page_at(tmp_path, f"{title}\n{PROSE}"))
    assert record.title == title


@pytest.mark.parametrize("label", ["Abstract: ", "ABSTRACT:", "abstract : ", "Abstract. "])
def test_the_label_of_an_abstract_may_be_written_in_any_way(tmp_path, label):
    (record,) = read_page(page_at(tmp_path, f"{label}{PROSE}"))
    assert record.abstract == PROSE


def test_a_label_on_a_line_of_its_own_belongs_to_the_abstract_below(tmp_path):
    records = read_page(page_at(tmp_path, f"Abstract:\n{PROSE}\n\nAbstract: {OTHER}\n"))
    assert [(record.title, record.abstract) for record in records] == [(None, PROSE), (None, OTHER)]


def test_a_label_alone_is_no_title(tmp_path):
    (record,) = read_page(page_at(tmp_path, f"Abstract:\n{PROSE}\n"))
    assert record.title is None


def test_offsets_count_code_points(tmp_path):
    path = page_at(tmp_path, f"𝔸𝔹 🙂 é\n\nAbstract: 🙂 {PROSE}")
    (record,) = read_page(path)
    assert record.source.start == len("𝔸𝔹 🙂 é\n\nAbstract: ")
    assert characters(path)[record.source.start : record.source.end] == record.abstract == f"🙂 {PROSE}"


def test_the_same_abstract_twice_on_a_page_is_one_paper_with_two_sources(tmp_path):
    page_at(tmp_path, f"Abstract: {PROSE}\nAbstract: {PROSE.upper()}")
    (paper,) = read_corpus(tmp_path)
    assert paper.paper_id == paper_id(PROSE)
    assert [source.record for source in paper.sources] == [1, 2]
