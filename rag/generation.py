"""Prompt and papers to a draft, streamed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rag.llm import LanguageModel
from rag.papers import Paper
from rag.prompts import Prompt
from rag.text import readable

_NOT_STATED = re.compile(r"\W*not[ _]stated\b", re.IGNORECASE)
_MARKER = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
_EMPHASIS = re.compile(r"\*\*|__|`")


def write_draft(
    question: str,
    papers: Sequence[Paper],
    model: LanguageModel,
    prompt: Prompt,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """The model's own words about the question, in pieces. Nothing in them is checked yet."""
    abstracts = "\n\n".join(f"Paper: {readable(paper.title)}\nAbstract: {readable(paper.abstract)}" for paper in papers)
    yield from model.stream(prompt.fill(papers=abstracts, question=question), stopped)


def says_not_stated(draft: str) -> bool:
    """Whether the draft is the model's refusal rather than an answer."""
    return not draft.strip() or bool(_NOT_STATED.match(draft))


def tidy(draft: str) -> str:
    """The draft as running prose: no citation marks of the model's own, no list bullets, no emphasis, one line."""
    plain = _EMPHASIS.sub("", _BULLET.sub("", _MARKER.sub("", draft)))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return " ".join(line if line[-1] in ".!?:;," else f"{line}." for line in lines)
