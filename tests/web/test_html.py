import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import html
from rag.answers import Answer, Citation, Nearest, Seconds, Sentence
from rag.papers import Paper

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "</div></span></a>",
    "<!-- gone",
    "&lt;b&gt; &amp;lt; &#60;b&#62; &nbsp",
    "# heading",
    "**bold** __bold__ _it_ *it* ~~gone~~ `code`",
    "[text](javascript:alert(1)) ![](https://a.org/x.png)",
    "- item\n\n1. item\n\n> quote\n\n    code\n\n---",
    "| a | b |\n|---|---|",
    "$$x$$ $x$ \\(x\\) \\[x\\] \\begin{align}",
    "https://a.org www.a.org me@a.org",
    "]]> <![CDATA[ <?php ?>",
    "\u202e\u200b\ufeff",
]
# Control characters and lone surrogates have no character reference that browsers read back.
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cc", "Cs"])))
PLAIN = re.compile(r"(?:\w(?<!_)|[^\S\r\n\t]|&#\d+;)*")


class Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.open = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError("a comment")

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def spaced(text):
    return " ".join(text.split())


def citation(n, text, title_source="page", url="https://arxiv.org/abs/2403.02884"):
    return Citation(
        n=n,
        paper_id="0" * 16,
        title=text,
        title_source=title_source,
        authors=(text, text),
        authors_complete=True,
        date="2024-03",
        url=url,
        quote=text,
        start=0,
        end=len(text),
    )


def an_answer(text, *, refused=False, mode="generated", citations=None):
    return Answer(
        question=text,
        answer=text,
        refused=refused,
        refusal_reason="not_stated" if refused else None,
        nearest=(Nearest(paper_id="0" * 16, title=text, url=None),) if refused else (),
        sentences=() if refused else (Sentence(text=text, citations=(1, 2), quotes=(0, 1), support=0.876),),
        citations=() if refused else citations or (citation(1, text), citation(2, text, "catalogue", None)),
        passages=(),
        mode=mode,
        copied=0.0,
        draft=text,
        model=None,
        prompt_sha256="",
        index_sha256="",
        settings_sha256="",
        seconds=Seconds(),
    )


def a_paper(title):
    return Paper(paper_id="0" * 16, title=title, title_source="page", abstract="We show it.")


BLOCKS = {
    "safe": html.safe,
    "searching": lambda text: html.searching([a_paper(text)], text),
    "draft": lambda text: html.draft(text, text),
    "notice": html.notice,
    "answer": lambda text: html.answer(an_answer(text)),
    "extracted": lambda text: html.answer(an_answer(text, mode="extractive")),
    "refusal": lambda text: html.answer(an_answer(text, refused=True)),
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
    assert not set(re.sub(r"&#\d+;", "", html.safe(text))) & set("<>&\"'`*_#[]()!$\\~|-+=.:/@{}^\n\u202e\u200b\ufeff")


def test_words_in_any_script_stay_readable():
    assert html.safe("Größe 漢字 x2") == "Größe 漢字 x2"


@pytest.mark.parametrize("block", BLOCKS)
@settings(deadline=None)
@given(text=TEXT)
def test_no_text_adds_a_tag_or_an_attribute(block, text):
    hostile, harmless = read(BLOCKS[block](text)), read(BLOCKS[block]("x"))
    assert hostile.tags == harmless.tags
    assert hostile.attributes == harmless.attributes


@pytest.mark.parametrize("block", BLOCKS)
def test_no_markdown_or_mathematics_reaches_the_page(block):
    for text in HOSTILE:
        shown = re.sub(r"<[^>]*>|&#\d+;", "", BLOCKS[block](text))
        assert not set(shown) & set("<>&*_#[]!$\\`~|{}\n")


@given(TEXT)
def test_a_link_stays_inside_its_attribute(text):
    url = f"https://arxiv.org/abs/{text}"
    reader = read(html.answer(an_answer("x", citations=(citation(1, "x", url=url),))))
    links = [value for name, value in reader.attributes if name == "href"]
    assert links == [spaced(url)]


def test_an_answer_shows_its_sentence_markers_papers_and_quotes():
    reader = read(html.answer(an_answer("LoRA wins.")))
    assert reader.text.startswith("LoRA wins.[1][2]")
    assert reader.text.count("LoRA wins.") == 1 + 2 * 4  # in the sentence; as title, two authors and quote
    assert reader.tags.count("blockquote") == 2
    assert ("title", "support 0.88") in reader.attributes


def test_two_quotes_of_a_paper_stand_under_one_title():
    reader = read(html.answer(an_answer("x", citations=(citation(1, "x"), citation(1, "x")))))
    assert reader.tags.count("blockquote") == 2
    assert reader.tags.count("a") == 1


def test_only_titles_that_no_page_prints_say_where_they_come_from():
    text = read(html.answer(an_answer("x"))).text
    assert text.count("(title: from the list of published titles)") == 1
    assert "(title: from the page)" not in text


def test_a_title_without_a_link_is_plain_text():
    reader = read(html.answer(an_answer("x", citations=(citation(1, "x", url=None),))))
    assert "a" not in reader.tags


def test_links_open_elsewhere_and_tell_nothing():
    attributes = read(html.answer(an_answer("x"))).attributes
    assert ("target", "_blank") in attributes
    assert ("rel", "noopener noreferrer") in attributes


def test_extracted_answers_say_so():
    assert "no model wrote this" in read(html.answer(an_answer("x", mode="extractive"))).text
    assert "no model wrote this" not in read(html.answer(an_answer("x"))).text


def test_a_refusal_shows_the_nearest_papers_and_no_quotes():
    reader = read(html.answer(an_answer("Nothing says so.", refused=True)))
    assert reader.text == "Nothing says so.Nearest papersNothing says so."
    assert "blockquote" not in reader.tags


def test_a_refusal_without_nearest_papers_offers_none():
    result = an_answer("No.", refused=True).model_copy(update={"nearest": ()})
    assert read(html.answer(result)).text == "No."


def test_a_draft_is_marked_as_one():
    reader = read(html.draft("It may be.", "Checking"))
    assert reader.text == "Checking…It may be."
    assert ("class", "pt-draft") in reader.attributes


def test_found_titles_are_shown_readable_while_the_answer_is_made():
    assert read(html.searching([a_paper(r"{\sc Ofa} wins")], "Searching")).text == "Searching…Ofa wins"


def test_nothing_found_yet_shows_the_stage_alone():
    assert read(html.searching([], "Searching")).tags == ["div"]


def test_long_author_lists_are_cut():
    four = citation(1, "x").model_copy(update={"authors": ("A", "B", "C", "D")})
    text = read(html.answer(an_answer("x", citations=(four,)))).text
    assert "A, B, C et al." in text
