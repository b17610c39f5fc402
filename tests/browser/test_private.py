"""What the page asks of whom, in a real browser; that nobody else is asked is held by the fixture, for every test."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Error, Page

from rag.login import Login
from rag.settings import Settings
from tests.browser.conftest import ask, last
from tests.web.visits import ASKED, Visit, served, small

pytestmark = pytest.mark.browser
LOGIN = Login("reader", "a long: pässword")


@pytest.fixture(scope="module")
def shared(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """A page that wants a password."""
    with served(small(settings, tmp_path_factory.mktemp("shared")), host="0.0.0.0", login=LOGIN) as visit:
        yield visit


def test_a_tour_of_the_page_asks_its_own_server_alone(visitor: Callable[..., Page], address: str) -> None:
    page = visitor(address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ask(page, "What does PDS do?")
    page.locator("#pt-conversation .pt-cite").first.click()
    page.wait_for_selector(".pt-open .pt-page")
    page.keyboard.press("Escape")
    for tab in ("Papers", "Evaluation", "Add papers", "Ask"):
        page.get_by_role("tab", name=tab, exact=True).click()
    page.reload()
    page.wait_for_selector(".pt-welcome")
    assert len(asked) > 10
    assert {url for url in asked if not url.startswith((address, "data:", "blob:"))} == set()


def test_not_even_a_script_on_the_page_reaches_anybody_else(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(address)
    page.wait_for_selector(".pt-welcome")
    for way in ("fetch('https://somewhere.example/')", "import('https://somewhere.example/x.js')"):
        said = page.evaluate(f"() => {way}.then(() => 'reached', error => error.name)")
        assert said == "TypeError"
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (told) => resolve(told.blockedURI));
          new Image().src = "https://somewhere.example/x.png";
        })"""
    )
    assert blocked.startswith("https://somewhere.example")
    page.close()


def test_the_page_works_behind_its_password(chromium: Browser, shared: Visit) -> None:
    credentials = {"username": LOGIN.user, "password": LOGIN.password}
    page = chromium.new_page(http_credentials=credentials)
    page.goto(shared.address)
    page.wait_for_selector(".pt-welcome")
    ask(page, ASKED)
    assert "1,200 marbles" in last(page)
    page.close()


def test_without_the_password_the_browser_shows_nothing(chromium: Browser, shared: Visit) -> None:
    page = chromium.new_page()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        page.goto(shared.address)
    page.wait_for_url("chrome-error:**")  # what the browser shows in its place
    assert "PaperTrail" not in page.content()
    page.close()
