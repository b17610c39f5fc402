"""The evaluation: the gold questions asked live, and the last report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from rag.answers import Answer
from rag.desk import Choice, Desk
from rag.errors import RagError
from rag.web import evaluation, html
from rag.web.exchange import Exchange, alone, underway
from rag.web.stops import Stops
from rag.web.wiring import AT_ONCE, MANY, piece

_ABOUT = (
    '<p class="pt-label">The gold set: questions, each with the papers that answer it and the facts that a right answer'
    " says, or with none if no abstract answers it. Ask one, and see how the answer compares.</p>"
)


class EvaluationTab:
    """Lays itself out where it is made, inside ``tab``. ``exchange`` holds the gold question that was asked last."""

    def __init__(self, desk: Desk, tab: gr.Tab, stops: Stops):
        self._desk = desk
        self._stops = stops
        self.exchange = gr.State([])
        questions = [(f"{question.question} ({question.kind})", id_) for id_, question in evaluation.gold().items()]
        piece("gold", value=_ABOUT)
        with gr.Row(equal_height=False, elem_classes="pt-row"):
            chosen = gr.Dropdown(questions, label="A question of the gold set", scale=8, elem_id="pt-gold-question")
            ask = gr.Button("Ask it", variant="primary", scale=0, min_width=100, elem_id="pt-ask-gold")
            stop = gr.Button("Stop", scale=0, min_width=100, visible=False)
        self.answer = piece("gold-answer", "open")
        report = piece("evaluation")
        ask.click(self._ask, chosen, [self.answer, self.exchange, ask, stop], **MANY)
        stop.click(stops.halt, **AT_ONCE)
        tab.select(lambda: evaluation.last_report(desk.assistant.settings.eval_dir), None, report, **AT_ONCE)

    async def _ask(self, request: gr.Request, question_id: str | None) -> AsyncIterator[tuple[Any, ...]]:
        if not question_id:
            return
        question = evaluation.gold()[question_id]
        now = Exchange(question.question)
        stop = self._stops.begin(request)
        yield underway(now), [], gr.update(visible=False), gr.update(visible=True)
        try:
            async for event in self._desk.ask(question.question, Choice(), stop=stop):
                now = now.after(event)
                if not isinstance(event, Answer):
                    yield underway(now), gr.skip(), gr.skip(), gr.skip()
            now = now if now.answer else now.stopped()
        except RagError as error:
            now = now.failed(error)
        finally:
            stop.set()
        verdict = ""
        try:
            verdict = evaluation.verdict(question, now.answer, self._desk.assistant) if now.answer else ""
        except RagError as error:
            verdict = html.notice(str(error))
        yield alone(now) + verdict, [now], gr.update(visible=True), gr.update(visible=False)
