"""What is compared: the assistant, and the plainer ways to answer the same questions with the same weights.

Each system is asked one question at a time and gives an :class:`AnswerRecord`. Another one is a class with
``name`` and ``__call__``, named in :func:`systems`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

from rag.answers import Answer, Seconds, copied_share
from rag.assistant import Assistant
from rag.generation import tidy
from rag.llm import LanguageModel
from rag.text import readable

from .data import Question
from .records import AnswerRecord, Quoted, Said, said_in

_PLAIN = """Abstracts of research papers:

{papers}

Using only these abstracts, answer every part of the question in two or three complete English sentences. Give the \
exact names and numbers, and explain how it works and what was found. If none of the abstracts is about this, reply \
NOT STATED.

Question: {question}"""
_NOT_STATED = re.compile(r"\W*not[ _]stated\b", re.IGNORECASE)
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
    """What most do: the three best abstracts into one prompt, and what the model writes is the answer."""

    name = "plain"

    def __init__(self, assistant: Assistant):
        self._assistant = assistant

    def __call__(self, question: Question) -> AnswerRecord:
        begun = time.perf_counter()
        assistant = self._assistant
        found = assistant.search(question.question, assistant.settings.retrieval.papers)
        papers = [assistant.index.papers[id_] for id_ in dict.fromkeys(p.paper_id for p in found.passages)]
        retrieved = time.perf_counter()
        abstracts = "\n\n".join(f"Paper: {readable(p.title)}\nAbstract: {readable(p.abstract)}" for p in papers)
        prompt = _PLAIN.format(papers=abstracts, question=question.question)
        pieces: list[tuple[float, str]] = []
        for piece in assistant.model.stream([{"role": "user", "content": prompt}]):
            pieces.append((time.perf_counter(), piece))
        end = time.perf_counter()
        draft = "".join(piece for _, piece in pieces)
        refused = bool(_NOT_STATED.match(draft)) or not draft.strip()
        answer = "" if refused else tidy(draft)
        return AnswerRecord(
            id=question.id,
            answer=draft if refused else answer,
            refused=refused,
            sentences=said_in(answer),
            copied=copied_share(answer, [paper.abstract for paper in papers]),
            papers=tuple(paper.paper_id for paper in papers),
            draft=draft,
            seconds=_seconds(begun, retrieved, pieces[0][0] if pieces else None, end),
            timed_out=end - retrieved >= assistant.settings.generation.max_seconds,
        )


class Unchecked:
    """The assistant without its check and its repairs: all that it drafted is shown. Its own drafts are used."""

    name = "unchecked"

    def __init__(self, answers: Mapping[str, AnswerRecord]):
        """:param answers: the assistant's records by question id."""
        self._answers = answers

    def __call__(self, question: Question) -> AnswerRecord:
        record = self._answers[question.id]
        if not record.draft:
            return record  # refused before it was drafted, or a list, of which nothing is
        known = {said.text: said.support for said in (*record.sentences, *record.dropped)}
        answer = tidy(record.draft)
        return record.model_copy(
            update={
                "answer": answer,
                "refused": False,
                "refusal_reason": None,
                "sentences": said_in(answer, known),
                "dropped": (),
            }
        )


class Ungated:
    """The assistant without its refusal before the draft: it writes from the best paper whatever that says."""

    name = "ungated"

    def __init__(self, assistant: Assistant, answers: Mapping[str, AnswerRecord]):
        """:param answers: the assistant's records by question id; the others are asked anew."""
        self._answers = answers
        self._settings = assistant.settings
        self._assistant = assistant

    def __call__(self, question: Question) -> AnswerRecord:
        record = self._answers[question.id]
        if record.refusal_reason not in ("not_stated", "off_topic"):
            return record
        return of_answer(question.id, self._open.answer(question.question), self._open)

    @cached_property
    def _open(self) -> Assistant:
        settings = self._settings
        update = {
            "grounding": settings.grounding.model_copy(update={"min_answers": 0.0}),
            "retrieval": settings.retrieval.model_copy(update={"min_confidence": 0.0}),
        }
        return self._assistant.with_settings(settings.model_copy(update=update))


class NoPapers:
    """The model alone, from memory: what retrieval and grounding are worth."""

    name = "no-papers"

    def __init__(self, model: Callable[[], LanguageModel]):
        self._load = model

    def __call__(self, question: Question) -> AnswerRecord:
        model = self._load()
        begun = time.perf_counter()
        first: float | None = None
        answer = ""
        asked = [{"role": "user", "content": f"{_FROM_MEMORY}\n\nQuestion: {question.question}"}]
        for piece in model.stream(asked, max_tokens=_FROM_MEMORY_TOKENS):
            first = first or time.perf_counter()
            answer += piece
        end = time.perf_counter()
        return AnswerRecord.uncited(
            question.id,
            tidy(answer),
            seconds=_seconds(begun, begun, first, end),
            timed_out=end - begun >= model.generation.max_seconds,
        )


def systems(assistant: Assistant, answers: Mapping[str, AnswerRecord]) -> dict[str, Callable[[], System]]:
    """How to make each system, by name, in the order in which they are run: the cheap ones first.

    :param answers: the assistant's records by question id, filled before a system that needs them is called.
    """
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
        "unchecked": lambda: Unchecked(answers),
        "ungated": lambda: Ungated(assistant, answers),
        "plain": lambda: Plain(assistant),
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
