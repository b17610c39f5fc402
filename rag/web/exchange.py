"""A question and what became of it, as the page keeps and shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rag.answers import TITLE_FROM, Answer, Citation, Sentence
from rag.conversation import Turn
from rag.errors import RagError
from rag.events import Drafting, Notice, Working
from rag.export import as_text
from rag.papers import Paper, first_authors
from rag.retrieval import Found
from rag.text import readable
from rag.web.desk import Doing, Waiting
from rag.web.html import button, counted, notice, opening, safe, stage, titles

Rating = Literal["up", "down"]
_SURE = 0.8
"""Calibrated support from which on a sentence needs no mark."""
_STOPPED = "Stopped. What was written so far had not been checked, so it is not shown."


@dataclass(frozen=True)
class Exchange:
    """A question, and its answer or why there is none; while it is worked on, how far that is."""

    question: str
    answer: Answer | None = None
    notices: tuple[str, ...] = ()
    failure: str = ""
    rating: Rating | None = None
    papers: tuple[Paper, ...] = ()
    """What was found, while there is no answer."""
    doing: str = ""
    share: float | None = None
    """How much of that is done, in [0, 1]."""
    draft: str = ""

    def after(self, event: object) -> Exchange:
        """What is known once an event of the desk has come."""
        match event:
            case Answer():
                return replace(self, answer=event, doing="")
            case Working(stage=doing):
                return replace(self, doing=doing, share=None)
            case Doing(task=doing, share=share):
                return replace(self, doing=doing, share=share)
            case Waiting(before=before):
                return replace(self, doing=f"Waiting: {counted(before, 'question')} before yours", share=None)
            case Found(papers=papers):
                return replace(self, papers=papers)
            case Notice(text=text):
                return replace(self, notices=(*self.notices, text))
            case Drafting(text=draft):
                return replace(self, draft=draft, doing="Writing a draft, not yet checked", share=None)
        return self

    def stopped(self) -> Exchange:
        """What is left of it when it is stopped."""
        return Exchange(self.question, failure=_STOPPED)

    def failed(self, error: RagError) -> Exchange:
        """What is left of it when it can't be answered."""
        return Exchange(self.question, notices=self.notices, failure=str(error))


def turns(exchanges: Sequence[Exchange]) -> list[Turn]:
    """What a follow-up may lean on."""
    return [Turn.of(exchange.answer) for exchange in exchanges if exchange.answer]


def welcome(questions: Sequence[str], papers: int) -> str:
    """What stands in a conversation's place before it begins."""
    asked = "".join(
        f"<li>{button('example', safe(question), classes='pt-example', question=question)}</li>"
        for question in questions
    )
    return (
        f'<section class="pt-welcome"><h2>Ask {counted(papers)}</h2><ul class="pt-rules">'
        "<li><b>Sourced.</b> Press a number to see the words of the abstract that a sentence rests on.</li>"
        "<li><b>Checked.</b> What streams in first is a draft. What the abstract doesn’t state is dropped.</li>"
        "<li><b>Honest.</b> When the abstracts don’t say, the answer says so. Full papers are not read.</li>"
        f'</ul><h3>Try one</h3><ul class="pt-examples">{asked}</ul></section>'
    )


def conversation(exchanges: Sequence[Exchange]) -> str:
    """All exchanges that are over. The last question can be asked again or changed."""
    last = len(exchanges) - 1
    bar = "".join(
        (
            button("new", "New conversation", classes="pt-tool"),
            button("export", "Save as Markdown", classes="pt-tool", format="markdown"),
            button("export", "Save papers as BibTeX", classes="pt-tool", format="bibtex"),
        )
    )
    articles = "".join(_article(i, exchange, again=i == last) for i, exchange in enumerate(exchanges))
    return articles + (f'<div class="pt-tools pt-bar">{bar}</div>' if exchanges else "")


def alone(exchange: Exchange) -> str:
    """An exchange that belongs to no conversation."""
    body = answered(-1, exchange.answer) if exchange.answer else notice(exchange.failure)
    said = "".join(map(notice, exchange.notices))
    return f'<article class="pt-exchange">{said}{body}</article>'


def underway(exchange: Exchange) -> str:
    """An exchange that is being worked on: the stage, the titles that were found, and the draft, marked as one."""
    found = titles(exchange.papers) if exchange.papers and not exchange.draft else ""
    draft = f'<div class="pt-draft">{safe(exchange.draft)}</div>' if exchange.draft else ""
    said = "".join(map(notice, exchange.notices))
    return (
        f'<article class="pt-exchange"><h3 class="pt-question">{safe(exchange.question)}</h3>{said}'
        f"{stage(exchange.doing or 'Searching', exchange.share)}{found}{draft}</article>"
    )


def answered(i: int, answer: Answer) -> str:
    """A finished answer with its numbered papers and quotes, or a refusal with the nearest papers."""
    understood = f'<div class="pt-label">Understood as: {safe(answer.understood)}</div>' if answer.understood else ""
    if answer.refused:
        near = f'<div class="pt-label">Nearest papers</div>{titles(answer.nearest)}' if answer.nearest else ""
        return f'{understood}<div class="pt-refusal">{safe(answer.answer)}</div>{near}'
    said = [_sentence(i, j, sentence, answer.citations) for j, sentence in enumerate(answer.sentences)]
    body = f"<ul>{''.join(f'<li>{part}</li>' for part in said)}</ul>" if answer.kind == "list" else " ".join(said)
    extracted = "Extracted from the abstracts; no model wrote this" if answer.mode == "extractive" else ""
    label = f'<div class="pt-label">{extracted}</div>' if extracted else ""
    numbers = dict.fromkeys(citation.n for citation in answer.citations)
    papers = "".join(_cited(i, n, [c for c in answer.citations if c.n == n]) for n in numbers)
    return f'{understood}<div class="pt-answer">{body}</div>{label}<ol class="pt-papers">{papers}</ol>'


def _article(i: int, exchange: Exchange, *, again: bool) -> str:
    edit = button("edit", "Edit", classes="pt-tool", spoken="Edit the question", exchange=i) if again else ""
    said = "".join(map(notice, exchange.notices))
    body = answered(i, exchange.answer) if exchange.answer else notice(exchange.failure)
    return (
        f'<article class="pt-exchange" aria-label="Question {i + 1}">'
        f'<h3 class="pt-question">{safe(exchange.question)}</h3>{said}{body}'
        f'<div class="pt-tools">{_tools(i, exchange, again=again)}{edit}{_made(exchange.answer)}</div></article>'
    )


def _tools(i: int, exchange: Exchange, *, again: bool) -> str:
    retry = button("retry", "Retry", classes="pt-tool", spoken="Ask again", exchange=i) if again else ""
    if not exchange.answer:
        return retry
    copy = button(
        "copy", "Copy", classes="pt-tool", key=f"copy {i}", spoken="Copy with citations", text=as_text(exchange.answer)
    )
    return copy + _thumb(i, "up", exchange.rating) + _thumb(i, "down", exchange.rating) + retry


def _thumb(i: int, rating: Rating, now: Rating | None) -> str:
    label, spoken = {"up": ("Good", "Good answer"), "down": ("Bad", "Bad answer")}[rating]
    made = button("rate", f'<span class="pt-thumb-{rating}" aria-hidden="true"></span>{label}', classes="pt-tool",
                  spoken=spoken, exchange=i, rating=rating)  # fmt: skip
    return made.replace("<button", f'<button aria-pressed="{"true" if now == rating else "false"}"', 1)


def _made(answer: Answer | None) -> str:
    """What made an answer, and in how many seconds."""
    if answer is None:
        return ""
    by = f"{answer.model.name}, " if answer.model else ""
    return f'<span class="pt-made">{safe(f"{by}{answer.seconds.total:.1f} s")}</span>'


def _sentence(i: int, j: int, sentence: Sentence, citations: Sequence[Citation]) -> str:
    """A sentence with its numbers, and a mark where its words are the abstract's or its support is not beyond doubt."""
    numbers = "".join(
        button(
            "open",
            str(n),
            classes="pt-cite",
            key=f"source {i} {j} {n}",
            spoken=f"Source {n}: {next(c.title for c in citations if c.n == n)}",
            paper=next(c.paper_id for c in citations if c.n == n),
            exchange=i,
            quotes=" ".join(str(q) for q in sentence.quotes if citations[q].n == n),
        )
        for n in sentence.citations
    )
    marks = ""
    if sentence.support < _SURE:
        why = f"Of sentences with this support, about {sentence.support:.0%} are really stated. Compare the quote."
        marks = f'<span class="pt-mark pt-weak" title="{safe(why)}">support {sentence.support:.0%}</span>'
    elif sentence.extracted:
        marks = '<span class="pt-mark" title="The abstract&#39;s own words">quoted</span>'
    return f'<span class="pt-sentence">{safe(sentence.text)}<span class="pt-cites">{numbers}</span>{marks}</span>'


def _cited(i: int, n: int, quotes: Sequence[Citation]) -> str:
    first = quotes[0]
    source = "" if first.title_source == "page" else f"title {TITLE_FROM[first.title_source]}"
    parts = (first.date, first_authors(first.authors, first.authors_complete), source)
    about = " · ".join(safe(part) for part in parts if part)
    said = "".join(f"<blockquote>“{safe(readable(citation.quote))}”</blockquote>" for citation in quotes)
    title = opening(first, exchange=i)
    return (
        f'<li value="{n}" class="pt-paper"><span class="pt-number">{n}</span><div>{title}'
        f'<div class="pt-about">{about}</div>'
        f"<details><summary>{counted(len(quotes), 'quote')}</summary>{said}</details></div></li>"
    )
