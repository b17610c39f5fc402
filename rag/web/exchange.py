"""A question and what became of it, as the page keeps and shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import uuid4

from rag.answers import SURE, TITLE_FROM, Answer, Citation
from rag.conversation import Turn
from rag.errors import RagError
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.export import as_text
from rag.papers import Paper, first_authors
from rag.retrieval import Found
from rag.text import readable
from rag.web.html import button, counted, lines, notice, opening, safe, stage, titles

Rating = Literal["up", "down"]
_DOUBT = "“support 55%” means: of sentences with this support, about 55% are really stated. Compare the quote."
_QUOTED = "“quoted” means: the abstract’s own words, put in where the draft’s failed."
STOPPED = "Stopped. What was written so far had not been checked, so it is not shown."


@dataclass(frozen=True)
class Exchange:
    """A question, and its answer or why there is none; while it is worked on, how far that is."""

    question: str
    answer: Answer | None = None
    notices: tuple[str, ...] = ()
    failure: str = ""
    limits: str = ""
    """What the visitor limited it to: one paper, an author, dates."""
    key: str = field(default_factory=lambda: uuid4().hex[:12])
    """What its buttons name it by."""
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
            case Working() | Doing() | Waiting():
                doing, share = progress(event)
                return replace(self, doing=doing, share=share)
            case Found(papers=papers):
                return replace(self, papers=papers)
            case Notice(text=text):
                return replace(self, notices=(*self.notices, text))
            case Drafting(text=draft):
                return replace(self, draft=draft, doing="Writing a draft, not yet checked", share=None)
        return self

    def stopped(self) -> Exchange:
        """What is left of it when it is stopped."""
        return replace(self._bare, failure=STOPPED)

    def failed(self, error: RagError) -> Exchange:
        """What is left of it when it can't be answered."""
        return replace(self._bare, notices=self.notices, failure=str(error))

    @property
    def _bare(self) -> Exchange:
        return Exchange(self.question, limits=self.limits, key=self.key)


def progress(event: Working | Doing | Waiting) -> tuple[str, float | None]:
    """What is being done, as a visitor reads it, and how much of it is done, in [0, 1], if that is known."""
    match event:
        case Working(stage=doing):
            return doing, None
        case Doing(task=doing, share=share):
            return doing, share
        case Waiting(before=before):
            return f"Waiting: {counted(before, 'question')} before yours", None


def place(exchanges: Sequence[Exchange], key: str) -> int | None:
    """Where the exchange of this key stands; None if it is gone, as buttons may be older than what they belong to."""
    return next((i for i, exchange in enumerate(exchanges) if exchange.key == key), None)


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


def conversation(exchanges: Sequence[Exchange], ratings: Mapping[str, Rating], *, idle: bool = True) -> str:
    """All exchanges that are over.

    :param ratings: by the exchanges' keys.
    :param idle: whether nothing is being asked; then the last question can be asked again or changed.
    """
    last = len(exchanges) - 1 if idle else -1
    tools = [
        button("new", "New conversation", classes="pt-tool"),
        button("export", "Save as Markdown", classes="pt-tool", format="markdown"),
    ]
    if any(exchange.answer and exchange.answer.citations for exchange in exchanges):
        tools.append(button("export", "Save papers as BibTeX", classes="pt-tool", format="bibtex"))
    articles = "".join(
        _article(i + 1, exchange, ratings.get(exchange.key), again=i == last) for i, exchange in enumerate(exchanges)
    )
    return articles + (f'<div class="pt-tools pt-bar">{"".join(tools)}</div>' if exchanges and idle else "")


def alone(exchange: Exchange) -> str:
    """An exchange that belongs to no conversation."""
    return f'<article class="pt-exchange" data-status="{_spoken(exchange)}">{_told(exchange)}</article>'


def underway(exchange: Exchange) -> str:
    """An exchange that is being worked on: the stage, the titles that were found, and the draft, marked as one."""
    found = titles(exchange.papers) if exchange.papers and not exchange.draft else ""
    draft = f'<div class="pt-draft">{safe(exchange.draft)}</div>' if exchange.draft else ""
    return (
        f'<article class="pt-exchange">{_asked(exchange)}'
        f"{stage(exchange.doing or 'Searching', exchange.share)}{found}{draft}</article>"
    )


def answered(key: str, answer: Answer) -> str:
    """A finished answer with its numbered papers and quotes, or a refusal with the nearest papers.

    :param key: that of its exchange.
    """
    understood = f'<div class="pt-label">Understood as: {safe(answer.understood)}</div>' if answer.understood else ""
    if answer.refused:
        near = f'<div class="pt-label">Nearest papers</div>{titles(answer.nearest, key)}' if answer.nearest else ""
        return f'{understood}<div class="pt-refusal">{safe(answer.answer)}</div>{near}'
    said = [_sentence(key, j, answer) for j in range(len(answer.sentences))]
    body = f"<ul>{''.join(f'<li>{part}</li>' for part in said)}</ul>" if answer.kind == "list" else " ".join(said)
    extracted = "Extracted from the abstracts; no model wrote this" if answer.mode == "extractive" else ""
    doubt = _DOUBT if any(sentence.support < SURE for sentence in answer.sentences) else ""
    quoted = _QUOTED if any(answer.note(sentence) == "quoted" for sentence in answer.sentences) else ""
    label = "".join(f'<div class="pt-label">{safe(said)}</div>' for said in (extracted, doubt, quoted) if said)
    numbers = dict.fromkeys(citation.n for citation in answer.citations)
    papers = "".join(_cited(key, n, [c for c in answer.citations if c.n == n]) for n in numbers)
    return f'{understood}<div class="pt-answer">{body}</div>{label}<ol class="pt-papers">{papers}</ol>'


def _article(number: int, exchange: Exchange, rating: Rating | None, *, again: bool) -> str:
    return (
        f'<article class="pt-exchange" aria-label="Question {number}" data-status="{_spoken(exchange)}">'
        f"{_told(exchange)}"
        f'<div class="pt-tools">{_tools(exchange, rating, again=again)}{_made(exchange.answer)}</div></article>'
    )


def _told(exchange: Exchange) -> str:
    """The question, and what became of it."""
    body = answered(exchange.key, exchange.answer) if exchange.answer else notice(exchange.failure)
    return _asked(exchange) + body


def _asked(exchange: Exchange) -> str:
    """The question, what it was limited to, and what was said on the way."""
    limits = f'<div class="pt-label">{safe(exchange.limits)}</div>' if exchange.limits else ""
    said = "".join(map(notice, exchange.notices))
    return f'<h3 class="pt-question" dir="auto">{lines(exchange.question)}</h3>{limits}{said}'


def _spoken(exchange: Exchange) -> str:
    return safe(exchange.answer.answer if exchange.answer else exchange.failure)


def _tools(exchange: Exchange, rating: Rating | None, *, again: bool) -> str:
    key, answer = exchange.key, exchange.answer
    tools = []
    if answer:
        copied = {"key": f"copy {key}", "spoken": "Copy with citations", "text": as_text(answer)}
        tools += [button("copy", "Copy", classes="pt-tool", **copied)]
        tools += [_thumb(key, "up", rating), _thumb(key, "down", rating)]
    if again:
        tools += [button("retry", "Retry", classes="pt-tool", spoken="Retry the question", exchange=key)]
        tools += [button("edit", "Edit", classes="pt-tool", spoken="Edit the question", exchange=key)]
    return "".join(tools)


def _thumb(key: str, rating: Rating, now: Rating | None) -> str:
    label, spoken = {"up": ("Good", "Good answer"), "down": ("Bad", "Bad answer")}[rating]
    made = button("rate", f'<span class="pt-thumb-{rating}" aria-hidden="true"></span>{label}', classes="pt-tool",
                  spoken=spoken, exchange=key, rating=rating)  # fmt: skip
    return made.replace("<button", f'<button aria-pressed="{"true" if now == rating else "false"}"', 1)


def _made(answer: Answer | None) -> str:
    """What made an answer, and in how many seconds."""
    if answer is None:
        return ""
    by = f"{answer.model.name}, " if answer.model else ""
    return f'<span class="pt-made">{safe(f"{by}{answer.seconds.total:.1f} s")}</span>'


def _sentence(key: str, j: int, answer: Answer) -> str:
    """A sentence with its numbers, and a mark where its words are the abstract's or its support is not beyond doubt."""
    sentence, citations = answer.sentences[j], answer.citations
    numbers = "".join(
        button(
            "open",
            str(n),
            classes="pt-cite",
            key=f"source {key} {j} {n}",
            spoken=f"Source {n}: {next(c.title for c in citations if c.n == n)}",
            paper=next(c.paper_id for c in citations if c.n == n),
            exchange=key,
            quotes=" ".join(str(q) for q in sentence.quotes if citations[q].n == n),
        )
        for n in sentence.citations
    )
    weak = " pt-weak" if sentence.support < SURE else ""
    note = answer.note(sentence)
    mark = f'<span class="pt-mark{weak}">({safe(note)})</span>' if note else ""
    return f'<span class="pt-sentence">{safe(sentence.text)}<span class="pt-cites">{numbers}{mark}</span></span>'


def _cited(key: str, n: int, quotes: Sequence[Citation]) -> str:
    first = quotes[0]
    source = "" if first.title_source == "page" else f"title {TITLE_FROM[first.title_source]}"
    parts = (first.date, first_authors(first.authors, first.authors_complete), source)
    about = " · ".join(safe(part) for part in parts if part)
    said = "".join(f"<blockquote>“{safe(readable(citation.quote))}”</blockquote>" for citation in quotes)
    title = opening(first, exchange=key)
    return (
        f'<li value="{n}" class="pt-paper"><span class="pt-number">{n}</span><div>{title}'
        f'<div class="pt-about">{about}</div>'
        f'<details data-key="quotes {key} {n}"><summary>{counted(len(quotes), "quote")}</summary>{said}</details>'
        "</div></li>"
    )
