"""A language model behind a real server on loopback, asked by all that asks one here."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rag.answers import Answer
from rag.assistant import Assistant
from rag.chat import Message
from rag.conversation import Turn
from rag.engine.model import EngineModel
from rag.errors import ModelUnavailable
from rag.events import Notice
from rag.filters import Filters
from rag.llm import load_model
from rag.models import ModelStore
from rag.prompts import Prompt
from rag.reading import Reader, Text
from rag.remote_model import RemoteModel, _taken, _weighed
from rag.reread import reread
from rag.settings import Generation, Settings
from rag.web.chat_tab import _choices
from rag.web.places import Places
from tests.abstracts import PAPERS
from tests.command import Run, is_one_error
from tests.model_host import Host, hosted, written_there
from tests.says import Says, Typist

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a thing? Tell me."}]
PDS = "What does PDS do?"


class Clerk(Typist):
    """Copies from the abstract, and says yes or no, or a question that was completed, where it is asked for that."""

    def __init__(self, says: str = "Yes"):
        super().__init__(0)
        self.says = says

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        prompt = messages[-1]["content"]
        if "Answer Yes or No" in prompt:
            yield self.says
        elif "Abstract: " in prompt:
            yield from super().stream(messages, stopped, begin=begin)
        else:
            yield "How is the data that PDS selects used?"


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> EngineModel:
    weights = ModelStore(tiny_model.parent, offline=True).resolve(str(tiny_model))
    model = load_model(weights, Generation(), offline=True)
    assert isinstance(model, EngineModel)
    return model


@pytest.fixture
def clerk(indexed: Settings) -> Iterator[tuple[Assistant, Host]]:
    """An assistant whose model is a clerk on a server, and the server."""
    host = Host(Clerk(), owner="somebody")  # type: ignore[arg-type]
    with hosted(host) as url:
        assistant = Assistant(written_there(indexed, url))
        yield assistant, host
        assistant.close()


def remote(settings: Settings, url: str) -> RemoteModel:
    return RemoteModel.load(written_there(settings, url))


def prompts(host: Host) -> list[str]:
    return [body["messages"][-1]["content"] for body in host.asked]


# What a model is asked -----------------------------------------------------------------------------


def test_drafts_are_those_of_the_model_behind_it(tiny: EngineModel, settings: Settings) -> None:
    with hosted(Host(tiny)) as url:
        there = "".join(remote(settings, url).stream(QUESTION, max_tokens=40))
    assert there == "".join(tiny.stream(QUESTION, max_tokens=40)) != ""


@pytest.mark.parametrize("echoes", [False, True])
@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
def test_a_server_that_can_goes_on_from_the_beginning_of_a_reply(
    owner: str, echoes: bool, tiny: EngineModel, settings: Settings
) -> None:
    host = Host(tiny, owner=owner, echoes=echoes)
    with hosted(host) as url:
        pieces = list(remote(settings, url).stream(QUESTION, begin="It is", max_tokens=20))
    assert pieces[0] == "It is"
    assert "".join(pieces) == "".join(tiny.stream(QUESTION, begin="It is", max_tokens=20))
    assert host.asked[-1]["messages"][-1] == {"role": "assistant", "content": "It is"}


def test_other_servers_are_asked_to_begin_so(tiny: EngineModel, settings: Settings) -> None:
    host = Host(tiny, owner="somebody")
    with hosted(host) as url:
        reply = "".join(remote(settings, url).stream(QUESTION, begin="It is", max_tokens=20))
    (body,) = host.asked
    assert body["messages"][-1]["content"].endswith("Begin your reply with these words: It is")
    assert body["messages"][-1]["role"] == "user"
    assert not {"continue_final_message", "add_generation_prompt", "chat_template_kwargs"} & set(body)
    assert reply == "".join(tiny.stream(body["messages"], max_tokens=20))  # what it says, and nothing put before


@pytest.mark.parametrize(
    ("listed", "odds"),
    [
        ({"Yes": 0.9, "No": 0.06}, math.log(0.9 / 0.06)),
        ({"No": 0.9, "Yes": 0.06}, math.log(0.06 / 0.9)),
        ({"Yes": 0.5, " yes": 0.2, "YES": 0.1, "no": 0.1}, math.log(0.8 / 0.1)),
        ({"Yes": 0.9}, math.log(0.9 / 0.1)),  # no is at most all that is left
        ({"Yes": 0.9, "Perhaps": 0.05, "Well": 0.01}, math.log(0.9 / 0.01)),  # and no likelier than what is listed
        ({"Perhaps": 0.9, "No": 0.05}, math.log(0.05 / 0.05)),
        ({"Yes": 1.0, "No": 1e-300}, math.log(1 / 1e-6)),  # as good as impossible
    ],
)
def test_odds_are_weighed_by_the_first_words_that_a_server_lists(listed: dict[str, float], odds: float) -> None:
    alternatives = [{"token": token, "logprob": math.log(share)} for token, share in listed.items()]
    assert _weighed({**alternatives[0], "top_logprobs": alternatives}) == pytest.approx(odds, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "stated"),
    [("Yes", True), (" **yes**, it does.", True), ("No", False), ("Yesterday", False), ("", False), ("Perhaps", False)],
)
def test_without_odds_a_word_counts_and_what_is_neither_supports_nothing(said: str, stated: bool) -> None:
    belief = 1 / (1 + math.exp(-_taken(said) / 2))  # as the reader has it
    assert (belief > 0.7) is stated
    assert (belief < 0.3) is not stated
    assert belief < 0.8
    assert _weighed({"token": "Perhaps", "logprob": -0.1, "top_logprobs": []}) == _taken("Perhaps")


@pytest.mark.parametrize(("odds", "asked"), [("ignored", [2, 2]), ("refused", [3, 2])])
def test_a_server_without_odds_is_asked_for_the_word(odds: str, asked: list[int], settings: Settings) -> None:
    host = Host(Clerk("No"), odds=odds)  # type: ignore[arg-type]
    with hosted(host) as url:
        model = remote(settings, url)
        reader = Reader(model, Prompt.load("answers"), Prompt.load("states"))
        seen = []
        for _ in range(2):
            before = len(host.asked)
            outlooks = reader.outlooks("Is Zorb free?", [Text.of(paper) for paper in PAPERS])
            seen.append(len(host.asked) - before)
            assert all(outlook.answers < 0.3 for outlook in outlooks)
    assert len(PAPERS) == 2
    assert seen == asked or (odds, seen) == ("refused", [4, 2])  # both may be under way when the first is refused


MARKS = ["<|im_end|>", "<|im_start|>", "<start_of_turn>", "</s>", "<｜User｜>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]"]


def test_marks_of_a_chat_template_are_taken_out_of_what_is_sent(
    tiny: EngineModel, tiny_model: Path, settings: Settings
) -> None:
    from transformers import AutoTokenizer

    plain = "If a < b and c > d, then x[i] = 1 [12] with p<0.05; A>B. "
    host = Host(tiny)
    with hosted(host) as url:
        list(remote(settings, url).stream([{"role": "user", "content": plain + " ".join(MARKS)}], max_tokens=16))
    (sent,) = prompts(host)
    assert sent.startswith(plain)
    assert [mark for mark in MARKS if mark in sent] == []
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert not set(tokenizer(sent)["input_ids"]) & set(tokenizer.all_special_ids)
    assert set(tokenizer(" ".join(MARKS))["input_ids"]) & set(tokenizer.all_special_ids)


def test_a_model_that_thinks_first_is_asked_not_to_and_not_waited_for(settings: Settings) -> None:
    host = Host(Says("<think>Well. </think> Yes"), odds="ignored")  # type: ignore[arg-type]
    with hosted(host) as url:
        model = remote(settings, url)
        with pytest.raises(ModelUnavailable, match="thinks before it answers"):
            model.yes([QUESTION])
        with pytest.raises(ModelUnavailable, match="thinks before it answers"):
            list(model.stream(QUESTION))
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in host.asked)


def test_a_model_that_is_not_there_is_named_with_those_that_are(tiny: EngineModel, settings: Settings) -> None:
    with hosted(Host(tiny)) as url:
        assert RemoteModel.load(written_there(settings, url, None)).weights.name == "served"
        other = RemoteModel.load(written_there(settings, url, "other"))
        with pytest.raises(ModelUnavailable, match=r"no model 'other': name one with --llm-model \(served\)"):
            other.yes([QUESTION])


def test_what_a_server_cannot_tell_is_done_without(clerk: tuple[Assistant, Host]) -> None:
    assistant, host = clerk
    found = assistant.retriever.search("Which data should a model be trained on?", 10)
    assert reread("Which data?", found, 4, assistant.model, Prompt.load("reread")) == found
    assert host.asked == []


# What an assistant makes of it ---------------------------------------------------------------------


def test_an_answer_is_written_there_and_grounded_here(clerk: tuple[Assistant, Host]) -> None:
    assistant, host = clerk
    answer = assistant.answer(PDS)
    assert answer.mode == "generated"
    assert answer.citations[0].title == "Data Selection via Optimal Control for Language Models"
    assert answer.model is not None
    assert (answer.model.name, answer.model.sha256, answer.model.pinned) == ("served", None, False)
    for citation in answer.citations:
        abstract = assistant.index.papers[citation.paper_id].abstract
        assert abstract[citation.start : citation.end] == citation.quote
    assert any(body.get("stream") for body in host.asked)


def test_what_the_papers_do_not_say_is_refused(clerk: tuple[Assistant, Host]) -> None:
    assistant, host = clerk
    assert assistant.answer("What is the capital of France?").refusal_reason == "off_topic"
    assert host.asked == []  # which retrieval alone decides
    host.model.says = "No"  # type: ignore[union-attr]
    assert assistant.answer("How many layers does PDS have?").refusal_reason == "not_stated"


def test_claims_are_checked_there(clerk: tuple[Assistant, Host]) -> None:
    assistant, host = clerk
    paper = assistant.answer(PDS).citations[0].paper_id
    result = assistant.check("PDS selects data for pre-training.", Filters(papers=(paper,)))
    assert (result.supported, result.model.name) == (True, "served")
    assert not assistant.check("PDS needs 4,321 GPUs.", Filters(papers=(paper,))).supported  # whatever the model says
    host.model.says = "No"  # type: ignore[union-attr]
    assert not assistant.check("PDS selects data for pre-training.", Filters(papers=(paper,))).supported


def test_a_follow_up_is_completed_there(clerk: tuple[Assistant, Host]) -> None:
    assistant, _ = clerk
    first = assistant.answer(PDS)
    answer = assistant.answer("And how is it used?", history=[Turn.of(first)])
    assert answer.understood == "How is the data that PDS selects used?"


@pytest.mark.parametrize("begun", [False, True], ids=["before", "between two questions"])
def test_with_the_server_away_the_abstracts_answer(begun: bool, indexed: Settings) -> None:
    with hosted(Host(Clerk())) as url:  # type: ignore[arg-type]
        assistant = Assistant(written_there(indexed, url))
        first = assistant.answer(PDS) if begun else None
    seen = list(assistant.ask("And what does PDS do?", history=[Turn.of(first)] if first else []))
    answer = seen[-1]
    assert isinstance(answer, Answer)
    assert answer.mode == "extractive"
    assert answer.citations[0].title == "Data Selection via Optimal Control for Language Models"
    (notice,) = [event.text for event in seen if isinstance(event, Notice)]
    assert "can't be reached" in notice
    assert "sentences extracted from the abstracts" in notice
    leaning = assistant.answer("And how does it do that?", history=[Turn.of(answer)])
    assert "Optimal Control" in (leaning.understood or "")
    assistant.close()
    insisting = Assistant(assistant.settings.model_copy(update={"mode": "generated"}))
    with pytest.raises(ModelUnavailable, match="can't be reached"):
        insisting.answer(PDS)
    insisting.close()


def test_what_was_made_by_another_model_is_told_apart(indexed: Settings) -> None:
    models = [
        Assistant(one)
        for one in (
            indexed,
            written_there(indexed, "http://127.0.0.1:1/v1"),
            written_there(indexed, "http://127.0.0.1:2/v1"),
            written_there(indexed, "http://127.0.0.1:1/v1", "other"),
            written_there(indexed.model_copy(update={"model": "not asked"}), "http://127.0.0.1:1/v1"),
        )
    ]
    hashes = [assistant.settings_sha256() for assistant in models]
    assert len(set(hashes)) == 4
    assert hashes[1] == hashes[4]
    assert models[0].prompt_sha256 != models[1].prompt_sha256  # no probe reads it


# How it is set -------------------------------------------------------------------------------------


def test_the_command_line_names_a_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_OFFLINE", "false")
    host = Host(Clerk(), key="sk-1")  # type: ignore[arg-type]
    with hosted(host) as url:
        monkeypatch.setenv("RAG_LLM__API_KEY", "sk-1")
        asked = run("ask", "--json", "--mode", "generated", "--llm", url, "--llm-model", "served", PDS)
        assert (asked.status, json.loads(asked.out)["model"]["name"]) == (0, "served")
        checked = run("check", "--llm", url, "PDS selects data.")
        assert checked.status == 0, checked.err
        monkeypatch.setenv("RAG_LLM__URL", url)
        told = run("doctor")
        assert f"language model not named, of the server at {url}, which has served" in told.out
        assert "sk-1" not in told.out + asked.out + asked.err
        monkeypatch.setenv("RAG_LLM__API_KEY", "sk-2")
        assert "doesn't take the API key (401): set RAG_LLM__API_KEY" in run("doctor").out


def test_a_model_of_this_machine_is_named_in_a_servers_place(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_LLM__URL", "http://127.0.0.1:1/v1")
    here = run("check", "--json", "--model", str(tiny_model), "PDS selects data.")
    assert json.loads(here.out)["model"]["name"] == tiny_model.name
    both = run("ask", "--model", str(tiny_model), "--llm", "http://127.0.0.1:1/v1", PDS)
    assert both.status == 2
    assert is_one_error(both)
    bad = run("ask", "--llm", "127.0.0.1:8000", PDS)
    assert bad.status == 2
    assert is_one_error(bad)


def test_the_page_offers_no_other_model_beside_a_servers(indexed: Settings) -> None:
    import gradio as gr

    with gr.Blocks():
        model = _choices(written_there(indexed, "http://127.0.0.1:1/v1", "big"))[0]
    assert [name for name, _ in model.choices] == ["big"]


def test_visitors_of_the_page_are_not_told_where_the_server_is(indexed: Settings) -> None:
    settings = written_there(indexed, "http://gpu.lab.example:8000/v1", "big")
    said = Places.of(settings).hidden("The server at http://gpu.lab.example:8000/v1 can't be reached: start it.")
    assert said == "The server at … can't be reached: start it."


# The real model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(generating: Assistant) -> Iterator[tuple[Assistant, Host]]:
    """The real 1.5B model behind HTTP."""
    assert isinstance(generating.model, EngineModel)
    host = Host(generating.model)
    with hosted(host) as url:
        assistant = Assistant(written_there(generating.settings, url))
        yield assistant, host
        assistant.close()


@pytest.mark.llm
def test_the_real_model_answers_over_http(served: tuple[Assistant, Host], generating: Assistant) -> None:
    assistant, _ = served
    answer = assistant.answer("How many languages does Glot500-c cover?")
    assert "511" in answer.answer
    assert any("Glot500" in citation.title for citation in answer.citations)
    assert answer.model is not None
    assert not answer.model.pinned
    assert assistant.answer("What is the capital of France?").refused
    follow_up = assistant.answer("And how many languages did it cover before?", history=[Turn.of(answer)])
    assert "Glot500" in (follow_up.understood or "")
    paper = answer.citations[0].paper_id
    for claim, stated in (("Glot500-c covers 511 languages.", True), ("Glot500-c was made in Oslo in 1987.", False)):
        assert assistant.check(claim, Filters(papers=(paper,))).supported is stated


@pytest.mark.llm
def test_odds_over_http_are_those_of_the_engine(served: tuple[Assistant, Host], generating: Assistant) -> None:
    assistant, _ = served
    asked = [
        Text.of(paper).fill(Prompt.load("answers"), question=question)
        for paper in PAPERS
        for question in ("How many marbles does Zorb sort in a second?", "Which teas does the kettle make?")
    ]
    there, here = assistant.model.yes(asked), generating.model.yes(asked)
    assert there == pytest.approx(here, abs=0.3)
    assert min(here) < 0 < max(here)
