"""The chat page: layout and wiring. Start it with ``rag chat`` or ``python app.py``."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError, validate_call
from starlette.middleware import Middleware

from rag import web
from rag.assistant import Assistant
from rag.desk import Desk
from rag.errors import RagError, UsageError
from rag.login import LOOPBACK, Login
from rag.progress import ANNOUNCEMENT, Progress, silent
from rag.server import open_door
from rag.settings import Settings
from rag.web import abstract, html, uploads
from rag.web.adding_tab import AddingTab
from rag.web.chat_tab import ChatTab
from rag.web.door import Door
from rag.web.evaluation_tab import EvaluationTab
from rag.web.exchange import Exchange
from rag.web.page import Page
from rag.web.papers_tab import PapersTab
from rag.web.stops import Stops
from rag.web.tools import Tools
from rag.web.wiring import AT_ONCE, piece

_WAITING = 64
"""Requests that may stand in Gradio's own queue; questions stand in the desk's line."""
_FILES = 10
"""So many of the largest files may come at once."""
_SESSIONS = 128
"""Visitors whose conversation is kept; Gradio would keep ten thousand, each with a copy of the page's parts."""
_UPLOADS = (3600, 3600)
"""Every so many seconds, uploads that are older than so many seconds are deleted."""
_TO_THE_QUESTION = """() => {
  window.papertrail.close();
  document.querySelector("#pt-question textarea").focus();
}"""


def build(desk: Desk) -> Page:
    """The page around a desk. What a visitor types and sees belongs to their session alone."""
    stops = Stops()

    def opened(event: gr.EventData, exchanges: list[Exchange], gold: list[Exchange]) -> str:
        return abstract.opened(desk.assistant.index.papers, [*exchanges, *gold], event._data)

    def ask_about(event: gr.EventData) -> tuple[str, Any]:
        return str(event.paper), gr.Tabs(selected="ask")

    options: dict[str, Any] = {"analytics_enabled": False, "fill_width": True, "delete_cache": _UPLOADS}
    with (page := Page(desk.assistant.settings, title="PaperTrail", **options)):
        piece("top", value=html.heading())
        with gr.Tabs() as tabs:
            with gr.Tab("Ask", id="ask") as chat_tab:
                chat = ChatTab(desk, stops)
            with gr.Tab("Papers", id="papers") as tab:
                papers = PapersTab(desk, tab, chat.exchanges)
            with gr.Tab("Evaluation", id="evaluation") as tab:
                evaluation = EvaluationTab(desk, tab, stops)
            with gr.Tab("Add papers", id="add") as tab:
                adding = AddingTab(desk, tab)
        pane = piece("pane", "about")
        for shown in (chat.conversation, chat.live, papers.table, papers.map, evaluation.answer, adding.added):
            shown.open(opened, [chat.exchanges, evaluation.exchange], pane, **AT_ONCE)
        asked = pane.about(ask_about, None, [chat.about, tabs], **AT_ONCE)
        asked.then(None, js=_TO_THE_QUESTION, **AT_ONCE)
        chat.limited(asked)
        for tool, most in Tools(desk).all().items():
            gr.api(_told(tool, page.hidden), api_name=tool.__name__, concurrency_limit=most)
        for begin in (page.load, chat_tab.select):
            begin(chat.greet, chat.exchanges, chat.conversation, **AT_ONCE)
        page.unload(stops.leave)  # a closed tab frees its place in the line
    return page


def _told(tool: Callable[..., Any], hidden: Callable[[str], str]) -> Callable[..., Any]:
    """A tool whose mistakes reach the program that calls it as one sentence, which names no place of this machine."""

    checked = validate_call(tool)

    @functools.wraps(tool)
    async def told(*given: Any, **named: Any) -> Any:
        try:
            made = checked(*given, **named)
            return await made if inspect.isawaitable(made) else made
        except RagError as error:
            raise gr.Error(hidden(str(error)), print_exception=False) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = first["loc"][0]
            name = list(inspect.signature(tool).parameters)[where] if isinstance(where, int) else where
            raise gr.Error(hidden(f"{name}: {first['msg']}."), print_exception=False) from error

    return told


def serve(
    settings: Settings,
    *,
    host: str = LOOPBACK,
    login: Login | None = None,
    port: int | None = None,
    browser: bool = True,
    progress: Progress = silent,
) -> None:
    """Show the page until it is interrupted, and let `rag ask` use what it has in memory meanwhile.

    :param host: the address of this machine where it is shown. :param login: what a visitor must give.
    :param progress: is told the page's address.
    """
    assistant = Assistant(settings, progress)
    with contextlib.suppress(RagError):  # what is wrong with the index is said when it is opened
        uploads.Shelf.of(settings).mend(assistant)
    progress(f"Opening the index of {len(assistant.papers)} papers")
    desk = Desk(assistant)
    page = build(desk)
    try:
        address = launch(page, host=host, login=login, port=port, browser=browser)
    except OSError as error:
        raise UsageError(
            f"Port {port or 7860} is taken: name another, as in `rag chat --port {(port or 7860) + 1}`."
        ) from error
    progress(f"The chat page is at {address}", 0, ANNOUNCEMENT)
    with contextlib.ExitStack() as door:
        with contextlib.suppress(RagError):  # where `rag serve` runs already, the page is for itself
            door.enter_context(open_door(desk))
        page.block_thread()


def launch(
    page: Page, *, host: str = LOOPBACK, login: Login | None = None, port: int | None = None, browser: bool = False
) -> str:
    """Serve the page, by default on loopback and on the first free port from 7860; returns its address."""
    with contextlib.redirect_stdout(io.StringIO()):  # the MCP server announces itself, however quiet
        _, address, _ = page.queue(max_size=_WAITING).launch(
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            inbrowser=browser,
            share=False,
            app_kwargs={
                "middleware": [Middleware(Door, host=host, login=login)],
                "max_body_size": _FILES * uploads.MOST_BYTES,
            },
            num_workers=0,  # they would listen beside the door
            run_history=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            ssr_mode=False,
            mcp_server=True,
            state_session_capacity=_SESSIONS,
            max_file_size=uploads.MOST_BYTES,
            theme=gr.themes.Base(
                primary_hue="teal",
                neutral_hue="slate",
                font=["system-ui", "sans-serif"],
                font_mono=["ui-monospace", "monospace"],
            ),
            head=_head(),
        )
    if login is not None and page.mcp_server_obj is not None:
        page.mcp_server_obj._local_url = login.within(address)  # how the tools for agents ask the page
    return str(address)


def _head() -> str:
    """Style and script. Gradio would limit the rules of a stylesheet to what is inside its container."""
    folder = Path(web.__file__).parent
    page, map_, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "map.css", "page.js"))
    return f"<style>{page}{map_}</style><script>{script}</script>"


if __name__ == "__main__":
    from rag.cli import main

    sys.argv.insert(1, "chat")
    main()
