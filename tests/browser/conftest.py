"""The real page over the real index, driven in a real browser. The model is a typist unless a test says otherwise."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from rag.assistant import Assistant
from rag.desk import Desk
from rag.resources import load_page
from rag.settings import Settings
from tests.says import Says, Typist

_PATIENCE = 60_000
"""Milliseconds: a busy machine may take its time."""
app = load_page()
expect.set_options(timeout=_PATIENCE)

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
# Without these, Chromium looks for its maker's servers by itself.
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_SANDBOX = ("--no-sandbox", "--disable-gpu", "--disable-quic")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("There is no Chromium: `.ci/run` installs it.")
        pytest.skip("There is no Chromium to drive the page with.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_QUIET, *_SANDBOX])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def typist() -> Typist:
    return Typist()


@pytest.fixture(scope="session")
def address(indexed: Settings, typist: Typist) -> Iterator[str]:
    """The page over the shared index, which these tests don't change."""
    yield from served(indexed, typist)


@pytest.fixture
def own_address(indexed: Settings, typist: Typist, tmp_path: Path) -> Iterator[str]:
    """A page over an index of its own."""
    shutil.copytree(indexed.index_dir, tmp_path / "index")
    yield from served(indexed.model_copy(update={"data_dir": tmp_path}), typist)


def served(settings: Settings, model: Says | None) -> Iterator[str]:
    assistant = Assistant(settings.model_copy(update={"mode": "auto"}))
    if model is not None:
        assistant.__dict__["model"] = model
    assistant.told()
    blocks = app.build(Desk(assistant))
    yield app.launch(blocks)
    blocks.close()
    assistant.close()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page as another visitor each time.

    In the end, nobody else may have been asked for anything, no script may have failed, and none of a paper's,
    a model's or a visitor's may have run.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def visit(address: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(_PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: None if _own(request.url, address) else wrong.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        page.wait_for_selector(".pt-welcome")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def _own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture
def page(visitor: Callable[..., Page], address: str) -> Page:
    return visitor(address)


def ask(page: Page, question: str) -> None:
    """Ask, and wait until the answer or refusal is there."""
    before = page.locator("#pt-conversation .pt-exchange").count()
    send(page, question)
    page.locator("#pt-conversation .pt-exchange").nth(before).wait_for()


def send(page: Page, question: str) -> None:
    page.fill("#pt-question textarea", question)
    page.press("#pt-question textarea", "Enter")


def last(page: Page) -> str:
    """The text of the last exchange."""
    return page.locator("#pt-conversation .pt-exchange").last.inner_text()


def picture(page: Page, name: str) -> None:
    """Keep a screenshot to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
