"""Pieces of HTML. Every character that came from a paper, a model or a user is escaped.

What can be pressed carries ``data-do``, the name of an event that page.js passes on with the other ``data-`` values,
and ``data-key``, by which the page finds it again after it was drawn anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from rag.text import readable

_PUNCTUATION = re.compile(r"[^\w\s]|_")
_LINES = re.compile(r"\r\n|\r|\n")


class Titled(Protocol):
    """A paper as far as its title shows it."""

    @property
    def paper_id(self) -> str: ...
    @property
    def title(self) -> str: ...


def safe(text: str) -> str:
    """Text that neither HTML nor Markdown nor LaTeX can read anything into: each sign becomes a character reference."""
    return _escaped(" ".join(text.split()))


def lines(text: str) -> str:
    """The same for the value of an attribute that keeps its line breaks."""
    return "&#10;".join(_escaped(line) for line in _LINES.split(text))


def _escaped(text: str) -> str:
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match.group())};", text)


def button(do: str, label: str, *, classes: str = "pt-link", key: str = "", spoken: str = "", **data: object) -> str:
    """Something to press. :param label: HTML. :param spoken: what a screen reader says, if not the label."""
    values = "".join(f' data-{name}="{lines(str(value))}"' for name, value in data.items())
    aria = f' aria-label="{safe(spoken)}"' if spoken else ""
    known = safe(key or " ".join([do, *map(str, data.values())]))
    return f'<button type="button" class="{classes}" data-do="{do}" data-key="{known}"{values}{aria}>{label}</button>'


def opening(paper: Titled, exchange: str = "") -> str:
    """A paper's title, which opens its abstract, as the exchange of this key quotes it if it stands in one."""
    title = safe(readable(paper.title))
    return button("open", title, classes="pt-link pt-title", paper=paper.paper_id, exchange=exchange)


def counted(count: int, noun: str = "paper") -> str:
    """A number of things: "1 paper", "2 papers"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def titles(papers: Iterable[Titled], exchange: str = "") -> str:
    """A list of papers to open, as :func:`opening` does."""
    return f'<ul class="pt-titles">{"".join(f"<li>{opening(paper, exchange)}</li>" for paper in papers)}</ul>'


def notice(text: str) -> str:
    """Something said beside the answer: an error, a fallback, a stop."""
    return f'<div class="pt-notice">{safe(text)}</div>'


def told(text: str) -> str:
    """Something that screen readers say, and nobody sees."""
    return f'<span data-status="{safe(text)}"></span>'


def stage(text: str, share: float | None = None) -> str:
    """What is being done, which a screen reader says too, and how much of it is done, in [0, 1]."""
    percent = "" if share is None else f", {share:.0%}"
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-label="{safe(text)}"></progress>'
    return (
        f'<div class="pt-stage" data-status="{safe(text)}"><span class="pt-busy" aria-hidden="true"></span>'
        f"{safe(text + percent)}…{bar}</div>"
    )


def chip(do: str, label: str) -> str:
    """Something that holds for the next question, and can be taken back."""
    return button(do, f'{safe(label)}<span class="pt-cross" aria-hidden="true"></span>', classes="pt-chip",
                  spoken=f"{label}. Take this back")  # fmt: skip


def heading() -> str:
    """The head of the page."""
    return (
        "<header><h1>PaperTrail</h1><p>Every sentence is backed by the exact words of an abstract. "
        "Nothing leaves this machine.</p></header>"
    )
