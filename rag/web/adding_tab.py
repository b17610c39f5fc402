"""Adding papers: files are read first, then indexed, and can be removed again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.desk import Desk, Made
from rag.errors import RagError
from rag.ingest import IngestReport
from rag.web import html, uploads
from rag.web.exchange import progress
from rag.web.wiring import AT_ONCE, MANY, piece

_ABOUT = (
    "<p>An export of your library with abstracts (BibTeX, RIS, CSV, JSON, PubMed XML), or a text file in which each "
    "abstract is one long line: after <code>Abstract:</code>, or below the line with its title.</p>"
    '<p class="pt-label">Files are read first; nothing is indexed until you say so, and what you added can be removed '
    "again. For larger corpora: <code>rag ingest FOLDER</code>.</p>"
)


class AddingTab:
    """Lays itself out where it is made, inside ``tab``."""

    def __init__(self, desk: Desk, tab: gr.Tab):
        self._desk = desk
        self._shelf = uploads.Shelf.of(desk.assistant.settings)
        read = gr.State([])
        piece("adding", value=_ABOUT)
        files = gr.File(label="Files with abstracts", file_count="multiple", elem_id="pt-files", height=140)
        outcome = piece("outcome")
        index = gr.Button("Index what was read", variant="primary", visible=False, elem_id="pt-index")
        progress = piece("progress")
        piece("before", value="<h3>Added before</h3>")
        self.added = piece("added", "open", "remove")
        shown = [progress, self.added, read, files, outcome, index]
        files.change(self._read, files, [read, outcome, index], **AT_ONCE)
        index.click(self._index, read, shown, **MANY)
        self.added.remove(self._remove, None, shown, **MANY)
        tab.select(self._listed, None, self.added, **AT_ONCE)

    def _read(self, paths: list[str] | None) -> tuple[list[uploads.Reading], str, Any]:
        readings = [uploads.read(Path(path)) for path in paths or ()]
        known = self._desk.assistant.index.papers.keys()
        some = any(reading.papers for reading in readings)
        return readings, uploads.outcome(readings, known), gr.update(visible=some)

    async def _index(self, readings: list[uploads.Reading]) -> AsyncIterator[Any]:
        async for update in self._changed(lambda assistant: self._shelf.add(assistant, readings)):
            yield update

    async def _remove(self, event: gr.EventData) -> AsyncIterator[Any]:
        name = str(event.name)
        async for update in self._changed(lambda assistant: self._shelf.remove(assistant, name)):
            yield update

    async def _changed(self, work: Callable[[Assistant], IngestReport]) -> AsyncIterator[Any]:
        """How far a change of the index is, and what is shown after it."""
        as_it_was = [gr.skip()] * 5
        try:
            async for event in self._desk.change(work):
                if isinstance(event, Made):
                    yield uploads.report(event.result), self._listed(), [], None, "", gr.update(visible=False)
                else:
                    yield html.stage(*progress(event)), *as_it_was
        except RagError as error:
            yield html.notice(str(error)), self._listed(), *as_it_was[1:]

    def _listed(self) -> str:
        return uploads.listed(self._shelf.names(), self._desk.assistant.papers)
