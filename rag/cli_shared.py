"""What the commands share: the terminal, the assistant while it is needed, and how help pages end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rag.terminal import Terminal

if TYPE_CHECKING:
    from rag.assistant import Assistant
    from rag.settings import Settings

terminal = Terminal()
before_command: ContextVar[dict[str, Any]] = ContextVar("before_command", default={})  # noqa: B039
"""The settings that were given before the command's name, and hold for every command."""


def load_settings(**flags: Any) -> Settings:
    """:func:`rag.settings.load_settings`, and the log is written as they say.

    Imported when a command runs: a help page must not wait for pydantic.
    """
    from rag import log
    from rag.settings import load_settings

    settings = load_settings(**before_command.get(), **flags)
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
