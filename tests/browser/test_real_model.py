from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from rag.settings import Settings
from tests.browser.conftest import ask, last, picture, served

pytestmark = [pytest.mark.browser, pytest.mark.llm]

PDS = "Data Selection via Optimal Control for Language Models"


def test_a_conversation_with_the_real_model(visitor: Callable[..., Page], indexed: Settings) -> None:
    serving = served(indexed, None)
    page = visitor(next(serving))
    page.context.set_default_timeout(240_000)
    try:
        ask(page, "What does PDS do?")
        assert PDS in last(page)
        assert page.locator(".pt-answer .pt-cite").count() >= 2
        page.locator(".pt-cite").last.click()
        page.wait_for_selector(".pt-open .pt-page")
        expect(page.locator(".pt-page .pt-current")).to_be_in_viewport()
        picture(page, "chat")
        page.keyboard.press("Escape")
        ask(page, "By how much does it reduce the data that is needed?")
        assert "1.8" in last(page)
        ask(page, "What is the capital of France?")
        assert page.locator(".pt-refusal").count() == 1
    finally:
        next(serving, None)
