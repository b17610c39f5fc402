"""One paper's page: its record, and its abstract with the words that an answer quotes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from uuid import uuid4

from rag.answers import TITLE_FROM, Citation
from rag.export import as_bibtex
from rag.papers import Paper, first_authors
from rag.text import Span, readable
from rag.web.exchange import Exchange, place
from rag.web.html import button, safe

_CLOSE = button("close", "Close", classes="pt-tool pt-close", spoken="Close the abstract")


def page(paper: Paper, quoted: Sequence[Citation] = (), current: Collection[Span] = ()) -> str:
    """A paper's page.

    :param quoted: the citations of an answer; those of other papers are passed over.
    :param current: ``(start, end)`` of those that are asked for, to which the page scrolls.
    """
    spans = [(citation.start, citation.end) for citation in quoted if citation.paper_id == paper.paper_id]
    facts = [
        ("Authors", first_authors(paper.authors, paper.authors_complete, most=30)),
        ("Date", paper.date_text or paper.date or ""),
        ("Category", paper.category or ""),
        ("Title", "" if paper.title_source == "page" else TITLE_FROM[paper.title_source]),
        ("Page", ", ".join(f"{source.file}, record {source.record}" for source in paper.sources)),
    ]
    record = "".join(f"<dt>{name}</dt><dd>{safe(value)}</dd>" for name, value in facts if value)
    links = "".join(
        f"<li>{link(url)}</li>" for url in dict.fromkeys([*([paper.url] if paper.url else []), *paper.links])
    )
    about = button("about", "Ask about this paper", classes="pt-tool pt-primary", paper=paper.paper_id)
    copy = button("copy", "Copy BibTeX", classes="pt-tool", key="bibtex", text=as_bibtex([paper]))
    return (
        f'<section class="pt-page" aria-label="Abstract">{_head(readable(paper.title))}'
        f'<p class="pt-abstract">{marked(paper.abstract, spans, current)}</p>'
        f'<div class="pt-tools">{about}{copy}</div>'
        f'<dl>{record}</dl><ul class="pt-links">{links}</ul></section>'
    )


def opened(papers: Mapping[str, Paper], exchanges: Sequence[Exchange], pressed: Mapping[str, str]) -> str:
    """The page of the paper that was pressed, as the answer quotes it that it was pressed in.

    :param pressed: what the button carries: ``paper``, and in an answer ``exchange`` and ``quotes``.
    """
    paper = papers.get(str(pressed.get("paper")))
    if paper is None:
        return f'<section class="pt-page" aria-label="Abstract">{_head("This paper has been removed")}</section>'
    i = place(exchanges, str(pressed.get("exchange")))
    answer = None if i is None else exchanges[i].answer
    quoted = answer.citations if answer else ()
    current = {int(q) for q in str(pressed.get("quotes", "")).split() if q.isdecimal()}
    return page(paper, quoted, [(c.start, c.end) for q, c in enumerate(quoted) if q in current])


def _head(title: str) -> str:
    # No two openings are the same, so that the browser draws a page anew that it has shown before.
    opening = f'<header class="pt-head" data-opening="{uuid4().hex}">'
    return f'{opening}<h2 tabindex="-1">{safe(title)}</h2>{_CLOSE}</header>'


def marked(text: str, spans: Collection[Span], current: Collection[Span] = ()) -> str:
    """A text in which spans are marked, those of ``current`` more; they may touch and overlap."""
    cuts = sorted({0, len(text), *(place for span in spans for place in span)})
    parts = []
    for start, end in pairwise(cuts):
        holding = [span for span in spans if span[0] <= start and end <= span[1]]
        # Spaces at a cut would be lost: what is escaped is also trimmed.
        piece = text[start:end]
        shown = safe(readable(piece))
        if holding and shown:
            now = " pt-current" if any(span in current for span in holding) else ""
            shown = f'<mark class="pt-quote{now}">{shown}</mark>'
        before, after = piece[:1].isspace(), bool(piece.strip()) and piece[-1:].isspace()
        parts.append(f"{' ' * before}{shown}{' ' * after}")
    return "".join(parts)


def link(url: str) -> str:
    """A link to another site, which opens beside this page and isn't told where it was found."""
    return f'<a href="{safe(url)}" target="_blank" rel="noopener noreferrer">{safe(url)}</a>'
