"""The conversation: its question box, what can be set, and what may be done with an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from rag.answers import Answer
from rag.desk import Choice, Desk
from rag.errors import RagError, StorageError
from rag.export import as_bibtex, as_markdown
from rag.filters import Filters
from rag.models import ModelStore, generators
from rag.settings import Settings
from rag.text import readable
from rag.web import feedback, html
from rag.web.examples import examples
from rag.web.exchange import STOPPED, Exchange, Rating, conversation, place, turns, underway, welcome
from rag.web.places import Places
from rag.web.stops import Stops
from rag.web.wiring import AT_ONCE, FOCUS_ON_QUESTION, MANY, PRIVATE, piece

Update = dict[Any, Any]
Exchanges = list[Exchange]
Ratings = dict[str, Rating]
_AS_SET = ""
"""The model that the settings name."""


class ChatTab:
    """Lays itself out where it is made. ``exchanges`` is the visitor's conversation, kept for the session."""

    def __init__(self, desk: Desk, stops: Stops):
        self._desk = desk
        self._stops = stops
        self._welcomes: dict[str, str] = {}
        self.exchanges = gr.State([])
        self._ratings = gr.State({})
        self.about = gr.State("")  # the id of the one paper that the next question is about
        self._changing = gr.State("")  # the key of the exchange that is being changed
        self.conversation = piece(
            "conversation", "open", "rate", "retry", "edit", "new", "export", "example", value=self._welcome()
        )
        self.live = piece("live", "open")
        self._told = piece("told")
        with gr.Column(elem_id="pt-composer"):
            self._chips = piece("chips", "anywhere", "unfiltered", "unchanged")
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

    def greet(self, exchanges: Exchanges) -> Any:
        """What stands where a conversation will: of the index as it is now. Nothing new once there is one."""
        return gr.skip() if exchanges else self._welcome()

    def _welcome(self) -> str:
        assistant = self._desk.assistant
        known = assistant.index.sha256
        if known not in self._welcomes:
            self._welcomes = {known: welcome(examples(assistant), len(assistant.papers))}
        return self._welcomes[known]

    # Asking ------------------------------------------------------------------------------------

    def _wire(self) -> None:
        payload = gr.JSON(visible=False)
        changed: list[Any] = [self._box, self._changing]
        given = [self.exchanges, self._ratings, self.about, *self._choices]
        shown = [self.conversation, self.live, self._send, self._stop]
        asking = [*shown, *changed, self._chips, self.exchanges]
        asked = [
            gr.on([self._box.submit, self._send.click], self._ask, [self._box, self._changing, *given], asking, **MANY),
            self.conversation.example(self._example, given, asking, **MANY),
            self.conversation.retry(self._retry, given, asking, **MANY),
        ]
        for over in asked:  # as things are by then: an answer may have been rated meanwhile
            over.then(self._idle, [self.exchanges, self._ratings], shown, **AT_ONCE)
        self._stop.click(self._stops.halt, **AT_ONCE)
        both = [self.exchanges, self._ratings]
        self.conversation.rate(self._rate, both, [self._ratings, self._told], **PRIVATE)
        edited = self.conversation.edit(self._edit, self.exchanges, changed, **AT_ONCE)
        edited.then(None, js=FOCUS_ON_QUESTION, **AT_ONCE)
        new = self.conversation.new(self._new, None, [*changed, *both, self.about], **AT_ONCE)
        new.then(self._idle, both, shown, **AT_ONCE)
        saved = self.conversation.export(self._export, self.exchanges, payload, **AT_ONCE)
        saved.then(None, payload, js="(file) => window.papertrail.save(file)", **AT_ONCE)
        *_, author, since, until = self._choices
        for limit in (author, since, until):
            self.limited(limit.change(None, **AT_ONCE))
        self._chips.unfiltered(lambda: ("", "", ""), None, [author, since, until], **AT_ONCE)
        self.limited(self._chips.anywhere(lambda: "", None, self.about, **AT_ONCE))
        self.limited(self._chips.unchanged(lambda: ("", ""), None, changed, **AT_ONCE))
        for after in (edited, new):
            self.limited(after)

    def limited(self, done: Any) -> None:
        """Show what the next question is limited to, once something has been done that may change it."""
        limits = [self._changing, self.about, *self._choices[-3:]]
        done.then(self._chip, limits, self._chips, **AT_ONCE)

    async def _ask(
        self,
        request: gr.Request,
        question: str,
        changing: str,
        exchanges: Exchanges,
        ratings: Ratings,
        about: str,
        model: str,
        mode: str,
        count: int,
        author: str | None,
        since: str | None,
        until: str | None,
    ) -> AsyncIterator[Update]:
        if not question.strip():
            yield {self._box: ""}
            return
        kept = exchanges[: place(exchanges, changing)]
        now = Exchange(question.strip(), limits=" · ".join(self._limits(about, author, since, until)))
        stop = self._stops.begin(request)
        yield {
            self._box: "",
            self.conversation: conversation(kept, ratings, idle=False),
            self.live: underway(now),
            self._changing: "",
            self._chips: self._chip("", about, author, since, until),
            self._send: gr.update(visible=False),
            self._stop: gr.update(visible=True),
        }
        try:
            filters = Filters((about,) if about else (), *map(_given, (author, since, until)))
            async for event in self._desk.ask(question, Choice(filters, model, mode, count), turns(kept), stop):
                now = now.after(event)
                if not isinstance(event, Answer):
                    yield {self.live: underway(now)}
            now = now if now.answer else now.stopped()
        except RagError as error:
            now = now.failed(error)
        finally:
            stop.set()
        if self._stops.is_current(request, stop):
            # An answer that was to be asked for again, or changed, stays if its successor is stopped.
            gone = now.failure == STOPPED and len(kept) < len(exchanges)
            yield {self.exchanges: exchanges if gone else [*kept, now]}

    def _idle(self, request: gr.Request, exchanges: Exchanges, ratings: Ratings) -> tuple[Any, ...]:
        """What is shown when nothing is being asked: conversation, nothing live, the button to ask, none to stop."""
        if self._stops.is_running(request):
            return (gr.skip(),) * 4
        shown = conversation(exchanges, ratings) if exchanges else self._welcome()
        return shown, "", gr.update(visible=True), gr.update(visible=False)

    async def _example(self, event: gr.EventData, request: gr.Request, *given: Any) -> AsyncIterator[Update]:
        async for update in self._ask(request, str(event.question), "", *given):
            yield update

    async def _retry(
        self, event: gr.EventData, request: gr.Request, exchanges: Exchanges, ratings: Ratings, *given: Any
    ) -> AsyncIterator[Update]:
        i = place(exchanges, str(event.exchange))
        if i is None:  # the server has forgotten the conversation
            yield {self.exchanges: exchanges}
            return
        asked = exchanges[i]
        async for update in self._ask(request, asked.question, asked.key, exchanges, ratings, *given):
            yield update

    def _new(self, request: gr.Request) -> tuple[str, str, Exchanges, Ratings, str]:
        self._stops.leave(request)
        return "", "", [], {}, ""

    # With what was asked -----------------------------------------------------------------------

    def _rate(self, event: gr.EventData, exchanges: Exchanges, ratings: Ratings) -> tuple[Ratings, str]:
        key, rating = str(event.exchange), event.rating or None
        i = place(exchanges, key)
        answer = None if i is None else exchanges[i].answer
        if answer is None:
            return ratings, ""
        try:
            feedback.keep(self._desk.assistant.settings.index_dir.parent, answer, rating)
        except StorageError as error:
            gr.Warning(Places.of(self._desk.assistant.settings).hidden(str(error)))
            return ratings, ""
        others = {other: kept for other, kept in ratings.items() if other != key}
        said = "Kept in a file on this machine" if rating else "Taken back"
        return {**others, key: rating} if rating else others, html.told(said)

    def _edit(self, event: gr.EventData, exchanges: Exchanges) -> tuple[str, str]:
        i = place(exchanges, str(event.exchange))
        return ("", "") if i is None else (exchanges[i].question, exchanges[i].key)

    def _export(self, event: gr.EventData, exchanges: Exchanges) -> dict[str, str]:
        """A file that the browser saves."""
        if event.format == "bibtex":
            known = self._desk.assistant.index.papers
            cited = dict.fromkeys(c.paper_id for e in exchanges if e.answer for c in e.answer.citations)
            text = as_bibtex([known[paper_id] for paper_id in cited if paper_id in known])
            return {"name": "papers.bib", "type": "application/x-bibtex", "text": text}
        said = [(f"{e.question} ({e.limits})" if e.limits else e.question, e.answer or e.failure) for e in exchanges]
        text = as_markdown(said)
        return {"name": "conversation.md", "type": "text/markdown", "text": text}

    def _chip(self, changing: str, about: str, *filters: str | None) -> str:
        """What holds for the next question, each to be taken back: that it replaces another, and its limits."""
        chips = [html.chip("unchanged", "Changing the last question")] if changing else []
        if about:
            chips.append(html.chip("anywhere", *self._limits(about, None, None, None)))
        if limits := self._limits("", *filters):
            chips.append(html.chip("unfiltered", " · ".join(limits)))
        return "".join(chips)

    def _limits(self, about: str, author: str | None, since: str | None, until: str | None) -> list[str]:
        """What a question is limited to, in words."""
        limits = []
        if about:
            paper = self._desk.assistant.index.papers.get(about)
            limits.append(f"Only about: {readable(paper.title) if paper else 'a paper that has been removed'}")
        named = {"Author": author, "Since": since, "Until": until}
        return limits + [f"{name}: {value}" for name, given in named.items() if (value := _given(given))]


def _given(text: str | None) -> str | None:
    return (text or "").strip() or None


def _choices(settings: Settings) -> list[Any]:
    """What can be set on the page: model, mode, number of papers, author, since, until."""
    store = ModelStore.of(settings)
    # A visitor can't make the server fetch gigabytes, and need not know where a model lies.
    if settings.llm.url:  # a model of this machine would have to be loaded beside it
        models = [(settings.llm.model or "the server's", _AS_SET)]
    else:
        others = [(name, name) for name in generators() if store.has(name) and name != settings.model.lower()]
        models = [(Places.of(settings).hidden(settings.model), _AS_SET), *others]
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
        model = gr.Dropdown(models, value=_AS_SET, label="Model")
        count = gr.Slider(1, 10, min(10, settings.retrieval.papers), step=1, label="Papers that are read")
    return [model, mode, count, author, since, until]
