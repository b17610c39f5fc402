"""Prompt and papers to a draft, streamed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rag.llm import LanguageModel
from rag.papers import Paper
from rag.prompts import Prompt
from rag.text import readable, sentence_spans, shortened

_NOT_STATED = re.compile(r"\W*not[ _]stated\b", re.IGNORECASE)
_ENDS = '.!?:;,"”)'
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
    abstracts = "\n\n".join(
        f"Paper: {shortened(readable(paper.title))}\nAbstract: {shortened(readable(paper.abstract))}"
        for paper in papers
    )
    yield from model.stream(prompt.fill(papers=abstracts, question=question), stopped)


def says_not_stated(draft: str) -> bool:
    """Whether the draft is the model's refusal rather than an answer."""
    return not draft.strip() or bool(_NOT_STATED.match(draft))


def tidy(draft: str) -> str:
    """The draft as running prose: no citation marks of the model's own, no list bullets, no emphasis, one line.

    A last sentence that was cut off by a limit is left out, if there is one before it.
    """
    plain = _EMPHASIS.sub("", _BULLET.sub("", _MARKER.sub("", draft)))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    prose = " ".join(line if line[-1] in _ENDS else f"{line}." for line in lines[:-1])
    last = lines[-1] if lines else ""
    if last and last[-1] not in _ENDS:
        spans = sentence_spans(last)
        last = last[: spans[-2][1]] if len(spans) > 1 else ("" if prose else last)
    return f"{prose} {last}".strip()
