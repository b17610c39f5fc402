from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import ask, picture

pytestmark = pytest.mark.browser

WCAG_AA = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
TABS = ("Ask", "Papers", "Evaluation", "Add papers")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_tab_passes_wcag_aa(visitor: Callable[..., Page], address: str, dark: bool) -> None:
    page = visitor(address, dark=dark)
    page.get_by_role("button", name="Filters and settings").click()
    _passes(page)
    page.get_by_role("button", name="Filters and settings").click()
    ask(page, "What is the capital of France?")
    ask(page, "What does PDS do?")
    _passes(page)
    page.locator(".pt-cite").first.click()
    page.wait_for_selector(".pt-open .pt-page")
    _passes(page)
    picture(page, f"abstract-{'dark' if dark else 'light'}")
    page.keyboard.press("Escape")
    for tab in TABS[1:]:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(500)
        _passes(page)
    page.get_by_role("tab", name="Papers", exact=True).click()
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".pt-sky")
    _passes(page)


def test_the_keyboard_is_enough(page: Page) -> None:
    keys = page.keyboard
    page.locator("#pt-question textarea").focus()
    keys.type("What does PDS do?")
    keys.press("Enter")
    page.locator("#pt-conversation .pt-answer").wait_for()
    page.locator(".pt-cite").first.focus()
    keys.press("Enter")
    page.wait_for_selector(".pt-open .pt-page")
    expect(page.locator(".pt-page h2")).to_be_focused()
    keys.press("Tab")
    assert page.evaluate("document.activeElement.closest('.pt-page') !== null")
    keys.press("Escape")
    expect(page.locator(".pt-cite").first).to_be_focused()
    page.get_by_role("tab", name="Ask").focus()
    keys.press("Tab")
    keys.press("Enter")
    page.wait_for_selector(".pt-table")


def test_all_that_can_be_pressed_is_reached_by_tab(page: Page) -> None:
    ask(page, "What does PDS do?")
    reached = set()
    page.locator("body").press("Tab")
    for _ in range(60):
        reached.add(page.evaluate("document.activeElement.dataset.key || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    wanted = page.evaluate("[...document.querySelectorAll('#pt-conversation [data-do]')].map(b => b.dataset.key)")
    assert set(wanted) <= reached


def test_what_goes_on_is_said_to_screen_readers(page: Page) -> None:
    page.evaluate(
        """() => {
          window.heard = [];
          new MutationObserver(() => window.heard.push(document.getElementById("pt-status")?.textContent))
            .observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    ask(page, "What does PDS do?")
    heard = page.evaluate("[...new Set(window.heard)]")
    assert any("Writing" in said for said in heard if said)
    assert page.locator("#pt-status").get_attribute("role") == "status"
    assert heard[-1] == page.locator("#pt-conversation .pt-exchange").get_attribute("data-status")


def test_the_keyboard_is_never_lost(page: Page) -> None:
    page.locator(".pt-example").last.focus()
    page.keyboard.press("Enter")
    page.locator("#pt-conversation .pt-refusal").wait_for()
    expect(page.locator("#pt-question textarea")).to_be_focused()
    page.get_by_role("button", name="New conversation").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".pt-welcome")
    expect(page.locator("#pt-question textarea")).to_be_focused()
    page.keyboard.type("What does PDS do?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#pt-conversation .pt-answer").wait_for()
    expect(page.locator("#pt-question textarea")).to_be_focused()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_telephone_shows_all_of_it(visitor: Callable[..., Page], address: str, dark: bool) -> None:
    page = visitor(address, width=390, height=844, dark=dark)
    _fits(page)
    ask(page, "What does PDS do?")
    _fits(page)
    picture(page, f"telephone-{'dark' if dark else 'light'}")
    page.locator(".pt-cite").first.click()
    page.wait_for_selector(".pt-open .pt-page")
    _fits(page)
    picture(page, f"telephone-abstract-{'dark' if dark else 'light'}")
    page.get_by_role("button", name="Close the abstract").click()
    for tab in TABS[1:]:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(500)
        _fits(page)


def _passes(page: Page) -> None:
    found = Axe().run(page, options=WCAG_AA)
    assert found.violations_count == 0, found.generate_report()


def _fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
