import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Typist, ask, last, picture, send

pytestmark = pytest.mark.browser

PDS = "Data Selection via Optimal Control for Language Models"


def test_a_first_visit_explains_itself_with_questions_that_work(page: Page) -> None:
    picture(page, "welcome")
    examples = page.locator(".pt-example").all_inner_texts()
    assert len(examples) == 4
    for i, question in enumerate(examples):
        page.locator(".pt-example").nth(i).click()
        answer = page.locator("#pt-conversation .pt-exchange")
        expect(answer.locator("h3")).to_have_text(question)
        assert answer.locator(".pt-refusal").count() == (question == examples[-1])
        page.get_by_role("button", name="New conversation").click()
        page.wait_for_selector(".pt-welcome")


def test_titles_come_first_then_a_draft_then_checked_sentences(page: Page, slowly: Typist) -> None:
    slowly.pause = 1
    send(page, "What does PDS do?")
    titles = page.locator("#pt-live .pt-titles")
    titles.get_by_text(PDS).wait_for()
    slowly.pause = 0.02
    draft = page.locator("#pt-live .pt-draft")
    draft.wait_for()
    assert "not yet checked" in page.locator("#pt-live").inner_text()
    picture(page, "draft")
    answer = page.locator("#pt-conversation .pt-answer")
    answer.wait_for()
    assert page.locator(".pt-draft").count() == 0
    assert answer.locator(".pt-cite").count() >= 2
    assert PDS in page.locator(".pt-papers").inner_text()
    assert page.locator("#pt-stop").is_hidden()


def test_a_number_opens_the_abstract_at_the_quoted_words(page: Page) -> None:
    ask(page, "What does PDS do?")
    number = page.locator(".pt-cite").last
    number.click()
    page.wait_for_selector(".pt-open .pt-page")
    expect(page.locator(".pt-page h2")).to_have_text(PDS)
    now = page.locator(".pt-page .pt-current")
    expect(now).to_be_in_viewport()
    said = page.locator(".pt-sentence").last.inner_text()
    assert _words(now.inner_text()) & _words(said)
    picture(page, "abstract")
    page.keyboard.press("Escape")
    expect(page.locator(".pt-page")).to_be_hidden()
    expect(number).to_be_focused()


def test_a_follow_up_is_understood_from_the_question_before(page: Page) -> None:
    ask(page, "What does PDS do?")
    ask(page, "And how much does it speed up?")
    assert "Understood as" in last(page)
    assert PDS in last(page)


def test_a_refusal_looks_different_and_its_nearest_papers_open(page: Page) -> None:
    ask(page, "What is the capital of France?")
    picture(page, "refusal")
    assert page.locator(".pt-answer").count() == 0
    nearest = page.locator("#pt-conversation .pt-titles .pt-title")
    assert nearest.count() == 3
    title = nearest.first.inner_text()
    nearest.first.click()
    expect(page.locator(".pt-page h2")).to_have_text(title)
    assert page.locator(".pt-page mark").count() == 0


def test_stopping_ends_it_at_once_and_shows_nothing_unchecked(page: Page, slowly: Typist) -> None:
    send(page, "What does PDS do?")
    draft = page.locator("#pt-live .pt-draft")
    draft.wait_for()
    written = draft.inner_text()
    page.get_by_role("button", name="Stop").click()
    page.locator("#pt-conversation .pt-notice").wait_for(timeout=10_000)
    assert "Stopped" in last(page)
    assert written[:20] not in page.locator(".gradio-container").inner_text()
    slowly.pause = 0
    page.get_by_role("button", name="Retry the question").click()
    page.locator("#pt-conversation .pt-answer").wait_for()
    assert page.locator("#pt-conversation .pt-exchange").count() == 1
    slowly.pause = 0.2
    page.get_by_role("button", name="Retry the question").click()
    draft.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#pt-conversation .pt-answer").wait_for()  # what was there before


def test_nothing_typed_changes_nothing(page: Page) -> None:
    for typed in ("", "   "):
        page.fill("#pt-question textarea", typed)
        page.get_by_role("button", name="Ask", exact=True).click()
        page.press("#pt-question textarea", "Enter")
    page.wait_for_timeout(500)
    assert page.locator(".pt-welcome").count() == 1
    ask(page, "What does PDS do?")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    page.press("#pt-question textarea", "Enter")
    page.wait_for_timeout(500)
    assert PDS in last(page)


def test_while_one_is_answered_only_stop_is_offered(page: Page, slowly: Typist) -> None:
    ask(page, "What is the capital of France?")
    page.get_by_role("button", name="Good answer").click()
    send(page, "What does PDS do?")
    page.locator("#pt-live .pt-draft").wait_for()
    for name in ("Retry the question", "Edit the question", "New conversation", "Ask"):
        assert page.get_by_role("button", name=name, exact=True).count() == 0
    expect(page.get_by_role("button", name="Stop")).to_be_in_viewport()
    page.get_by_role("button", name="Bad answer").click()
    slowly.pause = 0
    page.locator("#pt-conversation .pt-exchange").nth(1).wait_for()
    expect(page.get_by_role("button", name="Bad answer").first).to_have_attribute("aria-pressed", "true")


def test_the_same_source_opens_every_time(page: Page) -> None:
    ask(page, "What does PDS do?")
    for _ in range(3):
        page.locator(".pt-cite").first.click()
        expect(page.locator(".pt-page")).to_be_visible()
        page.get_by_role("button", name="Close the abstract").click()
        expect(page.locator(".pt-page")).to_be_hidden()


def test_the_question_box_stays_in_sight(page: Page) -> None:
    for _ in range(3):
        ask(page, "What does PDS do?")
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#pt-question textarea")).to_be_in_viewport()


def test_unfolded_quotes_stay_unfolded(page: Page) -> None:
    ask(page, "What does PDS do?")
    page.locator(".pt-papers summary").first.click()
    ask(page, "What is the capital of France?")
    assert page.locator(".pt-papers details").first.evaluate("node => node.open")


def test_a_question_can_be_changed(page: Page) -> None:
    ask(page, "What does PDS do?")
    ask(page, "What is the capital of France?")
    assert page.get_by_role("button", name="Edit the question").count() == 1
    page.get_by_role("button", name="Edit the question").click()
    box = page.locator("#pt-question textarea")
    expect(box).to_have_value("What is the capital of France?")
    expect(box).to_be_focused()
    expect(page.locator(".pt-chip")).to_contain_text("Changing the last question")
    send(page, "What does Glot500 cover?")
    expect(page.locator("#pt-conversation h3").nth(1)).to_have_text("What does Glot500 cover?")
    assert page.locator("#pt-conversation .pt-exchange").count() == 2
    assert page.locator(".pt-chip").count() == 0


def test_a_change_can_be_taken_back(page: Page) -> None:
    ask(page, "What does PDS do?")
    page.get_by_role("button", name="Edit the question").click()
    page.locator(".pt-chip").click()
    expect(page.locator("#pt-question textarea")).to_have_value("")
    expect(page.locator(".pt-chip")).to_have_count(0)
    ask(page, "What is the capital of France?")
    assert page.locator("#pt-conversation .pt-exchange").count() == 2


def test_copying_takes_the_citations_along(page: Page) -> None:
    ask(page, "What does PDS do?")
    page.get_by_role("button", name="Copy with citations").click()
    expect(page.locator("#pt-status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"\[1\]", copied)
    assert f"[1] {PDS}" in copied
    assert "\n" in copied


def test_a_rating_is_kept_in_a_local_file(page: Page, feedback: Callable[[], list[dict[str, object]]]) -> None:
    ask(page, "What does PDS do?")
    good = page.get_by_role("button", name="Good answer")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    _until(lambda: [line["rating"] for line in feedback()] == ["up"])
    good.click()
    expect(good).to_have_attribute("aria-pressed", "false")
    _until(lambda: [line["rating"] for line in feedback()] == ["up", None])
    page.get_by_role("button", name="Bad answer").click()
    _until(lambda: [line["rating"] for line in feedback()] == ["up", None, "down"])
    ask(page, "What is the capital of France?")  # drawn anew, the rating is still there
    expect(page.get_by_role("button", name="Bad answer").first).to_have_attribute("aria-pressed", "true")


def test_a_conversation_is_saved_as_markdown_and_its_papers_as_bibtex(page: Page) -> None:
    ask(page, "What does PDS do?")
    ask(page, "What is the capital of France?")
    markdown = _saved(page, "Save as Markdown", "conversation.md")
    assert "## What does PDS do?" in markdown
    assert "## What is the capital of France?" in markdown
    assert PDS in markdown
    bibtex = _saved(page, "Save papers as BibTeX", "papers.bib")
    assert bibtex.count("@misc{") == 1
    assert "2410.07064" in bibtex


def test_filters_and_settings_hold_for_the_next_question(page: Page) -> None:
    page.get_by_role("button", name="Filters and settings").click()
    page.get_by_label("The abstracts' own sentences").check()
    page.get_by_label("Published since").fill("2024-10")
    page.get_by_label("Published until").fill("2024-10")
    ask(page, "What does PDS do?")
    assert "no model wrote this" in last(page)
    assert PDS in last(page)
    expect(page.locator(".pt-chip")).to_contain_text("Since: 2024-10 · Until: 2024-10")
    assert "Since: 2024-10 · Until: 2024-10" in last(page)
    page.get_by_label("Published until").fill("2024-09")
    ask(page, "What does PDS do?")
    assert "swap" in last(page)  # since is after until
    page.get_by_label("Published since").fill("soon")
    ask(page, "What does PDS do?")
    assert "not a date" in last(page)
    page.locator(".pt-chip").click()
    expect(page.get_by_label("Published since")).to_have_value("")
    expect(page.locator(".pt-chip")).to_have_count(0)
    page.get_by_label("Author").fill("Zhendong Wang")
    ask(page, "What does PDS do?")
    assert "papers that pass the filters don't say" in last(page)


def test_what_is_typed_is_text(page: Page) -> None:
    ask(page, "<img src=x onerror=alert(1)><script>alert(1)</script> **GRIN** ${alert(1)} {{alert(1)}}")
    shown = page.locator("#pt-conversation h3").inner_text()
    assert shown == "<img src=x onerror=alert(1)><script>alert(1)</script> **GRIN** ${alert(1)} {{alert(1)}}"


def _saved(page: Page, button: str, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    assert download.value.suggested_filename == name
    return download.value.path().read_text()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{5,}", text.casefold()))


def _until(holds: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.fixture
def slowly(typist: Typist) -> Typist:
    before, typist.pause = typist.pause, 0.2
    yield typist
    typist.pause = before


@pytest.fixture
def feedback(indexed) -> Callable[[], list[dict[str, object]]]:
    path = indexed.index_dir.parent / "feedback.jsonl"
    path.unlink(missing_ok=True)
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
