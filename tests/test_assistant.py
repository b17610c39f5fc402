import json
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag.answers import Answer
from rag.assistant import Assistant, Event
from rag.catalogue import EMBEDDER
from rag.errors import ModelUnavailable, PageError, UsageError
from rag.events import Drafting, Notice, Working
from rag.facts import unbacked_numbers
from rag.filters import Filters
from rag.questions import MAX_QUESTION, checked_question
from rag.retrieval import Found
from rag.settings import Settings
from rag.text import sentence_spans
from tests.says import Says


@pytest.fixture(scope="module", params=["folder", "server"])
def indexed(request: pytest.FixtureRequest, indexed: Settings) -> Settings:
    """The shipped pages, wherever their index is."""
    there: Settings = indexed if request.param == "folder" else request.getfixturevalue("indexed_on_server")
    return there


@pytest.fixture(scope="module")
def extractive(indexed: Settings) -> Iterator[Assistant]:
    assistant = Assistant(indexed.model_copy(update={"mode": "extractive"}))
    yield assistant
    assistant.close()


@pytest.fixture
def saying(indexed: Settings) -> Iterator[Callable[..., Assistant]]:
    made: list[Assistant] = []

    def make(draft: str, **beliefs: Any) -> Assistant:
        assistant = Assistant(indexed)
        assistant.__dict__["model"] = Says(draft, **beliefs)
        made.append(assistant)
        return assistant

    yield make
    for assistant in made:
        assistant.close()


def events(assistant: Assistant, question: str) -> list[Event]:
    return list(assistant.ask(question))


def check_quotes(answer: Answer, assistant: Assistant) -> None:
    for citation in answer.citations:
        paper = assistant.index.papers[citation.paper_id]
        assert paper.abstract[citation.start : citation.end] == citation.quote
        assert citation.title == paper.title or "\\" in paper.title


def test_the_answer_has_the_shape_that_scripts_rely_on(extractive: Assistant) -> None:
    answer = json.loads(extractive.answer("What does PDS do?").model_dump_json())
    assert set(answer) >= set(
        "id question answer refused refusal_reason nearest sentences citations passages mode copied draft model "
        "prompt_sha256 index_sha256 seconds".split()
    )
    assert set(answer["sentences"][0]) >= {"text", "citations", "support"}
    assert set(answer["citations"][0]) >= set("n paper_id title title_source authors date url quote start end".split())
    assert set(answer["passages"][0]) >= {"paper_id", "title", "text", "start", "end", "score", "why"}
    assert set(answer["passages"][0]["why"]) == {"dense_rank", "token_rank", "lexical_rank", "names", "record"}
    assert set(answer["seconds"]) >= {"retrieve", "first_token", "generate", "ground", "total"}
    assert (answer["mode"], answer["model"], answer["seconds"]["first_token"]) == ("extractive", None, None)
    assert answer["sentences"][0]["citations"] == [1]
    assert "[1]" in answer["answer"]


def test_an_extracted_answer_is_the_papers_own_words(extractive: Assistant) -> None:
    answer = extractive.answer("What does PDS do?")
    assert answer.citations[0].title == "Data Selection via Optimal Control for Language Models"
    assert not answer.refused
    assert answer.copied == 1.0
    check_quotes(answer, extractive)


def test_events_come_in_order_and_end_with_the_answer(saying: Callable[..., Assistant]) -> None:
    seen = events(saying("PDS is a framework that approximates optimal data selection."), "What does PDS do?")
    kinds = [type(event) for event in seen]
    assert kinds[0] is Working
    assert kinds.index(Found) < kinds.index(Drafting) < kinds.index(Answer) == len(kinds) - 1
    drafts = [event.text for event in seen if isinstance(event, Drafting)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(drafts))


def test_off_topic_is_refused_without_asking_the_model(saying: Callable[..., Assistant]) -> None:
    answer = saying("Paris is the capital of France.").answer("What is the capital of France?")
    assert (answer.refused, answer.refusal_reason, answer.draft) == (True, "off_topic", "")
    assert answer.answer.startswith("The indexed papers don't say")
    assert len(answer.nearest) == 3
    assert not answer.sentences
    assert not answer.citations


def test_what_no_abstract_answers_is_refused_before_anything_is_written(saying: Callable[..., Assistant]) -> None:
    answer = saying("PDS has 16 layers.", answers=0.01).answer("How many layers does PDS have?")
    assert (answer.refused, answer.refusal_reason, answer.draft) == (True, "not_stated", "")
    assert "only abstracts were read" in answer.answer
    assert answer.nearest[0].title == "Data Selection via Optimal Control for Language Models"


@pytest.mark.parametrize("draft", ["", "PDS selects data for 16 attention heads.", "NOT STATED", "1.77", "[1], [2]"])
def test_a_draft_without_support_gives_way_to_a_sentence_of_the_abstract(
    draft: str, saying: Callable[..., Assistant]
) -> None:
    assistant = saying(draft)
    answer = assistant.answer("What does PDS do?")
    assert not answer.refused
    assert answer.sentences
    assert all(sentence.extracted for sentence in answer.sentences)
    assert answer.copied == 1.0
    assert answer.draft == answer.rewritten == draft  # of the abstract, and of its supporting sentences
    check_quotes(answer, assistant)


def test_only_supported_sentences_are_shown_and_markers_are_the_programs_own(saying: Callable[..., Assistant]) -> None:
    draft = "PDS approximates optimal data selection [7]. It needs 4,321 GPUs [1]."
    assistant = saying(draft)
    answer = assistant.answer("What does PDS do?")
    assert [sentence.text for sentence in answer.sentences] == ["PDS approximates optimal data selection."]
    assert answer.answer == "PDS approximates optimal data selection [1]."
    assert answer.draft == draft
    check_quotes(answer, assistant)


@given(st.lists(st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(2, 10**6))), min_size=1, max_size=4))
@hypothesis_settings(max_examples=25, deadline=None)
def test_no_shown_sentence_holds_a_figure_that_its_quotes_lack(picks: list[tuple[int, int | None]]) -> None:
    assistant = _opened.with_settings(_opened.settings)
    found = assistant.search("Which models are quantized?", 3, closely=False)
    abstracts = {p.paper_id: assistant.index.papers[p.paper_id].abstract for p in found.passages}
    pool = [abstract[start:end] for abstract in abstracts.values() for start, end in sentence_spans(abstract)]
    draft = " ".join(
        pool[i % len(pool)] if figure is None else f"{pool[i % len(pool)].rstrip('.')} in {figure} cases."
        for i, figure in picks
    )
    assistant.__dict__["model"] = Says(draft)
    answer = assistant.answer("Which models are quantized?")
    assert answer.refused is (not answer.sentences)
    for sentence in answer.sentences:
        quoted = "\n".join(f"{answer.citations[i].title} {answer.citations[i].quote}" for i in sentence.quotes)
        assert sentence.support >= assistant.settings.grounding.min_support
        assert not unbacked_numbers(sentence.text, quoted)
    check_quotes(answer, assistant)


@pytest.fixture(scope="module", autouse=True)
def _for_properties(indexed: Settings) -> Iterator[None]:
    global _opened  # hypothesis and pytest's fixtures don't mix
    with closing(Assistant(indexed)) as _opened:
        yield


def test_a_tiny_random_model_never_gets_a_word_shown_unsupported(indexed: Settings, tiny_model: Path) -> None:
    grounding = indexed.grounding.model_copy(update={"min_answers": 0.0})
    settings = indexed.model_copy(update={"model": str(tiny_model), "grounding": grounding})
    assistant = Assistant(settings)
    answer = assistant.answer("What does PDS do?")
    assert answer.draft
    assert all(sentence.support >= settings.grounding.min_support for sentence in answer.sentences)
    assert answer.model is not None
    assert (answer.model.pinned, answer.model.sha256) == (False, None)
    assistant.close()


def test_no_model_and_no_network_leaves_extracted_sentences_and_says_what_to_type(
    settings: Settings, tmp_path: Path
) -> None:
    """Nothing at all is there: no embedder, no index, no language model."""
    bare = settings.model_copy(update={"cache_dir": tmp_path / "cache", "data_dir": tmp_path / "data"})
    seen = events(Assistant(bare), "What does PDS do?")
    answer = seen[-1]
    assert isinstance(answer, Answer)
    assert answer.mode == "extractive"
    assert answer.citations[0].title == "Data Selection via Optimal Control for Language Models"
    notices = [event.text for event in seen if isinstance(event, Notice)]
    assert ["rag models pull all-minilm" in notices[0], "rag models pull qwen" in notices[1]] == [True, True]
    assert not (tmp_path / "data").exists()


def test_mode_generated_insists_on_the_model(indexed: Settings, tmp_path: Path) -> None:
    only_embedder = tmp_path / "models" / EMBEDDER
    only_embedder.parent.mkdir()
    only_embedder.symlink_to(indexed.models_dir / EMBEDDER)
    settings = indexed.model_copy(update={"cache_dir": tmp_path, "mode": "generated"})
    with pytest.raises(ModelUnavailable, match="rag models pull"):
        Assistant(settings).answer("What does PDS do?")
    assert Assistant(settings.model_copy(update={"mode": "auto"})).answer("What does PDS do?").mode == "extractive"


def test_filters_that_leave_nothing_are_a_refusal(extractive: Assistant) -> None:
    answer = extractive.answer("What does PDS do?", Filters(author="Nobody Atall"))
    assert (answer.refused, answer.refusal_reason, answer.nearest) == (True, "no_papers", ())


def test_a_paper_filter_answers_from_that_paper_alone(extractive: Assistant) -> None:
    paper = extractive.papers[40]
    answer = extractive.answer("What is proposed?", Filters(papers=(paper.paper_id[:8],)))
    assert {passage.paper_id for passage in answer.passages} == {paper.paper_id}
    assert {citation.paper_id for citation in answer.citations} == {paper.paper_id}


def test_undated_papers_that_a_filter_leaves_out_are_told(extractive: Assistant) -> None:
    notices = [
        event.text for event in extractive.ask("What is GRIN?", Filters(since="2024")) if isinstance(event, Notice)
    ]
    assert notices
    assert "papers without a date" in notices[0]
    dated, undated = (next(p for p in extractive.papers if bool(p.date) is known) for known in (True, False))
    both = Filters(papers=(dated.paper_id, undated.paper_id), until="2100")
    assert extractive.select(both) == ([dated], "1 paper without a date was left out.")


def test_the_same_question_gets_the_same_answer(extractive: Assistant) -> None:
    first, second = (extractive.answer("What is GRIN?").model_dump(exclude={"seconds"}) for _ in range(2))
    assert first == second


def test_the_hash_of_the_settings_follows_what_matters(extractive: Assistant, indexed: Settings) -> None:
    other = Assistant(indexed.model_copy(update={"model": "other"}))
    filters = [Filters(), Filters(since="2023"), Filters(until="2023")]
    hashes = [*map(extractive.settings_sha256, filters), other.settings_sha256()]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("x" * 100_000, "100,000 characters"),
        ("x" * (MAX_QUESTION + 1), "shorten it"),
        ("What\x00is this?", r"U\+0000 at position 5"),
        ("bell \x07", r"control character \(U\+0007"),
        ("\x1b[31mred", r"U\+001B"),
        ("lone \ud800 surrogate", r"U\+D800"),
    ],
)
def test_a_question_that_is_none_is_a_usage_error(question: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        checked_question(question)


@pytest.mark.parametrize(
    "question", ["What\nis\tit?", "¿Qué es GRIN?", "什么是 GRIN？", "a\u200db", "x" * MAX_QUESTION, "naïve 🙂"]
)
def test_other_questions_are_read(question: str) -> None:
    assert checked_question(question) == " ".join(question.split())


def test_a_bad_page_leaves_the_index_as_it_was(settings: Settings, tmp_path: Path) -> None:
    here = settings.model_copy(update={"data_dir": tmp_path / "data"})
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.txt").write_text(f"Zorb: a tool\n{'Zorb sorts marbles quickly and well. ' * 12}\n")
    assistant = Assistant(here)
    assert assistant.ingest([pages]).added == 1
    before = assistant.index.sha256
    (pages / "b.txt").write_bytes(b"\x00binary")
    with pytest.raises(PageError, match=r"b\.txt"):
        assistant.ingest([pages])
    assert Assistant(here).index.sha256 == before
    assert [paper.title for paper in Assistant(here).papers] == ["Zorb: a tool"]
    (pages / "b.txt").unlink()
    (pages / "a.txt").unlink()
    with pytest.raises(UsageError, match="no pages"):
        assistant.ingest([pages])
    assert Assistant(here).index.sha256 == before


def test_a_damaged_index_is_named_with_the_command_that_mends_it_and_the_pages_still_answer(
    settings: Settings, tmp_path: Path
) -> None:
    here = settings.model_copy(update={"data_dir": tmp_path, "mode": "extractive"})
    here.index_dir.mkdir()
    (here.index_dir / "chroma.sqlite3").write_bytes(b"not a database" * 100)
    seen = list(Assistant(here).ask("What does PDS do?"))
    notices = [event.text for event in seen if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "rag ingest --rebuild" in notices[0]
    assert isinstance(seen[-1], Answer)
    assert seen[-1].citations[0].title == "Data Selection via Optimal Control for Language Models"


def interrupting(task: str, done: float = 0, total: float | None = None) -> None:
    if task == "Indexing words and names":
        raise KeyboardInterrupt


def test_a_half_made_index_is_finished_by_the_next_question(settings: Settings, tmp_path: Path) -> None:
    here = settings.model_copy(update={"data_dir": tmp_path / "data", "mode": "extractive"})
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.txt").write_text(f"Zorb: a tool\n{'Zorb sorts marbles quickly and well. ' * 12}\n")
    here = here.model_copy(update={"corpus": pages})
    with pytest.raises(KeyboardInterrupt):
        Assistant(here, interrupting).ingest()
    again = Assistant(here)
    assert again.answer("What does Zorb sort?").citations[0].title == "Zorb: a tool"
    assert again.notices == []


def test_a_half_made_index_of_the_users_own_pages_is_not_finished_with_others(
    settings: Settings, tmp_path: Path
) -> None:
    here = settings.model_copy(update={"data_dir": tmp_path / "data", "mode": "extractive"})
    (tmp_path / "mine.txt").write_text(f"Zorb: a tool\n{'Zorb sorts marbles quickly and well. ' * 12}\n")
    with pytest.raises(KeyboardInterrupt):
        Assistant(here, interrupting).ingest([tmp_path / "mine.txt"])
    again = Assistant(here)
    again.answer("What does PDS do?")
    assert "no index in" in again.notices[0]
    assert "type `rag ingest` again, as when it was stopped" in again.notices[0]
    again.ingest([tmp_path / "mine.txt"])
    assert [paper.title for paper in again.papers] == ["Zorb: a tool"]


def test_off_topic_is_refused_under_filters_too(extractive: Assistant) -> None:
    answer = extractive.answer("What is the capital of France?", Filters(author="Weizhu Chen"))
    assert (answer.refusal_reason, answer.mode) == ("off_topic", "extractive")


def test_a_page_retitled_beside_another_source_gets_its_new_title(settings: Settings, tmp_path: Path) -> None:
    text = "Zorb sorts marbles quickly and well. " * 12
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assistant = Assistant(settings.model_copy(update={"data_dir": tmp_path / "data"}))
    (tmp_path / "one" / "a.txt").write_text(f"Old title\n{text}\n")
    (tmp_path / "two" / "b.txt").write_text(f"Abstract: {text}\n")
    assistant.ingest([tmp_path / "one"])
    assistant.ingest([tmp_path / "two"])
    (tmp_path / "one" / "a.txt").write_text(f"New title\n{text}\n")
    assert assistant.ingest([tmp_path / "two" / ".." / "one"]).replaced == 1
    assert [(paper.title, len(paper.sources)) for paper in assistant.papers] == [("New title", 2)]


def test_a_model_that_failed_is_not_tried_again_for_each_question(indexed: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assistant = Assistant(indexed.model_copy(update={"model": str(tmp_path)}))
    assert assistant.answer("What does PDS do?").mode == "extractive"
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match=r"no config\.json"):  # what is wrong with the name is still told
        assistant.answer("What does PDS do?")
    with pytest.raises(ModelUnavailable, match="can't be loaded"):
        _ = assistant.model
