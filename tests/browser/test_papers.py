import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ask, last, picture

pytestmark = pytest.mark.browser

PDS = "Data Selection via Optimal Control for Language Models"
KETTLES = """Abstract: Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds, and whistles.
Abstract: <script>alert(1)</script> Zorb sorts marbles. <img src=x onerror=alert(2)> It sorts $\\alpha$ a second.
"""


def opened(page: Page, *tabs: str) -> Page:
    for tab in tabs:
        page.get_by_role("tab", name=tab, exact=True).click()
    return page


def test_the_table_is_searched_and_sorted(page: Page) -> None:
    opened(page, "Papers")
    expect(page.locator(".pt-count")).to_have_text("255 papers")
    picture(page, "papers")
    assert page.locator(".pt-table tbody tr").count() == 50
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".pt-pager")).to_contain_text("Page 2 of 6")
    page.get_by_label("Search").fill("optimal control PDS")
    expect(page.locator(".pt-count")).to_have_text("1 of 255 papers")
    expect(page.locator(".pt-table tbody")).to_contain_text(PDS)
    page.get_by_label("Search").fill("nosuchword")
    expect(page.locator(".pt-count")).to_contain_text("none holds all of these words")
    page.get_by_label("Search").fill("")
    expect(page.locator(".pt-count")).to_have_text("255 papers")
    page.get_by_label("Search").press_sequentially("optimal control", delay=60)
    expect(page.locator(".pt-count")).to_have_text("3 of 255 papers")
    for _ in "optimal control":
        page.get_by_label("Search").press("Backspace")
    expect(page.locator(".pt-count")).to_have_text("255 papers")
    page.get_by_role("button", name="Year").click()
    expect(page.get_by_role("columnheader", name="Year")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Year").click()
    expect(page.get_by_role("columnheader", name="Year")).to_have_attribute("aria-sort", "descending")
    years = [int(year) for year in page.locator(".pt-table td:nth-child(3)").all_inner_texts() if year]
    assert years == sorted(years, reverse=True)
    expect(page.get_by_role("button", name="Year")).to_be_focused()


def test_a_paper_can_be_asked_about(page: Page) -> None:
    opened(page, "Papers")
    page.get_by_label("Search").fill("optimal control PDS")
    expect(page.locator(".pt-count")).to_have_text("1 of 255 papers")
    page.locator(".pt-table .pt-title").click()
    page.wait_for_selector(".pt-open .pt-page")
    assert "record" in page.locator(".pt-page").inner_text()
    page.get_by_role("button", name="Ask about this paper").click()
    expect(page.locator(".pt-chip")).to_contain_text(PDS)
    expect(page.locator("#pt-question textarea")).to_be_focused()
    ask(page, "How much less data is needed?")
    assert PDS in last(page)
    ask(page, "What does Glot500 cover?")  # the same paper alone may answer
    assert "Glot500: " not in last(page)
    page.locator(".pt-chip").click()
    expect(page.locator(".pt-chip")).to_have_count(0)
    ask(page, "What does Glot500 cover?")
    assert "Glot500: " in last(page)


def test_the_map_lights_up_the_papers_behind_the_last_answer(page: Page) -> None:
    ask(page, "What does PDS do?")
    opened(page, "Papers", "Map")
    page.wait_for_selector(".pt-sky")
    picture(page, "map")
    assert page.locator(".pt-dot").count() == 255
    assert page.locator(".pt-lit title").all_text_contents() == [PDS]
    assert page.locator(".pt-legend li").count() > 4
    page.locator(".pt-lit").click()
    expect(page.locator(".pt-page h2")).to_have_text(PDS)


def test_a_gold_question_is_asked_live(page: Page) -> None:
    opened(page, "Evaluation")
    gold = page.get_by_label("A question of the gold set")
    gold.fill("SimANS")
    page.get_by_role("option").first.click()
    page.get_by_role("button", name="Ask it").click()
    verdict = page.locator(".pt-verdict")
    verdict.wait_for()
    page.locator("#pt-gold-answer .pt-cite").first.click()
    expect(page.locator(".pt-page .pt-current")).to_be_in_viewport()
    page.keyboard.press("Escape")
    picture(page, "evaluation")
    assert re.search(r"(Met|Not met) Cites: ", verdict.inner_text())
    assert "Says: " in verdict.inner_text()
    assert "make eval-quick" in page.locator("#pt-evaluation").inner_text()


def test_files_are_read_indexed_asked_and_removed(
    visitor: Callable[..., Page], own_address: str, tmp_path: Path
) -> None:
    page = opened(visitor(own_address), "Add papers")
    expect(page.locator("#pt-added")).to_contain_text("Nothing has been added yet")
    good, bad = tmp_path / "kettles.txt", tmp_path / "picture.txt"
    good.write_text(KETTLES)
    bad.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    page.locator("#pt-files input[type=file]").set_input_files([good, bad])
    outcome = page.locator("#pt-outcome")
    expect(outcome).to_contain_text("kettles.txt: 2 papers")
    expect(outcome).to_contain_text("picture.txt was not read")
    assert str(tmp_path) not in outcome.inner_text()
    picture(page, "reading")
    page.get_by_role("button", name="Index what was read").click()
    expect(page.locator("#pt-progress")).to_contain_text("2 added")
    assert "257 papers indexed now" in page.locator("#pt-progress").inner_text()
    expect(page.locator("#pt-added")).to_contain_text("kettles.txt: 2 papers")
    picture(page, "added")

    opened(page, "Ask")
    ask(page, "How fast does Quux boil water?")
    assert "40 seconds" in last(page)
    page.get_by_role("button", name="New conversation").click()
    page.wait_for_selector(".pt-welcome")
    ask(page, "What does Zorb sort?")
    page.locator(".pt-cite").last.click()
    shown = page.locator(".pt-page .pt-abstract")
    expect(shown).to_contain_text("<script>alert(1)</script> Zorb sorts marbles.")
    expect(shown).to_contain_text("α a second")
    assert "added/kettles.txt" in page.locator(".pt-page").inner_text()
    page.keyboard.press("Escape")

    opened(page, "Add papers")
    page.get_by_role("button", name="Remove kettles.txt").click()
    expect(page.locator("#pt-progress")).to_contain_text("2 removed")
    expect(page.locator("#pt-added")).to_contain_text("Nothing has been added yet")
    opened(page, "Ask")
    ask(page, "How fast does Quux boil water?")
    assert "40 seconds" not in last(page)
