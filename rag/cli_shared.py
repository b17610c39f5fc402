"""What the commands share: the terminal, the assistant while it is needed, and how help pages end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from rag.errors import UsageError
from rag.terminal import Terminal

if TYPE_CHECKING:
    from rag.assistant import Assistant
    from rag.settings import Settings

terminal = Terminal()

Model = Annotated[Optional[str], typer.Option("--model", "-m", help="Catalogue name, hub id or local folder.")]
Llm = Annotated[
    Optional[str],
    typer.Option(
        "--llm",
        metavar="URL",
        help="An OpenAI-compatible server that runs the model, as http://127.0.0.1:8000/v1; "
        "questions and abstracts are sent there.",
    ),
]
LlmModel = Annotated[
    Optional[str], typer.Option("--llm-model", metavar="NAME", help="The model's name on that server.")
]


_before: ContextVar[Mapping[str, Any]] = ContextVar("before")


def given_before(**flags: Any) -> None:
    """What flags before the command set, as those of the index: it holds for whichever command comes."""
    _before.set(flags)


def load_settings(
    *, model: str | None = None, llm: str | None = None, llm_model: str | None = None, **flags: Any
) -> Settings:
    """:func:`rag.settings.load_settings`, and the log is written as they say.

    Imported when a command runs: a help page must not wait for pydantic. A model of this machine that a flag names
    takes the place of a server's that is set elsewhere. :raises UsageError: if flags name both.
    """
    from rag import log
    from rag.settings import load_settings

    if model and (llm or llm_model):
        raise UsageError("--model names a model of this machine, and --llm a server's: give one of them.")
    server = {"url": llm, "model": llm_model}
    given = {"url": None} if model else {name: value for name, value in server.items() if value is not None}
    settings = load_settings(model=model, llm=given or None, **_before.get({}), **flags)
    log.configure(settings.log, terminal.note)
    return settings


@contextmanager
def opened(settings: Settings) -> Iterator[Assistant]:
    """An assistant that is closed, and its progress display with it, when the command is done."""
    from rag.assistant import Assistant

    assistant = Assistant(settings, terminal.progress)
    try:
        yield assistant
    finally:
        assistant.close()
        terminal.done()


def examples(*commands: str) -> str:
    """The end of a help page: real commands to copy, in Markdown."""
    return "Examples:\n\n\n" + "\n\n".join(f"- `{command}`" for command in commands)
