"""The corpus: a table of the papers and their map."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.desk import Desk
from rag.topics import Topics, topics_of
from rag.web import html, table
from rag.web.exchange import Exchange
from rag.web.map import drawn
from rag.web.wiring import AT_ONCE, PRIVATE, piece

_ABOUT = (
    '<p class="pt-label">Each dot is a paper, near those that are like it. Press one to read its abstract. The papers '
    "behind your last answer carry their names.</p>"
)


class PapersTab:
    """Lays itself out where it is made, inside ``tab``; it is drawn when the tab is opened."""

    def __init__(self, desk: Desk, tab: gr.Tab, exchanges: gr.State):
        self._desk = desk
        self._drawing = threading.Lock()
        self._topics: tuple[str, Topics] | None = None
        view = gr.State(table.View())
        with gr.Tabs():
            with gr.Tab("List"):
                words = gr.Textbox(
                    label="Search", placeholder="words of title, author, category or abstract", elem_id="pt-search"
                )
                self.table = piece("papers", "open", "sort", "turn")
            with gr.Tab("Map") as map_tab:
                self.map = piece("map", "open")
        shown: list[Any] = [view, self.table]
        tab.select(self._drawn, view, shown, **AT_ONCE)
        tab.select(self._mapped, exchanges, self.map, **PRIVATE)
        words.change(lambda view, words: self._drawn(view.searched(words)), [view, words], shown, **AT_ONCE)
        self.table.sort(self._sort, view, shown, **AT_ONCE)
        self.table.turn(self._turn, view, shown, **AT_ONCE)
        map_tab.select(self._mapped, exchanges, self.map, **PRIVATE)

    def _drawn(self, view: table.View) -> tuple[table.View, str]:
        return view, table.drawn(self._desk.assistant.papers, view)

    def _sort(self, event: gr.EventData, view: table.View) -> tuple[table.View, str]:
        return self._drawn(view.sorted_by(str(event.by)))

    def _turn(self, event: gr.EventData, view: table.View) -> tuple[table.View, str]:
        return self._drawn(view.turned(int(event.page)))

    def _mapped(self, exchanges: list[Exchange]) -> Iterator[str]:
        """The map; the papers behind the last answer are lit up."""
        assistant = self._desk.assistant
        if self._topics is None or self._topics[0] != assistant.index.sha256:
            yield html.stage("Drawing the map")
        last = next((exchange.answer for exchange in reversed(exchanges) if exchange.answer), None)
        lit = {citation.paper_id for citation in last.citations} if last else set()
        yield _ABOUT + drawn(assistant.papers, self._topics_of(assistant), lit)

    def _topics_of(self, assistant: Assistant) -> Topics:
        """Found once for an index: it takes seconds."""
        with self._drawing:
            if self._topics is None or self._topics[0] != assistant.index.sha256:
                self._topics = assistant.index.sha256, topics_of(assistant.papers, assistant.vectors)
            return self._topics[1]
