"""No visitor learns where anything lies on this machine, whatever goes wrong."""

import contextlib
import errno
import html
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from rag.assistant import Assistant
from rag.desk import Line
from rag.errors import StorageError
from rag.settings import Settings
from rag.web.html import safe
from rag.web.places import Places
from tests.loops import run
from tests.web.visits import ASKED, Visit, served, small


@pytest.fixture
def here(settings: Settings, tmp_path: Path) -> Settings:
    """Settings whose folders have names that nobody is to learn, with spaces in them."""
    return small(settings, tmp_path / "their secret" / "& place")


# The filter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "There is no index in {data}/index yet: type `rag ingest`.",
            "There is no index in …/index yet: type `rag ingest`.",
        ),
        ("{data} can't be written.", "…/data can't be written."),
        ("The page {corpus}/a page.txt is empty", "The page …/a page.txt is empty"),
        ("(/usr/lib/python3.11/x.py, /etc/passwd): no.", "(…/x.py, …/passwd): no."),
        ("<b>/home/me/x</b> and '/home/me/y'", "<b>…/x</b> and '…/y'"),
        (r"C:\Users\me\x.txt is empty", "…/x.txt is empty"),
        ("at https://example.org/home/me/x, and/or 1/2, ORG/NAME", None),
        ("An abstract.", None),
        ([{"file": "/home/me/pages/a.txt"}, 1, None, ("/tmp/x",)], [{"file": "…/a.txt"}, 1, None, ("…/x",)]),
    ],
)
def test_of_a_path_only_the_last_name_is_told(told: Any, shown: Any, here: Settings) -> None:
    if isinstance(told, str):
        told = told.format(data=here.index_dir.parent, corpus=here.corpus)
    assert Places.of(here).hidden(told) == (told if shown is None else shown)


def test_a_place_is_known_in_html_too(here: Settings) -> None:
    def shown(data: str, index: str) -> str:
        return f'<div class="a/b" data-x="{safe(data)}"> {safe(index)}</div>'

    told = shown(str(here.data_dir), f"{here.data_dir}/index isn't 1/2")
    assert Places.of(here).hidden(told) == shown("…/data", "…/index isn't 1/2")


# What goes wrong ----------------------------------------------------------------------------------


def ingested(here: Settings) -> None:
    with contextlib.closing(Assistant(here)) as assistant:
        assistant.ingest()


def damaged(here: Settings) -> None:
    ingested(here)
    (here.index_dir / "chroma.sqlite3").write_bytes(b"no database" * 1000)


def unwritable(here: Settings) -> None:
    here.index_dir.parent.parent.mkdir(parents=True, exist_ok=True)
    here.index_dir.parent.write_text("a file stands where the folder should be")


def half_made(here: Settings) -> None:
    class Stopped(BaseException): ...

    def stop(task: str, *_: object) -> None:
        if task.startswith("Indexing"):
            raise Stopped

    others = here.index_dir.parent.parent / "others"
    shutil.copytree(str(here.corpus), others)
    with contextlib.closing(Assistant(here, stop)) as assistant, pytest.raises(Stopped):
        assistant.ingest([others])


@dataclass(frozen=True)
class Trouble:
    """Something wrong, and what the page says of it."""

    says: str
    before: Callable[[Settings], None] = lambda here: None
    mode: str = "auto"
    model: str | None = None
    cache: str | None = None
    line: int = 32


TROUBLES = {
    "index damaged": Trouble("can't be read", damaged, "extractive"),
    "index unwritable": Trouble("can't be written", unwritable, "extractive"),
    "index half-made": Trouble("as when it was stopped", half_made, "extractive"),
    "model without weights": Trouble("can't be loaded", model="a model"),
    "no models": Trouble("Until then", cache="nothing cached"),
    "busy": Trouble("questions are waiting already", line=0),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_goes_wrong_is_told_without_a_place(name: str, here: Settings, tmp_path: Path) -> None:
    trouble = TROUBLES[name]
    secret = tmp_path / "their secret"
    updates: dict[str, Any] = {"mode": trouble.mode, "offline": True, "model": str(secret / "model")}
    if trouble.model:
        updates["model"] = str(secret / trouble.model)
        (secret / trouble.model).mkdir()
        (secret / trouble.model / "config.json").write_text('{"model_type": "llama"}')
    if trouble.cache:
        updates |= {"cache_dir": secret / trouble.cache, "model": here.model}
    if not trouble.line:
        updates["model"] = here.model
    trouble.before(here)
    with served(here.model_copy(update=updates), line=Line(trouble.line)) as visit:
        told = html.unescape(everything(visit))
    assert trouble.says in told
    for hidden in (str(tmp_path), "their secret", str(Path.home()) + "/", sys.prefix, "Traceback", "site-packages"):
        at = told.find(hidden)
        assert at < 0, told[max(0, at - 200) : at + 200]


def everything(visit: Visit) -> str:
    """What the page, its endpoints and its tools tell whoever asks."""
    told = [visit.client.get(path).text for path in ("/", "config", "gradio_api/info", "gradio_api/openapi.json")]
    told += [visit.asks(), visit.asks("What is the capital of France?", mode="extractive"), visit.does("_listed")]
    told += [visit.does(name, None) for name in ("greet", "_mapped", "_drawn")]
    told += [visit.does("_remove", event={"name": "page.txt"}), visit.does("_remove", event={"name": "../x"})]
    told += [visit.does("_rate", [], {}, event={"exchange": "x", "rating": "up"}), run(tools(visit.address))]
    return "\n".join(told)


async def tools(address: str) -> str:
    """What agents are told."""
    through = streamablehttp_client(f"{address}gradio_api/mcp/")
    async with through as (reading, writing, _), ClientSession(reading, writing) as session:
        await session.initialize()
        told = [str(await session.list_tools())]
        for name, given in (
            *(("ask", {"question": ASKED}), ("search", {"question": "marbles"}), ("check", {"claim": "Zorb sorts."})),
            *(("papers", {}), ("papers", {"since": "soon"}), ("check", {"claim": "x", "paper": "/etc/passwd"})),
        ):
            told.append(str(await session.call_tool(name, given)))
    return "\n".join(told)


def test_a_rating_that_cannot_be_kept_names_no_place(here: Settings) -> None:
    (here.index_dir.parent / "feedback.jsonl").mkdir(parents=True)
    with served(here) as visit:
        visit.asks()
        (key,) = set(re.findall("copy ([0-9a-f]{12})", visit.does("_idle", None, None)))
        told = visit.does("_rate", None, None, event={"exchange": key, "rating": "up"})
    assert "can't be written" in told
    assert "their secret" not in html.unescape(told)


def test_a_full_disk_is_told_without_a_place(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Assistant, *given: object, **named: object) -> None:
        raise StorageError(f"The index in {here.index_dir} can't be written ({os.strerror(errno.ENOSPC)}): make room.")

    with served(here) as visit:
        sent = visit.client.post(
            "gradio_api/upload", files={"files": ("a.txt", b"Abstract: Blip is a lamp. It shines.")}
        )
        file = {"path": sent.json()[0], "orig_name": "a.txt", "meta": {"_type": "gradio.FileData"}}
        assert "was not read" not in visit.does("_read", [file])
        monkeypatch.setattr(Assistant, "ingest", full)
        told = visit.does("_index", None)
    assert os.strerror(errno.ENOSPC) in told
    assert "their secret" not in html.unescape(told)
