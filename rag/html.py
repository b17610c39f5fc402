"""Answers as HTML for the chat page. Every character that came from a paper, a model or a user is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.answers import TITLE_FROM, Answer, Citation
from rag.papers import Paper
from rag.text import readable

_PUNCTUATION = re.compile(r"[^\w\s]|_")


def safe(text: str) -> str:
    """Text that neither HTML nor Markdown nor LaTeX can read anything into: each sign becomes a character reference."""
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match.group())};", " ".join(text.split()))


def searching(papers: Sequence[Paper], stage: str) -> str:
    """What stands in the answer's place while it is made: the stage, and the titles that were found."""
    titles = "".join(f"<li>{safe(readable(paper.title))}</li>" for paper in papers)
    found = f'<ul class="pt-titles">{titles}</ul>' if titles else ""
    return f'<div class="pt-stage">{safe(stage)}…</div>{found}'


def draft(text: str, stage: str) -> str:
    """A draft, marked as one."""
    return f'<div class="pt-stage">{safe(stage)}…</div><div class="pt-draft">{safe(text)}</div>'


def notice(text: str) -> str:
    """Something said beside the answer: an error, a fallback, a stop."""
    return f'<div class="pt-notice">{safe(text)}</div>'


def answer(result: Answer) -> str:
    """A finished answer with its numbered papers and quotes, or a refusal with the nearest papers."""
    understood = _understood(result)
    if result.refused:
        near = "".join(f"<li>{_title(paper.title, paper.url)}</li>" for paper in result.nearest)
        offered = f'<div class="pt-label">Nearest papers</div><ul class="pt-titles">{near}</ul>' if near else ""
        return f'{understood}<div class="pt-refusal">{safe(result.answer)}</div>{offered}'
    sentences = [
        f'<span title="support {sentence.support:.2f}">{safe(sentence.text)}'
        f"{''.join(f'<sup>&#91;{n}&#93;</sup>' for n in sentence.citations)}</span>"
        for sentence in result.sentences
    ]
    listed = result.kind == "list"
    said = f"<ul>{''.join(f'<li>{said}</li>' for said in sentences)}</ul>" if listed else " ".join(sentences)
    label = '<div class="pt-label">Extracted from the abstracts; no model wrote this</div>'
    papers = "".join(
        _paper(n, [citation for citation in result.citations if citation.n == n])
        for n in dict.fromkeys(citation.n for citation in result.citations)
    )
    extracted = label if result.mode == "extractive" else ""
    return f'{understood}<div class="pt-answer">{said}</div>{extracted}<div class="pt-papers">{papers}</div>'


def _understood(result: Answer) -> str:
    """What a follow-up was taken to ask."""
    return f'<div class="pt-label">Understood as: {safe(result.understood)}</div>' if result.understood else ""


def _paper(n: int, quotes: Sequence[Citation]) -> str:
    first = quotes[0]
    about = " · ".join(safe(part) for part in (first.date, _authors(first)) if part)
    marked = (
        ""
        if first.title_source == "page"
        else f' <span class="pt-about">(title: {TITLE_FROM[first.title_source]})</span>'
    )
    said = "".join(f"<blockquote>“{safe(readable(citation.quote))}”</blockquote>" for citation in quotes)
    return (
        f'<div class="pt-paper"><div class="pt-title">&#91;{n}&#93; {_title(first.title, first.url)}{marked}</div>'
        f'<div class="pt-about">{about}</div>{said}</div>'
    )


def _authors(citation: Citation) -> str:
    more = len(citation.authors) > 3 or not citation.authors_complete
    return ", ".join(citation.authors[:3]) + (" et al." if more else "")


def _title(title: str, url: str | None) -> str:
    if url is None:
        return safe(title)
    return f'<a href="{safe(url)}" target="_blank" rel="noopener noreferrer">{safe(title)}</a>'
