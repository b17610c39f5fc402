"""The evaluation on the page: the last report, and how an answer compares with what the gold set expects."""

from __future__ import annotations

import html
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.answers import Answer
from rag.assistant import Assistant
from rag.errors import UsageError
from rag.resources import load_evaluation
from rag.web.html import safe

if TYPE_CHECKING:
    from eval.data import Question

_REPORT = "report.html"


def last_report(folder: Path) -> str:
    """The newest report of an evaluation, in a frame that can run nothing; what to type where there is none.

    :param folder: that of the runs, one subfolder each.
    """
    reports = sorted(folder.glob(f"*/{_REPORT}"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    if not reports:
        return (
            '<p class="pt-label">No evaluation has been run on this machine: <code>make eval-quick</code> takes '
            "minutes, <code>make eval</code> over an hour.</p>"
        )
    path = reports[-1]
    when = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return (
        f'<p class="pt-label">Report of {when}</p><iframe class="pt-report" title="Report of the evaluation" '
        f'sandbox="" srcdoc="{html.escape(path.read_text(encoding="utf-8"))}"></iframe>'
    )


def gold() -> dict[str, Question]:
    """The questions of the gold set by id."""
    return {question.id: question for question in _module("data").load_questions()}


def verdict(question: Question, answer: Answer, assistant: Assistant) -> str:
    """How an answer compares with what the gold set expects."""
    if not question.papers:
        return _lines([(answer.refused, "No abstract answers this, so a refusal is right.")])
    record = _module("systems").of_answer(question.id, answer, assistant)
    papers = assistant.index.papers
    said = _module("metrics").facts_said(record, question, papers)
    facts = [(found, f"Says: {' or '.join(wordings)}") for found, wordings in zip(said, question.facts, strict=True)]
    cited = {citation.paper_id for citation in answer.citations}
    sources = [
        (paper_id in cited, f"Cites: {papers[paper_id].title if paper_id in papers else 'a paper that is not indexed'}")
        for paper_id in question.papers
    ]
    return _lines([*sources, *facts])


def _lines(lines: list[tuple[bool, str]]) -> str:
    items = "".join(
        f'<li class="pt-{"right" if right else "wrong"}"><b>{"Met" if right else "Not met"}</b> {safe(text)}</li>'
        for right, text in lines
    )
    return f'<div class="pt-label">What the gold set expects</div><ul class="pt-verdict">{items}</ul>'


def _module(name: str) -> Any:
    try:
        return load_evaluation(name)
    except ImportError as error:
        raise UsageError(f"The evaluation needs more libraries ({error}): `pip install 'papertrail[eval]'`.") from error
