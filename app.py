"""The chat page: layout and wiring. Start it with ``rag chat`` or ``python app.py``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from rag import html
from rag.answers import Answer
from rag.assistant import Assistant
from rag.conversation import Turn
from rag.errors import RagError, UsageError
from rag.events import Drafting, Notice, Working
from rag.papers import Paper
from rag.progress import ANNOUNCEMENT, Progress, silent
from rag.retrieval import Found
from rag.settings import Settings

EXAMPLES = (
    "What does PDS do?",
    "How does AdaLoRA decide how to spend its parameter budget?",
    "How many languages does Glot500 cover?",
    "Which paper trains a model in only nine days?",
    "What is the capital of France?",
)
SYSTEM_FONTS = ["system-ui", "sans-serif"]
CSS = """
.pt-stage, .pt-label, .pt-about { opacity: .8; font-size: .875em; font-weight: 400; }
.pt-draft { font-style: italic; opacity: .75; border-left: 3px dashed #888; padding-left: .75em; }
.pt-refusal, .pt-notice { border-left: 3px solid #b45309; padding-left: .75em; }
.pt-paper { margin-top: 1em; }
.pt-title { font-weight: 600; }
.pt-paper blockquote { margin: .4em 0; padding-left: .75em; border-left: 3px solid var(--color-accent); }
.pt-titles { margin: .4em 0 0 1.2em; }
.pt-row { align-items: end; }
.pt-row button { min-height: 2.6rem; }
footer { display: none !important; }
"""

Messages = list[dict[str, Any]]


def build(assistant: Assistant) -> gr.Blocks:
    """The page around an assistant. What a visitor types and sees belongs to their session alone."""
    stops: dict[str, threading.Event] = {}

    def ask(
        question: str, messages: Messages, turns: list[Turn], request: gr.Request
    ) -> Iterator[tuple[str, Messages, list[Turn]]]:
        stop = stops[request.session_hash or ""] = threading.Event()
        turns = turns if messages else []  # a chat that was cleared has no history
        messages = [*messages, {"role": "user", "content": html.safe(question)}]
        for shown, answer in replies(assistant, question, stop, turns):
            turns = [*turns, Turn.of(answer)] if answer else turns
            yield "", [*messages, {"role": "assistant", "content": shown}], turns

    def halt(request: gr.Request) -> None:
        stop = stops.get(request.session_hash or "")
        if stop is not None:
            stop.set()

    def leave(request: gr.Request) -> None:
        halt(request)
        stops.pop(request.session_hash or "", None)

    with gr.Blocks(title="PaperTrail", analytics_enabled=False) as page:
        gr.Markdown(
            "# PaperTrail\nAsk about the indexed papers. Every sentence of an answer is backed by the exact words of "
            "an abstract; when the abstracts don't say, the answer says so. Nothing leaves this machine."
        )
        chat = gr.Chatbot(
            label="Answers", height="62vh", latex_delimiters=[], buttons=["copy"], feedback_options=None, elem_id="chat"
        )
        with gr.Row(equal_height=False, elem_classes="pt-row"):
            box = gr.Textbox(
                label="Question",
                placeholder="What does PDS do?",
                lines=1,
                max_lines=4,
                scale=8,
                autofocus=True,
                elem_id="question",
            )
            send = gr.Button("Ask", variant="primary", scale=1, min_width=80, elem_id="ask")
            stop = gr.Button("Stop", scale=1, min_width=80, elem_id="stop")
        gr.Examples(list(EXAMPLES), inputs=box, label="Questions to start with")
        turns = gr.State([])
        gr.on(
            [box.submit, send.click], ask, [box, chat, turns], [box, chat, turns], api_name="ask", concurrency_limit=1
        )
        stop.click(halt, queue=False, api_visibility="private")
        page.unload(leave)
    return page


def replies(
    assistant: Assistant, question: str, stop: threading.Event, history: Sequence[Turn] = ()
) -> Iterator[tuple[str, Answer | None]]:
    """What stands in the answer's place, from the first moment on, as HTML; the last of it comes with the answer."""
    found: tuple[Paper, ...] = ()
    notices = ""
    try:
        for event in assistant.ask(question, history=history):
            if stop.is_set():
                yield html.notice("Stopped. What was written so far had not been checked, so it is not shown."), None
                return
            if isinstance(event, Working):
                yield notices + html.searching(found, event.stage), None
            elif isinstance(event, Found):
                found = event.papers
            elif isinstance(event, Notice):
                notices += html.notice(event.text)
            elif isinstance(event, Drafting):
                yield notices + html.draft(event.text, "Writing a draft, not yet checked"), None
            elif isinstance(event, Answer):
                yield notices + html.answer(event), event
    except RagError as error:
        yield html.notice(str(error)), None


def serve(settings: Settings, *, port: int | None = None, browser: bool = True, progress: Progress = silent) -> None:
    """Show the page on 127.0.0.1 until it is interrupted. ``progress`` is told the address."""
    assistant = Assistant(settings, progress)
    progress(f"Opening the index of {len(assistant.papers)} papers")
    page = build(assistant).queue(max_size=32)
    try:
        address = _launch(page, port, browser)
    except OSError as error:
        raise UsageError(
            f"Port {port or 7860} is taken: name another, as in `rag chat --port {(port or 7860) + 1}`."
        ) from error
    progress(f"The chat page is at {address}", 0, ANNOUNCEMENT)
    page.block_thread()


def _launch(page: gr.Blocks, port: int | None, browser: bool) -> str:
    _, address, _ = page.launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=browser,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        theme=gr.themes.Default(font=SYSTEM_FONTS, font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )
    return str(address)


if __name__ == "__main__":
    from rag.cli import main

    sys.argv.insert(1, "chat")
    main()
