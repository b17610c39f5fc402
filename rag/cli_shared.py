"""What the commands share: the terminal, the assistant while it is needed, and how help pages end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from rag.errors import UsageError
from rag.terminal import Terminal

if TYPE_CHECKING:
    from rag.assistant import Assistant
    from rag.filters import Filters
    from rag.ingest import IngestReport
    from rag.settings import Settings

PaperOption = Annotated[
    Optional[list[str]],
    typer.Option("--paper", "-p", help="Only this paper (id, start of an id, or title); may be repeated."),
]
Author = Annotated[Optional[str], typer.Option("--author", "-a", help="Only papers by this author.")]
Since = Annotated[
    Optional[str], typer.Option("--since", help="Only papers since this date: 2023, 2023-05 or 2023-05-17.")
]
Until = Annotated[Optional[str], typer.Option("--until", help="Only papers until this date, that date included.")]

terminal = Terminal()
before_command: ContextVar[dict[str, Any]] = ContextVar("before_command", default={})  # noqa: B039
"""The settings that were given before the command's name, and hold for every command."""

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
    server = {"url": None, "model": None} if model else of_server(llm, llm_model)
    settings = load_settings(model=model, llm=server, **before_command.get(), **flags)
    log.configure(settings.log, terminal.note)
    return settings


def of_server(url: str | None, model: str | None) -> dict[str, str | None] | None:
    """What flags set of a section about a server; None if nothing."""
    return {name: value for name, value in (("url", url), ("model", model)) if value is not None} or None


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


@contextmanager
def until_stopped() -> Iterator[None]:
    """What runs until Ctrl-C or SIGTERM, either of which is how it should end."""
    import signal

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def changed(report: IngestReport) -> str:
    """What became of the index, in one line."""
    return (
        f"{report.total} papers: {report.added} added, {report.replaced} replaced, {report.removed} removed, "
        f"{report.unchanged} unchanged."
    )


def filters_of(paper: list[str] | None, author: str | None, since: str | None, until: str | None) -> Filters:
    """What the options of this name let through. :raises UsageError: for a date that is none."""
    from rag.filters import Filters

    return Filters(tuple(paper or ()), author, since, until)


def examples(*commands: str) -> str:
    """The end of a help page: real commands to copy, in Markdown."""
    return "Examples:\n\n\n" + "\n\n".join(f"- `{command}`" for command in commands)
