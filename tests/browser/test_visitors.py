from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Typist, ask, last, picture, send

pytestmark = pytest.mark.browser

QUESTIONS = {
    "What does PDS do?": "Data Selection via Optimal Control",
    "What does Glot500 cover?": "Glot500",
    "What does AdaLoRA do?": "AdaLoRA",
    "What does LongVILA do?": "LongVILA",
    "How does MegaScale work?": "MegaScale",
    "What does LongAgent do?": "LongAgent",
    "What does CAMERO do?": "CAMERO",
    "What does SimANS do?": "SimANS",
}


def test_eight_are_served_in_turn_and_none_sees_another(
    visitor: Callable[..., Page], address: str, typist: Typist
) -> None:
    pages = {question: visitor(address) for question in QUESTIONS}
    before, typist.pause = typist.pause, 1.0
    try:
        for i, (question, page) in enumerate(pages.items()):
            send(page, question)
            page.wait_for_selector("#pt-live .pt-titles" if i else "#pt-live .pt-stage")  # whoever is before
        expect(page.locator("#pt-live .pt-stage")).to_contain_text("before yours")
        picture(page, "waiting")
    finally:
        typist.pause = before
    for question, page in pages.items():
        page.locator("#pt-conversation .pt-answer").wait_for()
        words = page.locator("#pt-conversation").inner_text()
        assert question in words
        assert QUESTIONS[question] in words
        assert not [other for other in QUESTIONS if other != question and other in words]


def test_a_closed_tab_frees_its_place(visitor: Callable[..., Page], address: str, typist: Typist) -> None:
    before, typist.pause = typist.pause, 1.0
    try:
        first, second = visitor(address), visitor(address)
        send(first, "What does PDS do?")
        first.wait_for_selector("#pt-live .pt-draft")
        send(second, "What does AdaLoRA do?")
        expect(second.locator("#pt-live .pt-stage")).to_contain_text("1 question before yours")
        first.close()
        expect(second.locator("#pt-live")).to_contain_text("Writing")
    finally:
        typist.pause = before
    second.locator("#pt-conversation .pt-answer").wait_for()


def test_two_conversations_stay_apart(visitor: Callable[..., Page], address: str) -> None:
    first, second = visitor(address), visitor(address)
    ask(first, "What does PDS do?")
    ask(second, "What does AdaLoRA do?")
    ask(first, "And how much does it speed up?")
    assert "Data Selection via Optimal Control" in last(first)
    assert "AdaLoRA" not in first.locator("#pt-conversation").inner_text()
    assert second.locator("#pt-conversation .pt-exchange").count() == 1
