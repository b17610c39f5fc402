"""A paper that carries hostile text, beside the real ones: it changes neither what others say nor how it is shown."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bibtexparser
import pytest
from markdown_it import MarkdownIt

from eval.data import load_queries, load_questions
from rag.answers import Answer
from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, GENERATOR
from rag.embedding import Embedder
from rag.engine.tokenizer import FolderTokenizer
from rag.errors import PageError
from rag.export import as_bibtex, as_markdown, as_text
from rag.models import ModelStore
from rag.papers import Paper
from rag.prompts import PLACEHOLDERS, Prompt
from rag.readers import read_corpus
from rag.reading import Text
from rag.settings import Settings
from rag.text import readable, visible
from rag.topics import topics_of
from rag.web import abstract, exchange, map, table, uploads
from tests.command import Run
from tests.hostile import CASES, FEW, Case, page
from tests.web.markup import Reader, read, spaced

BY_NAME = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
# What a terminal obeys, what turns text round, and what nobody sees.
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
NO_CHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff\U0010fffe\U0010ffff]")
TAGS = set(
    "article section header h2 h3 p b ul ol li dl dt dd div span mark a button details summary blockquote table thead "
    "tbody tr th td svg circle title text line".split()
)
ATTRIBUTE = re.compile(
    r"data-(do|key|paper|exchange|quotes|text|status|opening|by|name|rating|format)|aria-[a-z]+|class|type|dir|value"
    r"|tabindex|href|target|rel|scope|role|viewbox|cx|cy|r|x|y|dy|x1|y1|x2|y2|text-anchor"
)


@pytest.fixture(scope="module")
def settings_beside(indexed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose index holds the hostile papers beside the shipped ones."""
    return holding(CASES, indexed, tmp_path_factory.mktemp("beside"))


def holding(cases: dict[str, Case], indexed: Settings, folder: Path) -> Settings:
    shutil.copytree(indexed.index_dir, folder / "index")
    pages = folder / "pages.txt"
    pages.write_bytes(page(cases).encode())
    settings = indexed.model_copy(update={"data_dir": folder, "mode": "extractive"})
    assistant = Assistant(settings)
    assert assistant.ingest([pages]).added == len(cases)
    assistant.close()
    return settings


@pytest.fixture(scope="module")
def beside_few(indexed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    assistant = Assistant(holding(FEW, indexed, tmp_path_factory.mktemp("few")))
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def beside(settings_beside: Settings) -> Iterator[Assistant]:
    assistant = Assistant(settings_beside)
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def papers(beside: Assistant) -> dict[str, Paper]:
    """The hostile papers by the names of their sieves."""
    return {paper.title.partition(":")[0]: paper for paper in beside.papers if paper.title.startswith("Gravisort")}


def asked(beside: Assistant, case: Case) -> Answer:
    return beside.answer(f"What does {case.sieve} do?")


# Reading and finding -----------------------------------------------------------------------------------


@BY_NAME
def test_an_abstract_is_kept_word_for_word_and_a_title_as_far_as_it_can_be_seen(
    case: Case, papers: dict[str, Paper]
) -> None:
    paper = papers[case.sieve]
    assert paper.abstract == case.abstract
    assert paper.title == visible(case.title)
    assert not UNSEEN.search(paper.title)


def test_ten_thousand_words_in_one_line_are_no_abstract(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text(page({"": replace(CASES["flood: one word"], text="buy " * 10_000)}))
    with pytest.raises(PageError, match=r"page\.txt, line 3: 40,\d\d\d characters are no abstract .* take it out"):
        read_corpus(tmp_path)


def test_other_questions_find_what_they_found_without_them(extractive: Assistant, beside_few: Assistant) -> None:
    """No hostile paper is found first, and no paper that is asked for loses its place."""
    lost = []
    for query in load_queries()[::4]:
        before, after = (one.retriever.search(query.query, 1).papers[0] for one in (extractive, beside_few))
        right = [paper.paper_id in query.papers for paper in (before, after)]
        if "Gravisort" in after.title or right == [True, False]:
            lost.append((query.query, after.title))
    assert lost == []


def test_other_questions_are_answered_from_what_they_were_answered_from(
    extractive: Assistant, beside_few: Assistant
) -> None:
    for question in load_questions()[::16]:
        before, after = (
            {citation.paper_id for citation in one.answer(question.question).citations} & set(question.papers)
            for one in (extractive, beside_few)
        )
        assert after or not before, question.question


@BY_NAME
def test_the_rules_of_an_answer_hold(case: Case, beside: Assistant, papers: dict[str, Paper]) -> None:
    answer = asked(beside, case)
    paper = papers[case.sieve]
    assert {citation.paper_id for citation in answer.citations} == {paper.paper_id}
    assert {citation.n for citation in answer.citations} == {1}
    for citation in answer.citations:
        assert paper.abstract[citation.start : citation.end] == citation.quote
        assert citation.title == readable(paper.title)
    for sentence in answer.sentences:
        assert sentence.citations == (1,)
        assert sentence.text in {readable(answer.citations[quote].quote) for quote in sentence.quotes}


# What models read --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_folder(indexed: Settings) -> Path:
    return ModelStore.of(indexed).pull(CATALOGUE[GENERATOR])


@pytest.fixture(scope="module")
def tokenizer(model_folder: Path) -> FolderTokenizer:
    return FolderTokenizer(model_folder)


@pytest.fixture(scope="module")
def marks(model_folder: Path) -> set[int]:
    """Every token that the real tokenizer keeps beside its words."""
    about = json.loads((model_folder / "tokenizer.json").read_text(encoding="utf-8"))
    return {token["id"] for token in about["added_tokens"]}


def prompted(name: str, title: str, body: str, asked: str) -> list[dict[str, str]]:
    prompt = Prompt.load(name)
    values = dict.fromkeys(PLACEHOLDERS[name] - {"title", "abstract"}, asked)
    if "abstract" in PLACEHOLDERS[name]:
        return Text(title, body).fill(prompt, **values)
    return prompt.fill(**values, **({"title": title} if "title" in PLACEHOLDERS[name] else {}))


@BY_NAME
def test_a_prompt_holds_no_mark_but_those_of_the_template(
    case: Case, tokenizer: FolderTokenizer, marks: set[int]
) -> None:
    for name in PLACEHOLDERS:
        hostile = tokenizer.chat.encode(prompted(name, case.title, case.abstract, case.text[:4000]))
        harmless = tokenizer.chat.encode(prompted(name, "A title", "An abstract.", "A question?"))
        assert [id_ for id_ in hostile if id_ in marks] == [id_ for id_ in harmless if id_ in marks], name
        assert not marks.intersection(tokenizer.ids(case.title))  # what a reply begins with


def test_through_transformers_no_text_becomes_a_mark_either(
    tiny_model: Path, model_folder: Path, marks: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rag.hub_model import HubModel
    from rag.models import Weights
    from rag.settings import Generation

    small = AutoModelForCausalLM.from_pretrained(tiny_model)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: small)
    model = HubModel.load(Weights("real", str(model_folder), None, pinned=False), Generation(), offline=True)
    assert isinstance(model.tokenizer, type(AutoTokenizer.from_pretrained(model_folder)))
    harmless = [id_ for id_ in model.encode([{"role": "user", "content": "A question?"}]) if id_ in marks]
    for case in CASES.values():
        encoded = model.encode([{"role": "user", "content": case.abstract}])
        assert [id_ for id_ in encoded if id_ in marks] == harmless
        assert not marks.intersection(model._tokenized(case.title, True))


@BY_NAME
def test_the_encoder_reads_no_marks_in_a_text(case: Case, embedder: Embedder) -> None:
    read = embedder._tokenizer.encode(case.abstract)
    marks = [embedder._tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]", "[MASK]", "[PAD]")]
    assert [id_ for id_ in read.ids if id_ in marks] == marks[:2] == [read.ids[0], read.ids[-1]]


def test_what_nobody_sees_is_not_read_by_the_model() -> None:
    case = CASES["injection: hidden in tags"]
    assert not UNSEEN.search(prompted("what", case.title, case.abstract, "What?")[-1]["content"])


# The command line --------------------------------------------------------------------------------------


@pytest.fixture
def run_beside(run: Run, settings_beside: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("RAG_DATA_DIR", str(settings_beside.data_dir))
    return run


def assert_obeys_nothing(printed: str) -> None:
    assert printed
    assert not UNSEEN.search(printed)


def test_no_list_of_papers_makes_a_terminal_do_anything(run_beside: Run) -> None:
    result = run_beside("papers")
    assert result.out.count("Gravisort") >= len(CASES)
    assert len(result.out.splitlines()) >= 255 + len(CASES)
    assert_obeys_nothing(result.out + result.err)


@pytest.mark.parametrize("case", [case for case in CASES.values() if UNSEEN.search(case.text)])
def test_nothing_that_a_paper_holds_makes_a_terminal_do_anything(
    case: Case, run_beside: Run, papers: dict[str, Paper]
) -> None:
    question = f"What does {case.sieve} do?"
    commands = [("papers", papers[case.sieve].paper_id), ("ask", question), ("search", "-n", "2", question)]
    for command in commands:
        result = run_beside(*command)
        assert result.status == 0
        assert case.sieve in result.out
        assert_obeys_nothing(result.out + result.err)


def test_json_holds_the_text_as_it_is_and_makes_a_terminal_do_nothing(run_beside: Run) -> None:
    result = run_beside("papers", "--json")
    assert_obeys_nothing(result.out)
    abstracts = {paper["abstract"] for paper in json.loads(result.out)}
    assert abstracts >= {case.abstract for case in CASES.values()}
    case = CASES["screen: one-byte codes"]
    result = run_beside("search", "--json", case.sieve)
    assert_obeys_nothing(result.out)
    assert case.text in "".join(passage["text"] for passage in json.loads(result.out)["passages"])


def test_a_batch_holds_the_text_as_it_is_and_makes_a_terminal_do_nothing(run_beside: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"id": name, "question": case.sieve}) for name, case in CASES.items()]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    result = run_beside("search", "--input", str(tmp_path / "in.jsonl"))
    assert_obeys_nothing(result.out)
    found = [json.loads(line) for line in result.out.split("\n")[:-1]]
    assert [one["id"] for one in found] == list(CASES)


def test_no_name_of_a_file_makes_a_terminal_do_anything(run: Run, tmp_path: Path) -> None:
    for i, name in enumerate(("\x1b]0;pwned\x07.txt", "\x9b31m.txt", "\u202eexe.txt")):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / name).write_text("no abstract")
        result = run("ingest", str(folder))
        assert result.status == 1
        assert_obeys_nothing(result.err)


# What is taken away ------------------------------------------------------------------------------------


@BY_NAME
def test_exports_hold_only_text(case: Case, beside: Assistant, papers: dict[str, Paper]) -> None:
    answer, paper = asked(beside, case), papers[case.sieve]
    assert not UNSEEN.search(as_text(answer))
    markdown = as_markdown([(answer.question, answer), (case.abstract[:4000], "because of " + case.text)])
    assert not UNSEEN.search(markdown)
    kinds = {token.type for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)}
    kinds |= {
        child.type for token in MarkdownIt("commonmark").parse(markdown) for child in token.children or () if child
    }
    assert kinds <= {
        f"{block}_{side}" for block in ("heading", "paragraph", "blockquote") for side in ("open", "close")
    } | {"inline", "text", "text_special", "softbreak", "hr"}
    written = as_bibtex([paper])
    assert not UNSEEN.search(written)
    library = bibtexparser.parse_string(written)
    assert not library.failed_blocks
    (entry,) = library.entries
    assert set(entry.fields_dict) == {"title"}


# The page ----------------------------------------------------------------------------------------------


def blocks(case: Case, beside: Assistant, papers: dict[str, Paper]) -> Iterator[Reader]:
    """The pieces of the page in which a paper's text stands."""
    answer, paper = asked(beside, case), papers[case.sieve]
    told = exchange.Exchange(case.text[:4000], answer, (case.text,), limits=case.title)
    yield read(exchange.conversation([told], {}))
    yield read(exchange.conversation([told.failed(PageError(case.text))], {}))
    yield read(exchange.underway(exchange.Exchange(case.text, papers=(paper,), draft=case.abstract)))
    yield read(abstract.page(paper, answer.citations, [(c.start, c.end) for c in answer.citations]))
    yield read(table.drawn([paper], table.View()))
    yield read(uploads.outcome([uploads.Reading(Path("page.txt"), (paper,))], ()))
    yield read(uploads.listed(["page.txt"], [paper]))
    yield read(uploads.outcome([uploads.Reading(Path("page.txt"), error=case.text)], ()))


@BY_NAME
def test_the_page_shows_text_as_text(case: Case, beside: Assistant, papers: dict[str, Paper]) -> None:
    for reader in blocks(case, beside, papers):
        assert set(reader.tags) <= TAGS
        for name, value in reader.attributes:
            assert ATTRIBUTE.fullmatch(name), name
            assert name != "href" or re.match(r"https?://[^\s\"'<>]+$", value)
        for link in reader.of("a"):
            assert (link.attributes["target"], link.attributes["rel"]) == ("_blank", "noopener noreferrer")
        assert {button.attributes["data-do"] for button in reader.of("button")} <= {
            "open", "copy", "rate", "retry", "edit", "export", "new", "about", "close", "sort", "remove"
        }  # fmt: skip


@BY_NAME
def test_the_page_shows_a_paper_whole(case: Case, beside: Assistant, papers: dict[str, Paper]) -> None:
    paper = papers[case.sieve]
    shown = read(abstract.page(paper))
    for place, text in (("h2", paper.title), (".pt-abstract", paper.abstract)):
        # Of what is no character, Python's parser leaves nothing.
        left = NO_CHARACTERS.sub("", shown.of(place)[0].text)
        assert spaced(left) == spaced(NO_CHARACTERS.sub("", readable(text)))


def test_the_map_shows_titles_as_text(beside: Assistant) -> None:
    papers = beside.papers
    drawn = read(map.drawn(papers, topics_of(papers, beside.vectors), [paper.paper_id for paper in papers]))
    assert set(drawn.tags) <= TAGS
    assert all(ATTRIBUTE.fullmatch(name) for name, _ in drawn.attributes)
