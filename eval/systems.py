"""What is compared: the assistant, and the plainer ways to answer the same questions with the same weights.

Each system is asked one question at a time and gives an :class:`AnswerRecord`. Another one is a class with
``name`` and ``__call__``, named in :func:`systems`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from rag.answers import Answer, Seconds, copied_share
from rag.assistant import Assistant
from rag.generation import says_not_stated, tidy, write_draft
from rag.llm import LanguageModel
from rag.prompts import Prompt

from .data import Question
from .records import AnswerRecord, Quoted, Said, said_in

_FROM_MEMORY = "Answer the question in one or two complete English sentences."
_FROM_MEMORY_TOKENS = 80


class System(Protocol):
    """A way to answer. ``name`` is that of its file of records."""

    name: str

    def __call__(self, question: Question) -> AnswerRecord: ...


class Full:
    """The assistant as users have it; in mode "extractive", without a language model."""

    def __init__(self, name: str, assistant: Assistant):
        self.name = name
        self._assistant = assistant

    def __call__(self, question: Question) -> AnswerRecord:
        return of_answer(question.id, self._assistant.answer(question.question), self._assistant)


class Plain:
    """Retrieval and generation, without refusing early and without grounding.

    Greedy decoding repeats, so the draft that the assistant wrote for the same prompt is this system's
    answer. One is written only where the assistant refused before it wrote any.
    """

    name = "plain"

    def __init__(self, assistant: Assistant, drafts: Mapping[str, AnswerRecord]):
        """:param drafts: the assistant's records by question id; more may be added later."""
        self._assistant = assistant
        self._drafts = drafts

    def __call__(self, question: Question) -> AnswerRecord:
        drafted = self._drafts.get(question.id)
        if drafted is None or not drafted.draft:
            return self._write(question)
        known = {said.text: said.support for said in (*drafted.sentences, *drafted.dropped)}
        laps = drafted.seconds
        return drafted.model_copy(
            update={
                **self._shown(drafted.draft, drafted.papers, known),
                "dropped": (),
                "refusal_reason": None,
                "seconds": laps.model_copy(update={"ground": 0.0, "total": round(laps.retrieve + laps.generate, 3)}),
            }
        )

    def _write(self, question: Question) -> AnswerRecord:
        begun = time.perf_counter()
        assistant = self._assistant
        found = assistant.search(question.question, assistant.settings.retrieval.papers)
        papers = [assistant.index.papers[id_] for id_ in dict.fromkeys(p.paper_id for p in found.passages)]
        retrieved = time.perf_counter()
        pieces: list[tuple[float, str]] = []
        for piece in write_draft(question.question, papers, assistant.model, Prompt.load("answer")):
            pieces.append((time.perf_counter(), piece))
        end = time.perf_counter()
        draft = "".join(piece for _, piece in pieces)
        ids = tuple(paper.paper_id for paper in papers)
        return AnswerRecord(
            id=question.id,
            **self._shown(draft, ids, {}),
            papers=ids,
            draft=draft,
            seconds=_seconds(begun, retrieved, pieces[0][0] if pieces else None, end),
            timed_out=end - retrieved >= assistant.settings.generation.max_seconds,
        )

    def _shown(self, draft: str, papers: Sequence[str], known: Mapping[str, float | None]) -> dict[str, object]:
        refused = says_not_stated(draft)
        answer = "" if refused else tidy(draft)
        abstracts = [self._assistant.index.papers[paper_id].abstract for paper_id in papers]
        return {
            "answer": draft if refused else answer,
            "refused": refused,
            "sentences": said_in(answer, known),
            "copied": copied_share(answer, abstracts),
        }


class NoPapers:
    """The model alone, from memory: what retrieval and grounding are worth."""

    name = "no-papers"

    def __init__(self, model: Callable[[], LanguageModel]):
        self._load = model

    def __call__(self, question: Question) -> AnswerRecord:
        model = self._load()
        brief = replace(model, generation=model.generation.model_copy(update={"max_tokens": _FROM_MEMORY_TOKENS}))
        begun = time.perf_counter()
        first: float | None = None
        answer = ""
        for piece in brief.stream([{"role": "user", "content": f"{_FROM_MEMORY}\n\nQuestion: {question.question}"}]):
            first = first or time.perf_counter()
            answer += piece
        end = time.perf_counter()
        return AnswerRecord.uncited(
            question.id,
            tidy(answer),
            seconds=_seconds(begun, begun, first, end),
            timed_out=end - begun >= model.generation.max_seconds,
        )


def systems(assistant: Assistant, drafts: Mapping[str, AnswerRecord]) -> dict[str, Callable[[], System]]:
    """How to make each system, by name, in the order in which they are run: the cheap ones first."""
    from .starter import Starter

    def without_model() -> Assistant:
        settings = assistant.settings
        return (
            assistant
            if settings.mode == "extractive"
            else Assistant(settings.model_copy(update={"mode": "extractive"}))
        )

    return {
        "extractive": lambda: Full("extractive", without_model()),
        "assistant": lambda: Full("assistant", assistant),
        "plain": lambda: Plain(assistant, drafts),
        "no-papers": lambda: NoPapers(lambda: assistant.model),
        "starter": lambda: Starter(assistant),
    }


def of_answer(id_: str, answer: Answer, assistant: Assistant) -> AnswerRecord:
    """An assistant's answer as a record."""
    return AnswerRecord(
        id=id_,
        answer=answer.answer,
        refused=answer.refused,
        refusal_reason=answer.refusal_reason,
        sentences=tuple(
            Said(
                text=sentence.text,
                quotes=tuple(
                    Quoted(paper_id=answer.citations[i].paper_id, quote=answer.citations[i].quote)
                    for i in sentence.quotes
                ),
                support=sentence.support,
            )
            for sentence in answer.sentences
        ),
        dropped=tuple(Said(text=dropped.text, support=dropped.support) for dropped in answer.dropped),
        papers=tuple(dict.fromkeys(passage.paper_id for passage in answer.passages)),
        draft=answer.draft,
        copied=answer.copied,
        seconds=answer.seconds,
        timed_out=answer.seconds.generate >= assistant.settings.generation.max_seconds,
    )


def _seconds(begun: float, retrieved: float, first: float | None, end: float) -> Seconds:
    return Seconds(
        retrieve=round(retrieved - begun, 3),
        first_token=None if first is None else round(first - begun, 3),
        generate=round(end - retrieved, 3),
        total=round(end - begun, 3),
    )
