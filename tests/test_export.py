import re
import unicodedata
from pathlib import Path

import bibtexparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pylatexenc.latex2text import LatexNodes2Text

from rag import __version__
from rag.answers import Answer, ModelUsed, Nearest
from rag.assistant import Assistant
from rag.export import as_bibtex, as_markdown, as_text
from rag.papers import Paper
from rag.readers import read_corpus
from rag.text import readable

CORPUS = read_corpus(Path(__file__).parent.parent / "seeds")
# What LaTeX makes of signs that stay as they are in a title; pylatexenc reads its own circumflex as an accent.
LIGATURES = {"!`": "¡", "?`": "¿", "---": "—", "--": "–", "``": "“", "''": "”", "^": "ˆ"}
MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)> <!-- gone --> <?php ?> <https://a.org> <me@a.org>",
    "[x](javascript:alert(1)) ![x](https://a.org/x.png) [x][y] [x]",
    "[1](javascript:alert(1)) [1][2](x) [1]: https://a.org",
    "[1]: https://a.org",
    "[1",
    "]",
    "](x)",
    "![1]",
    "# heading",
    "#",
    "#######",
    "###### six #",
    "what is C #",
    "what is # ##",
    "`code` ``more`` ```",
    "```python\nx\n```",
    "~~~\nx\n~~~",
    "~~gone~~ ~gone~ about ~400B of it",
    "*it* **bold** * * * ***",
    "_it_ __bold__ snake_case a__ __a _a_b_ _ _ _",
    "* item",
    "- item\n- item",
    "+ item",
    "-",
    "---",
    "- - -",
    "1. item",
    "12) item",
    "1.",
    "> quote",
    ">quote",
    "    code",
    "x\n===\ny\n---",
    "| a | b |\n|---|---|\n| c | d |",
    "&lt;b&gt; &amp; &#60; &#x3c; &nbsp; AT&T",
    "\\ \\\\ \\* \\[x\\] a\\",
    "a  \nb\\\nc",
    "Σ – “quoted” 漢字 ½",
]
TITLES = [
    "{", "}", "}{", "a {b", "{{{", "\\", "a\\", "\\{", "\\}", "100% of # it", "@misc{x, title = {y}}", '"quoted" and "',
    "a\n@book{x,\ny", "a, b = {c}", "~ ^ _ & $ < > |", "don't ``do'' it", "ÉCOLE Søren Łódź Straße",
    r"\textbf{Bold} $\alpha$-models", "{\\sc Name} wins", "Σ-nets – a GPT-4 study", "a -- b --- c",
]  # fmt: skip
SIGNS_AND_SPACE = st.text(st.sampled_from("ab1 \n\t.)(<>[]{}*_`~#-+=!|\\&;:/\"'$@^é“"), min_size=1)
SIGNS = [chr(n) for n in range(32, 127)] + list("éøłßÅΣα×≥–—“”‘’…\n\t\u00a0")


@pytest.fixture(scope="module")
def answered(extractive: Assistant) -> Answer:
    return extractive.answer("What does PDS do?")


@pytest.fixture(scope="module")
def refused(extractive: Assistant) -> Answer:
    return extractive.answer("How do I bake bread?")


def a_paper(title: str = "A Kettle for Science", **known: object) -> Paper:
    values = {"paper_id": "0" * 16, "title": title, "title_source": "page", "abstract": "We boil.", **known}
    return Paper.model_validate(values)


def holding(answer: Answer, text: str) -> Answer:
    """The answer with a text wherever a paper, a model or a user could have written one."""
    held = {"title": text, "quote": text, "authors": (text, text), "authors_complete": True}
    return answer.model_copy(
        update={
            "answer": text,
            "understood": text,
            "sentences": tuple(sentence.model_copy(update={"text": text}) for sentence in answer.sentences),
            "citations": tuple(citation.model_copy(update=held) for citation in answer.citations),
            "nearest": tuple(paper.model_copy(update={"title": text}) for paper in answer.nearest),
            "model": ModelUsed(name=text, sha256=None, pinned=False),
        }
    )


def line(text: str) -> str:
    return " ".join(text.split())


def read(markdown: str) -> tuple[list[object], list[str]]:
    """What a parser makes of Markdown: its marks with their links, and its texts."""
    marks, texts = [], []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        for part in token.children or [token]:
            if part.type == "text":
                texts.append(part.content)
            else:
                marks.append((part.type, part.tag, part.attrs, part.content if part.type != "inline" else ""))
    return marks, texts


# Text ------------------------------------------------------------------------------------------


def test_text_holds_the_answer_then_each_paper_once_with_its_quotes(answered: Answer) -> None:
    text = as_text(answered)
    assert text.startswith(f"{answered.answer}\n\n(sentences extracted from the abstracts")
    assert answered.question not in text
    for citation in answered.citations:
        assert text.count(f"[{citation.n}] {citation.title}. ") == 1
        assert f"\n    “{readable(citation.quote)}”" in text


def test_a_paper_is_cited_by_title_authors_date_and_link(answered: Answer) -> None:
    known = {"title": "Why  Boil?", "authors": ("A. B", "C. D"), "authors_complete": False}
    first = answered.citations[0].model_copy(update=known | {"date": "2024-03", "url": "https://arxiv.org/abs/2403.1"})
    text = as_text(answered.model_copy(update={"citations": (first, first.model_copy(update={"quote": "We\n boil."}))}))
    assert "\n\n[1] Why Boil? A. B, C. D et al. 2024-03. https://arxiv.org/abs/2403.1\n" in text
    assert text.endswith("\n    “We boil.”")


def test_what_is_not_known_of_a_paper_is_left_out(answered: Answer) -> None:
    nothing = {"title": "Boil", "authors": (), "authors_complete": False, "date": None, "url": None}
    first = answered.citations[0].model_copy(update=nothing)
    assert "\n\n[1] Boil.\n    “" in as_text(answered.model_copy(update={"citations": (first,)}))


def test_only_extracted_sentences_are_said_to_be_extracted(answered: Answer, refused: Answer) -> None:
    written = answered.model_copy(update={"mode": "generated"})
    for said in (as_text(written), as_markdown([("", written)]), as_text(refused), as_markdown([("", refused)])):
        assert "extracted" not in said
    assert "extracted from the abstracts" in as_markdown([("", answered)])


def test_a_refusal_as_text_offers_the_nearest_papers(refused: Answer) -> None:
    assert refused.refused
    near = (Nearest(paper_id="0", title="Boil!", url="https://a.org"), Nearest(paper_id="1", title="Stir", url=None))
    text = as_text(refused.model_copy(update={"nearest": near}))
    assert text == f"{refused.answer}\n\nNearest papers:\n- Boil! https://a.org\n- Stir."
    assert as_text(refused.model_copy(update={"nearest": ()})) == refused.answer


# Markdown --------------------------------------------------------------------------------------


def test_a_conversation_has_a_heading_for_each_question(answered: Answer, refused: Answer) -> None:
    followed = answered.model_copy(update={"understood": "What does PDS cost?"})
    marks, texts = read(as_markdown([("PDS?", answered), ("And its cost?", followed), ("Bread?", refused)]))
    assert [mark[1] for mark in marks if mark[0] == "heading_open"] == ["h1", "h2", "h2", "h2"]
    assert [text for text in texts if text in ("PDS?", "And its cost?", "Bread?")] == [
        "PDS?",
        "And its cost?",
        "Bread?",
    ]
    assert [text for text in texts if text.startswith("Understood")] == ["Understood as: What does PDS cost?"]
    assert texts.count(line(answered.answer)) == 2
    assert refused.answer in texts


def test_papers_have_links_and_quotes_in_markdown(answered: Answer) -> None:
    linked = answered.citations[0].model_copy(update={"url": "https://a.org/x(y) z?q=1&copy;=<b>"})
    marks, texts = read(as_markdown([("", answered.model_copy(update={"citations": (linked, linked)}))]))
    links = [mark[2] for mark in marks if mark[0] == "link_open"]
    assert links == [{"href": "https://a.org/x%28y%29%20z?q=1&copy%3B=%3Cb%3E"}]
    assert sum(mark[0] == "blockquote_open" for mark in marks) == 2
    assert texts.count(readable(linked.quote)) == 2


def test_a_list_stays_a_list(answered: Answer) -> None:
    listed = answered.model_copy(update={"kind": "list", "sentences": answered.sentences * 2})
    marks, texts = read(as_markdown([("", listed)]))
    assert sum(mark[0] == "list_item_open" for mark in marks) == 2 * len(answered.sentences)
    assert texts.count(line(answered.sentences[0].marked)) == 2


def test_a_question_without_an_answer_says_so() -> None:
    assert read(as_markdown([("Why?", "It *failed*.")]))[1][1:3] == ["Why?", "(It *failed*.)"]


def test_what_a_reader_should_know_of_a_sentence_is_taken_along(answered: Answer) -> None:
    first, *_ = answered.sentences
    weak, own = (first.model_copy(update={"support": support, "extracted": True}) for support in (0.55, 0.9))
    noted = answered.model_copy(update={"mode": "generated", "sentences": (weak, own)})
    for said in (as_text(noted), as_markdown([("", noted)])):
        assert f"{first.marked} (support 55%) {first.marked} (quoted)" in said.replace("\\", "")
    for said in (as_text(answered), as_markdown([("", answered)])):  # it says of itself that it is extracted
        assert "(quoted)" not in said


def test_the_last_line_says_what_made_it(answered: Answer) -> None:
    pinned = answered.model_copy(update={"model": ModelUsed(name="a_model", sha256="abc", pinned=True)})
    own = answered.model_copy(update={"model": ModelUsed(name="my_own_", sha256=None, pinned=False)})
    texts = read(as_markdown([("", pinned), ("", own), ("", pinned), ("", "Stopped.")]))[1]
    assert texts[-1] == f"Made by PaperTrail {__version__}, a_model (sha256 abc), my_own_."
    assert read(as_markdown([("", answered)]))[1][-1] == f"Made by PaperTrail {__version__}."


def check_nothing_is_markup(answer: Answer, text: str) -> None:
    marks, texts = read(as_markdown([(text, holding(answer, text))]))
    harmless, plain = read(as_markdown([("Word", holding(answer, "Word"))]))
    assert marks == harmless
    # A sign that ends a sentence takes the place of the full stop.
    bare = [re.sub(r"[.?!…]", "", shown) for shown in texts]
    assert [line(said) for said in bare] == [
        line(re.sub(r"[.?!…]", "", shown.replace("Word", line(text)))) for shown in plain
    ]
    assert line(text) in texts


@pytest.mark.parametrize("text", MARKUP)
@pytest.mark.parametrize("kind", ["fact", "list"])
def test_what_others_wrote_is_no_markup(answered: Answer, kind: str, text: str) -> None:
    check_nothing_is_markup(answered.model_copy(update={"kind": kind}), text)


@pytest.mark.parametrize("text", MARKUP)
def test_what_others_wrote_beside_a_refusal_is_no_markup(refused: Answer, text: str) -> None:
    check_nothing_is_markup(refused, text)


@settings(deadline=None)
@given(SIGNS_AND_SPACE.map(str.strip).filter(lambda text: text.strip(".?!… ") and readable(text) == text))
def test_no_mixture_of_signs_is_markup(answered: Answer, text: str) -> None:
    check_nothing_is_markup(answered, text)


@pytest.mark.parametrize(
    "text",
    [
        "It gains 3.5% [1][2], about ~400B weights (a > b is not).",
        "snake_case, well-known: GPT-4 & co. (e.g. x-y)! #1 of 2, \\alpha; -5% + 1 = 2 > 1 | so",
        "1.5 litres",
    ],
)
def test_text_that_needs_no_escape_is_left_as_it_is(answered: Answer, text: str) -> None:
    shown = as_markdown([(text, holding(answered, text))])
    assert f"## {text}\n\nUnderstood as: {text}\n\n{text.rstrip('.')}" in shown


# BibTeX ----------------------------------------------------------------------------------------


def parsed(bibtex: str) -> list[bibtexparser.model.Entry]:
    library = bibtexparser.parse_string(bibtex)
    assert not library.failed_blocks
    assert not library.comments
    return library.entries


def decoded(latex: str) -> str:
    return LatexNodes2Text(math_mode="text").latex_to_text(latex)


def typeset(title: str) -> str:
    """A title as it is read after LaTeX has set it."""
    shown = unicodedata.normalize("NFC", line(readable(title)))
    for written, sign in LIGATURES.items():
        shown = shown.replace(written, sign)
    return shown


def check_round_trip(papers: list[Paper]) -> None:
    entries = parsed(as_bibtex(papers))
    assert [decoded(entry["title"]) for entry in entries] == [typeset(paper.title) for paper in papers]
    assert len({entry.key for entry in entries}) == len(papers)
    for entry in entries:
        assert re.fullmatch("[a-z0-9]+", entry.key)
        for field in entry.fields:
            # As BibTeX counts them: with those after a backslash.
            depths = [field.value[:n].count("{") - field.value[:n].count("}") for n in range(len(field.value) + 1)]
            assert min(depths) == depths[-1] == 0


def test_every_paper_of_the_corpus_is_read_back_with_its_title() -> None:
    check_round_trip(CORPUS)


def test_every_paper_of_the_corpus_is_written_in_ascii() -> None:
    assert as_bibtex(CORPUS).isascii()


@pytest.mark.parametrize("title", TITLES)
def test_no_title_breaks_its_entry_or_the_next(title: str) -> None:
    check_round_trip([a_paper(title, authors=(title, "A. B"), url=f"https://a.org/{title}"), a_paper()])


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from(SIGNS), min_size=1), min_size=1, max_size=3))
def test_any_titles_are_read_back(titles: list[str]) -> None:
    check_round_trip([a_paper(title, authors=(title,) if title.strip() else ()) for title in titles])


@settings(deadline=None)
@given(st.text())
def test_any_script_leaves_the_entries_whole(title: str) -> None:
    assert len(parsed(as_bibtex([a_paper(title), a_paper()]))) == 2


def test_an_entry_says_all_that_is_known() -> None:
    known = {"authors": ("Zoë Quux", "Al Blip"), "authors_complete": False, "date": "2024-03-05"}
    assert (
        as_bibtex([a_paper(url="https://arxiv.org/abs/2403.02884", **known)])
        == r"""@misc{quux2024kettle,
	title = {A Kettle for Science},
	author = {Zo{\"e} Quux and Al Blip and others},
	year = {2024},
	month = mar,
	eprint = {2403.02884},
	archivePrefix = {arXiv},
	url = {https://arxiv.org/abs/2403.02884}
}
"""
    )


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        ({}, {"author", "year", "month", "eprint", "url", "doi", "note"}),
        ({"date": "2024"}, {"month"}),
        ({"authors_complete": False}, {"author"}),
        ({"url": "https://a.org/abs/1"}, {"eprint", "archivePrefix"}),
    ],
)
def test_what_is_not_known_has_no_field(known: dict[str, object], missing: set[str]) -> None:
    assert not missing & set(parsed(as_bibtex([a_paper(**known)]))[0].fields_dict)


def test_a_doi_is_a_field_of_its_own() -> None:
    paper = a_paper(url="https://doi.org/10.1000/182", doi="10.1000/182")
    (entry,) = parsed(as_bibtex([paper]))
    assert entry.fields_dict["doi"].value == "10.1000/182"
    assert entry.fields_dict["url"].value == "https://doi.org/10.1000/182"


def test_a_title_that_was_made_up_says_so() -> None:
    entry = parsed(as_bibtex([a_paper("[untitled] We boil…", title_source="derived")]))[0]
    assert entry["note"] == "Title made up from the abstract's first words"


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("LoRA-XS: Low-Rank Adaptation", "{LoRA-XS}: Low-Rank Adaptation"),
        ("A Study of GPT-4 and Llama3", "A Study of {GPT-4} and {Llama3}"),
        ("Becoming U-shaped at 128K", "Becoming {U-shaped} at {128K}"),
        ("Part V: (BERT)", "Part {V}: ({BERT})"),
        ("État of ÉTATS", r"{\'E}tat of {{\'E}TATS}"),
    ],
)
def test_capitals_that_must_stay_are_in_braces(title: str, written: str) -> None:
    assert parsed(as_bibtex([a_paper(title)]))[0]["title"] == written


@pytest.mark.parametrize(
    ("known", "key"),
    [
        ({"authors": ("Ana María Ben-Núñez",), "date": "2024"}, "bennunez2024kettle"),
        ({"authors": ("Quux, Al",)}, "quuxkettle"),
        ({"date": "2024-03"}, "2024kettle"),
        ({"title": "On the 1.5-Zorbs of It"}, "15zorbs"),
        ({"title": "漢字", "authors": ("漢字",)}, "paper"),
    ],
)
def test_a_key_is_of_surname_year_and_a_word_of_the_title(known: dict[str, object], key: str) -> None:
    assert parsed(as_bibtex([a_paper(**known)]))[0].key == key


def test_keys_that_clash_get_letters() -> None:
    keys = [entry.key for entry in parsed(as_bibtex([a_paper("Boil")] * 29 + [a_paper("Boila")]))]
    assert keys[:3] + keys[26:] == ["boil", "boila", "boilb", "boilz", "boilaa", "boilab", "boilac"]


def test_a_name_that_holds_the_word_and_stays_one_author() -> None:
    author = parsed(as_bibtex([a_paper(authors=("Barnes and Noble", "A. Others", "Al Sand"))]))[0]["author"]
    assert author == "{Barnes and Noble} and {A. Others} and Al Sand"


def test_no_papers_are_no_entries() -> None:
    assert as_bibtex([]) == ""
