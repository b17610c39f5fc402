import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gradio_client import Client

from rag.assistant import Assistant
from rag.resources import load_page
from tests.says import Says

page = load_page()


@pytest.fixture(scope="module")
def address(extractive: Assistant) -> Iterator[str]:
    """The real page, served on a free port of loopback."""
    blocks = page.build(extractive).queue()
    _, url, _ = blocks.launch(server_name="127.0.0.1", quiet=True, prevent_thread_lock=True, inbrowser=False)
    yield url
    blocks.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def reply(client: Client, question: str) -> str:
    _, messages = client.predict(question, [], api_name="/ask")
    return text_of(messages[-1])


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def test_the_page_answers_with_title_quote_and_link(client: Client) -> None:
    shown = reply(client, "What does PDS do?")
    assert "Data Selection via Optimal Control for Language Models" in shown
    assert "<blockquote>" in shown
    assert "no model wrote this" in shown


def test_a_follow_up_is_understood_from_the_question_before(client: Client) -> None:
    _, before = client.predict("What does PDS do?", [], api_name="/ask")
    _, messages = client.predict("And how much does it speed up?", before, api_name="/ask")
    shown = text_of(messages[-1])
    assert "Understood as" in shown
    assert "Data Selection via Optimal Control for Language Models" in shown


def test_a_refusal_looks_different_and_offers_papers(client: Client) -> None:
    shown = reply(client, "What is the capital of France?")
    assert "pt-refusal" in shown
    assert "pt-answer" not in shown
    assert "Nearest papers" in shown


def test_an_error_is_a_sentence_on_the_page(client: Client) -> None:
    assert "The question is empty" in reply(client, "  ")


def test_what_a_visitor_types_is_text(client: Client) -> None:
    _, messages = client.predict("<script>alert(1)</script> **GRIN**", [], api_name="/ask")
    assert all("<script>" not in text_of(message) and "**" not in text_of(message) for message in messages)


def test_the_page_asks_no_one_else_for_anything(address: str) -> None:
    import re

    import httpx

    served = httpx.get(address).text
    hosts = set(re.findall(r"(?:src|href)=[\"'](https?://[^/\"']+)", served))
    assert not {host for host in hosts if "127.0.0.1" not in host and "gradio.app" not in host}, hosts


def test_a_draft_is_shown_as_one_and_then_replaced(saying: Callable[..., Assistant]) -> None:
    made = saying("PDS approximates optimal data selection.")
    shown = [html for html, _ in page.replies(made, "What does PDS do?", threading.Event())]
    drafts = [i for i, html in enumerate(shown) if "pt-draft" in html]
    assert drafts
    assert "not yet checked" in shown[drafts[0]]
    assert "pt-draft" not in shown[-1]
    assert "pt-answer" in shown[-1]


def test_stopping_shows_nothing_unchecked(saying: Callable[..., Assistant]) -> None:
    stop = threading.Event()
    shown = []
    for html, _ in page.replies(saying("PDS approximates optimal data selection. " * 20), "What does PDS do?", stop):
        shown.append(html)
        if "pt-draft" in html:
            stop.set()
    assert "Stopped" in shown[-1]
    assert "approximates" not in shown[-1]


@pytest.fixture
def saying(extractive: Assistant) -> Callable[..., Assistant]:
    def make(draft: str) -> Assistant:
        assistant = Assistant(extractive.settings.model_copy(update={"mode": "auto"}))
        assistant.__dict__["model"] = Says(draft)
        return assistant

    return make
