"""Papers that carry markup and scripts, in a real browser: what they hold is read, and nothing of it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from rag.assistant import Assistant
from rag.settings import Settings
from rag.text import readable
from tests.browser.conftest import Typist, ask, last, served
from tests.hostile import CASES, page

pytestmark = pytest.mark.browser

SHOWN = {name: case for name, case in CASES.items() if case.kind in ("markup", "citing") or name == "screen: colours"}
# Whatever a text could have become, anywhere in what the page shows of papers and answers.
FOREIGN = """() => {
  const inside = [...document.querySelectorAll(".pt-table *, .pt-page *, .pt-exchange *, .pt-titles *")];
  const foreign = "script, img, svg, iframe, style, link, meta, base, form, input, math, h1";
  const made = inside.filter((e) => e.matches(foreign));
  const armed = inside.filter((e) => [...e.attributes].some((a) => /^(on|style|srcdoc|formaction)/i.test(a.name)));
  const leading = inside.filter((e) => e.href && !/^https?:/.test(e.href));
  return [...made, ...armed, ...leading].map((e) => e.outerHTML);
}"""


@pytest.fixture(scope="module")
def beside(indexed: Settings, typist: Typist, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page over an index that holds them too."""
    folder = tmp_path_factory.mktemp("beside")
    shutil.copytree(indexed.index_dir, folder / "index")
    (folder / "page.txt").write_bytes(page(SHOWN).encode())
    settings = indexed.model_copy(update={"data_dir": folder})
    assistant = Assistant(settings)
    assistant.ingest([folder / "page.txt"])
    assistant.close()
    yield from served(settings, typist)


def plain(text: str) -> str:
    return " ".join(text.split())


def test_a_table_of_hostile_titles_is_a_table_of_titles(visitor: Callable[..., Page], beside: str) -> None:
    shown = visitor(beside)
    shown.get_by_role("tab", name="Papers", exact=True).click()
    shown.get_by_label("Search").fill("gravel stones sieve quarry")
    expect(shown.locator(".pt-count")).to_have_text(f"{len(SHOWN)} of {255 + len(SHOWN)} papers")
    titles = shown.locator(".pt-table .pt-title").all_inner_texts()
    assert sorted(map(plain, titles)) == sorted(plain(readable(case.title)) for case in SHOWN.values())
    assert shown.evaluate(FOREIGN) == []
    shown.get_by_role("tab", name="Map", exact=True).click()
    shown.wait_for_selector(".pt-sky")
    assert shown.evaluate(FOREIGN) == []


@pytest.mark.parametrize("name", ["markup: script", "markup: double quote", "markup: closing tags", "screen: colours"])
def test_a_hostile_paper_is_asked_about_and_read(name: str, visitor: Callable[..., Page], beside: str) -> None:
    case = SHOWN[name]
    shown = visitor(beside)
    ask(shown, f"What does {case.sieve} do? {case.text}"[:300].replace("\x1b", " "))
    assert case.sieve in last(shown)
    assert shown.evaluate(FOREIGN) == []
    shown.locator("#pt-conversation .pt-exchange .pt-papers .pt-title").first.click()
    shown.wait_for_selector(".pt-open .pt-page")
    assert plain(shown.locator(".pt-page h2").inner_text()) == plain(readable(case.title))
    assert plain(shown.locator(".pt-page .pt-abstract").inner_text()) == plain(readable(case.abstract))
    assert shown.evaluate(FOREIGN) == []
    assert shown.title() == "PaperTrail"


def test_what_is_added_by_a_visitor_is_only_text(
    visitor: Callable[..., Page], own_address: str, tmp_path: Path
) -> None:
    few = {name: case for name, case in SHOWN.items() if name in ("markup: image", "markup: raw text elements")}
    (tmp_path / "<img src=x onerror=alert(1)>.txt").write_bytes(page(few).encode())
    shown = visitor(own_address)
    shown.get_by_role("tab", name="Add papers").click()
    shown.set_input_files("input[type=file]", tmp_path / "<img src=x onerror=alert(1)>.txt")
    shown.wait_for_selector(".pt-readings .pt-read")
    assert shown.locator(".pt-readings details li").count() == len(few)
    assert shown.locator(".pt-readings img, .pt-readings script").count() == 0
