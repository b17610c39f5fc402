"""The conversation: its question box, what can be set, and what may be done with an answer."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import gradio as gr

from rag.errors import RagError, StorageError
from rag.export import as_bibtex, as_markdown
from rag.filters import Filters
from rag.models import ModelStore, generators
from rag.settings import Settings
from rag.text import readable
from rag.web import feedback, html
from rag.web.desk import Choice, Desk
from rag.web.examples import examples
from rag.web.exchange import Exchange, conversation, turns, underway, welcome
from rag.web.wiring import AT_ONCE, FOCUS_ON_QUESTION, MANY, piece

Update = dict[Any, Any]
Exchanges = list[Exchange]


class ChatTab:
    """Lays itself out where it is made. ``exchanges`` is the visitor's conversation, kept for the session."""

    def __init__(self, desk: Desk):
        self._desk = desk
        self._stops: dict[str, threading.Event] = {}
        self._welcome = welcome(examples(desk.assistant), len(desk.assistant.papers))
        self.exchanges = gr.State([])
        self._about = gr.State("")  # the id of the one paper that is asked about
        self._changing = gr.State(-1)  # which question is being changed
        self.conversation = piece(
            "conversation", "open", "rate", "retry", "edit", "new", "export", "example", value=self._welcome
        )
        self.live = piece("live", "open")
        with gr.Column(elem_id="pt-composer"):
            self._chips = piece("chips", "anywhere", "unchanged")
            with gr.Row(equal_height=False, elem_id="pt-row"):
                self._box = gr.Textbox(
                    label="Question",
                    show_label=False,
                    container=False,
                    placeholder="Ask about the indexed papers",
                    lines=1,
                    max_lines=6,
                    scale=8,
                    autofocus=True,
                    elem_id="pt-question",
                )
                self._send = gr.Button("Ask", variant="primary", scale=0, min_width=84, elem_id="pt-ask")
                self._stop = gr.Button("Stop", scale=0, min_width=84, visible=False, elem_id="pt-stop")
            with gr.Accordion("Filters and settings", open=False, elem_id="pt-settings"):
                self._choices = _choices(desk.assistant.settings)
        self._wire()

    def ask_about(self, paper_id: str, changing: int) -> tuple[str, str]:
        """The next question is about one paper: that paper, and what says so."""
        return paper_id, self._chip(changing, paper_id)

    @property
    def about(self) -> tuple[gr.State, gr.HTML]:
        """What :meth:`ask_about` changes."""
        return self._about, self._chips

    @property
    def changing(self) -> gr.State:
        """Which question is being changed, or -1."""
        return self._changing

    def leave(self, request: gr.Request) -> None:
        """A closed tab frees its place in the line."""
        self._halt(request)
        self._stops.pop(request.session_hash or "", None)

    # Asking ------------------------------------------------------------------------------------

    def _wire(self) -> None:
        payload = gr.JSON(visible=False)
        shown = [self._box, self.conversation, self.live, self.exchanges, self._changing, self._chips]
        shown += [self._send, self._stop]
        again = [self.exchanges, self._about, *self._choices]
        inputs = [self._box, self.exchanges, self._changing, self._about, *self._choices]
        gr.on([self._box.submit, self._send.click], self._ask, inputs, shown, **MANY)
        self.conversation.example(self._example, again, shown, **MANY)
        self.conversation.retry(self._retry, again, shown, **MANY)
        self._stop.click(self._halt, **AT_ONCE)
        self.conversation.rate(self._rate, self.exchanges, self.exchanges, **AT_ONCE)
        changed = [self._box, self._changing, self._chips]
        edited = self.conversation.edit(self._edit, [self.exchanges, self._about], changed, **AT_ONCE)
        edited.then(None, js=FOCUS_ON_QUESTION, **AT_ONCE)
        all_of_it = [self.exchanges, self.conversation, self.live, self._about, *changed]
        self.conversation.new(lambda: ([], self._welcome, "", "", "", -1, ""), None, all_of_it, **AT_ONCE)
        saved = self.conversation.export(self._export, self.exchanges, payload, **AT_ONCE)
        saved.then(None, payload, js="(file) => window.papertrail.save(file)", **AT_ONCE)
        self._chips.anywhere(lambda i: ("", self._chip(i, "")), self._changing, [*self.about], **AT_ONCE)
        self._chips.unchanged(lambda about: ("", -1, self._chip(-1, about)), self._about, changed, **AT_ONCE)

    async def _ask(
        self,
        request: gr.Request,
        question: str,
        exchanges: Exchanges,
        changing: int,
        about: str,
        model: str,
        mode: str,
        count: int,
        author: str | None,
        since: str | None,
        until: str | None,
    ) -> AsyncIterator[Update]:
        if not question.strip():
            return
        kept = exchanges[:changing] if changing >= 0 else exchanges
        now = Exchange(question)
        stop = self._stops[request.session_hash or ""] = threading.Event()
        yield {
            self._box: "",
            self.conversation: conversation(kept),
            self.live: underway(now),
            self._changing: -1,
            self._chips: self._chip(-1, about),
            self._send: gr.update(visible=False),
            self._stop: gr.update(visible=True),
        }
        try:
            given = ((text or "").strip() or None for text in (author, since, until))
            filters = Filters((about,) if about else (), *given)
            async for event in self._desk.ask(question, Choice(filters, model, mode, count), turns(kept), stop):
                now = now.after(event)
                yield {self.live: underway(now)}
            now = now if now.answer else now.stopped()
        except RagError as error:
            now = now.failed(error)
        finally:
            stop.set()
        kept = [*kept, now]
        yield {
            self.conversation: conversation(kept),
            self.live: "",
            self.exchanges: kept,
            self._send: gr.update(visible=True),
            self._stop: gr.update(visible=False),
        }

    async def _example(
        self, event: gr.EventData, request: gr.Request, exchanges: Exchanges, about: str, *choices: Any
    ) -> AsyncIterator[Update]:
        async for update in self._ask(request, str(event.question), exchanges, -1, about, *choices):
            yield update

    async def _retry(
        self, event: gr.EventData, request: gr.Request, exchanges: Exchanges, about: str, *choices: Any
    ) -> AsyncIterator[Update]:
        i = int(event.exchange)
        async for update in self._ask(request, exchanges[i].question, exchanges, i, about, *choices):
            yield update

    def _halt(self, request: gr.Request) -> None:
        if stop := self._stops.get(request.session_hash or ""):
            stop.set()

    # With what was asked -----------------------------------------------------------------------

    def _rate(self, event: gr.EventData, exchanges: Exchanges) -> Exchanges:
        i, rating = int(event.exchange), event.rating or None
        if answer := exchanges[i].answer:
            try:
                feedback.keep(self._desk.assistant.settings.index_dir.parent, answer, rating)
            except StorageError as error:
                gr.Warning(str(error))
        return [*exchanges[:i], replace(exchanges[i], rating=rating), *exchanges[i + 1 :]]

    def _edit(self, event: gr.EventData, exchanges: Exchanges, about: str) -> tuple[str, int, str]:
        i = int(event.exchange)
        return exchanges[i].question, i, self._chip(i, about)

    def _export(self, event: gr.EventData, exchanges: Exchanges) -> dict[str, str]:
        """A file that the browser saves."""
        if event.format == "bibtex":
            known = self._desk.assistant.index.papers
            cited = dict.fromkeys(c.paper_id for e in exchanges if e.answer for c in e.answer.citations)
            text = as_bibtex([known[paper_id] for paper_id in cited if paper_id in known])
            return {"name": "papers.bib", "type": "application/x-bibtex", "text": text}
        text = as_markdown([(exchange.question, exchange.answer) for exchange in exchanges])
        return {"name": "conversation.md", "type": "text/markdown", "text": text}

    def _chip(self, changing: int, about: str) -> str:
        """What the next question is limited to, and which one it takes the place of."""
        paper = self._desk.assistant.index.papers.get(about)
        changed = html.chip("unchanged", f"Changing question {changing + 1}") if changing >= 0 else ""
        return changed + (html.chip("anywhere", f"Only about: {readable(paper.title)}") if paper else "")


def _choices(settings: Settings) -> list[Any]:
    """What can be set on the page: model, mode, number of papers, author, since, until."""
    store = ModelStore.of(settings)
    names = dict.fromkeys([settings.model, *generators()])
    models = [(name if store.has(name) else f"{name} (will be fetched first)", name) for name in names]
    with gr.Row():
        author = gr.Textbox(label="Author", placeholder="any", min_width=140)
        since = gr.Textbox(label="Published since", placeholder="2023 or 2023-05", min_width=140)
        until = gr.Textbox(label="Published until", placeholder="2024 or 2024-12", min_width=140)
    with gr.Row():
        mode = gr.Radio(
            [("Written, then checked", "auto"), ("The abstracts' own sentences", "extractive")],
            value="extractive" if settings.mode == "extractive" else "auto",
            label="Answers",
        )
        model = gr.Dropdown(models, value=settings.model, label="Model")
        count = gr.Slider(1, 10, min(10, settings.retrieval.papers), step=1, label="Papers that are read")
    return [model, mode, count, author, since, until]
