"""A question and what came of it, made into an answer as scripts see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.answering import Outcome
from rag.answers import Answer, ModelUsed, Nearest, RefusalReason, Sentence, copied_share, refusal
from rag.citing import cite
from rag.clock import Clock
from rag.embedding import Embedder
from rag.evidence import Evidence
from rag.filters import Filters
from rag.grounding import Grounded
from rag.llm import LanguageModel
from rag.names import NameTable
from rag.questions import Kind, named
from rag.retrieval import Found
from rag.settings import Settings
from rag.text import readable


@dataclass(frozen=True)
class Made:
    """What an answer is made with, and the hashes that say so."""

    settings: Settings
    embedder: Embedder | None
    names: NameTable
    prompt_sha256: str
    index_sha256: str
    settings_sha256: str


class Run:
    """One question, what was found for it, and the time it took: made into an answer."""

    def __init__(
        self,
        asked: str,
        understood: str | None,
        found: Found,
        filters: Filters,
        made: Made,
        clock: Clock,
        considered: int | None = None,
    ):
        """:param understood: the question as it was completed from the conversation, if it had to be.

        :param considered: how many papers pass the filters; None if there are none.
        """
        self.asked = asked
        self.understood = understood
        self.question = understood or asked
        self.found = found
        self.filters = filters
        self.clock = clock
        self._made = made
        self._considered = considered
        self.mode: Literal["generated", "extractive"] = (
            "extractive" if made.settings.mode == "extractive" else "generated"
        )

    @property
    def shown(self) -> Found:
        """The papers that are considered, as far as they are shown."""
        return self.found.first(self._made.settings.retrieval.papers)

    @property
    def is_off_topic(self) -> bool:
        """Whether nothing that was found is about the question. Who names a paper decides what it is about."""
        least = self._made.settings.retrieval.min_confidence
        return self.found.confidence < least and not self.filters.papers

    def refusal(self, reason: RefusalReason) -> Answer:
        """The answer that there is none."""
        return self._answer(Outcome(None, reason=reason))

    def extract(self) -> Answer:
        """The sentences that answer best by themselves; of a paper that the question names, if it names one."""
        papers = self.shown.papers
        evidence = Evidence(named(self.question, papers, self._made.names) or papers, self._made.embedder)
        kept = [Grounded.extract(quote) for quote in evidence.best(self.question)]
        self.clock.lap("ground")
        return self._answer(Outcome(None, kept))

    def finished(self, outcome: Outcome, model: LanguageModel) -> Answer:
        """What came of writing and checking."""
        self.clock.lap("generate", less=outcome.checking)
        self.clock.set("ground", outcome.checking)
        if outcome.written_at is not None:
            self.clock.mark("first_token", outcome.written_at, since="load")
        return self._answer(outcome, model)

    def _answer(self, outcome: Outcome, model: LanguageModel | None = None) -> Answer:
        citations, sentences = cite(outcome.kept)
        shown = " ".join(sentence.text for sentence in sentences)
        made, reason = self._made, outcome.reason
        cited = {citation.paper_id for citation in citations}
        nearest = self.shown.papers[:3] if reason else ()
        return Answer(
            question=self.asked,
            understood=self.understood,
            kind=outcome.kind,
            answer=refusal(reason, self._considered) if reason else _joined(sentences, outcome.kind),
            refused=reason is not None,
            refusal_reason=reason,
            nearest=tuple(Nearest(paper_id=p.paper_id, title=readable(p.title), url=p.url) for p in nearest),
            sentences=sentences,
            citations=citations,
            passages=self.found.only({p.paper_id for p in self.shown.papers} | cited).passages,
            mode=self.mode,
            copied=round(copied_share(shown, [paper.abstract for paper in self.found.papers]), 4),
            draft=outcome.draft,
            rewritten=outcome.rewritten,
            dropped=tuple(outcome.dropped),
            model=used(model) if model else None,
            prompt_sha256=made.prompt_sha256,
            index_sha256=made.index_sha256,
            settings_sha256=made.settings_sha256,
            seconds=self.clock.seconds(),
        )


def _joined(sentences: Sequence[Sentence], kind: Kind | None) -> str:
    """The answer as it is shown: prose, or a list."""
    if kind == "list":
        return "\n".join(f"- {sentence.marked}" for sentence in sentences)
    return " ".join(sentence.marked for sentence in sentences)


def used(model: LanguageModel) -> ModelUsed:
    """The model as a result names it."""
    return ModelUsed(name=model.weights.name, sha256=model.weights.sha256, pinned=model.weights.pinned)
