"""The evaluation: the gold questions asked live, and the last report."""

from __future__ import annotations

from collections.abc import AsyncIterator

import gradio as gr

from rag.errors import RagError
from rag.web import evaluation
from rag.web.desk import Choice, Desk
from rag.web.exchange import Exchange, alone, underway
from rag.web.wiring import AT_ONCE, MANY, piece


class EvaluationTab:
    """Lays itself out where it is made, inside ``tab``."""

    def __init__(self, desk: Desk, tab: gr.Tab):
        self._desk = desk
        questions = [(f"{question.question} ({question.kind})", id_) for id_, question in evaluation.gold().items()]
        with gr.Row(equal_height=False, elem_classes="pt-row"):
            chosen = gr.Dropdown(questions, label="A question of the gold set", scale=8, elem_id="pt-gold")
            ask = gr.Button("Ask it", variant="primary", scale=0, min_width=100, elem_id="pt-ask-gold")
        self.answer = piece("gold-answer", "open")
        report = piece("evaluation")
        ask.click(self._ask, chosen, self.answer, **MANY)
        tab.select(lambda: evaluation.last_report(desk.assistant.settings.eval_dir), None, report, **AT_ONCE)

    async def _ask(self, question_id: str | None) -> AsyncIterator[str]:
        if not question_id:
            return
        question = evaluation.gold()[question_id]
        now = Exchange(question.question)
        verdict = ""
        try:
            async for event in self._desk.ask(question.question, Choice()):
                now = now.after(event)
                yield underway(now)
            if now.answer:
                verdict = evaluation.verdict(question, now.answer, self._desk.assistant)
        except RagError as error:
            now = now.failed(error)
        yield alone(now) + verdict
