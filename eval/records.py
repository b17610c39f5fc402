"""What a run writes down: one record a question, a search or a claim, as lines of JSON that survive a kill."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.answers import Seconds
from rag.text import sentence_spans


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Failure(_Frozen):
    """Why there is no result: the stable code of a :class:`rag.errors.RagError`, or the exception's name."""

    code: str
    message: str


class Record(_Frozen):
    """Base of all lines. ``id`` is that of the question or claim; a failed one says why and is counted, not dropped."""

    id: str
    error: Failure | None = None


class Quoted(_Frozen):
    """A quote that a sentence cites."""

    paper_id: str
    quote: str


class Said(_Frozen):
    """A sentence of an answer, what it cites, and the support that the assistant itself gave it (None: not checked)."""

    text: str
    quotes: tuple[Quoted, ...] = ()
    support: float | None = None


def said_in(answer: str, support: Mapping[str, float | None] | None = None) -> tuple[Said, ...]:
    """The sentences of an answer that cites nothing, with the support that is known of some of them."""
    texts = [answer[start:end] for start, end in sentence_spans(answer)]
    return tuple(Said(text=text, support=(support or {}).get(text)) for text in texts)


class AnswerRecord(Record):
    """What one system answered to one question. ``papers`` are those that it had before it, best first."""

    answer: str = ""
    refused: bool = False
    refusal_reason: str | None = None
    sentences: tuple[Said, ...] = ()
    dropped: tuple[Said, ...] = ()
    papers: tuple[str, ...] = ()
    draft: str = ""
    copied: float = 0.0
    seconds: Seconds = Seconds()
    timed_out: bool = False
    peak_bytes: int | None = None

    @classmethod
    def uncited(cls, id_: str, answer: str, **more: Any) -> AnswerRecord:
        """What a system wrote that neither cites nor refuses: only an empty answer counts as a refusal."""
        return cls(id=id_, answer=answer, refused=not answer, sentences=said_in(answer), draft=answer, **more)


class SearchRecord(Record):
    """The best papers for a question, best first, and how sure retrieval is that something is about it."""

    papers: tuple[str, ...] = ()
    confidence: float = 0.0
    seconds: float = 0.0


class ClaimRecord(Record):
    """The support that the assistant's check gives a labelled claim, and the quotes that it was checked against."""

    support: float = 0.0
    quotes: tuple[str, ...] = ()
    seconds: float = 0.0


R = TypeVar("R", bound=Record)


def read_records(path: Path, kind: type[R]) -> list[R]:
    """All whole lines of a file; none if there is no file. A torn last line, or one of another make, is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError:
            continue
    return records


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Begin a file anew with these records, in one step."""
    write_whole(path, "".join(map(line_of, records)))


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step: a process that is killed leaves the old one or the new one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def line_of(record: Record) -> str:
    """A record as a line."""
    return record.model_dump_json() + "\n"
