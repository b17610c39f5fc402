"""The gold questions and the labelled claims, and the checks that keep them honest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from rag.papers import Paper
from rag.readers import read_corpus
from rag.resources import resource

HERE = Path(__file__).parent
Split = Literal["dev", "test"]
T = TypeVar("T", bound="_Row")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    split: Split
    """What "dev" shows may be used to tune; "test" is only reported."""


class Evidence(BaseModel):
    """The words of an abstract that answer a question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper_id: str
    quote: str


class Question(_Row):
    """A gold question. Each of ``facts`` is a list of wordings; a right answer holds one of every list."""

    kind: Literal[
        "what-does",
        "fact",
        "how",
        "described-without-name",
        "compare",
        "list",
        "unanswerable",
        "false-premise",
        "typo-or-language",
        "injection",
    ]
    question: str
    papers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    facts: tuple[tuple[str, ...], ...]
    searched: str
    """Which words were looked for in the corpus, and what came of it; never empty for an unanswerable question."""
    note: str


class Query(_Row):
    """Something to search for, and all the papers that it asks for; none if the corpus has nothing about it."""

    kind: Literal["name", "paraphrase", "fact", "typo", "language", "compare", "list", "metadata", "off-topic"]
    query: str
    papers: tuple[str, ...]
    note: str
    """Which words were looked for in the corpus, or why only these papers fit."""


class Claim(_Row):
    """A sentence about a paper, and whether its abstract supports it."""

    kind: Literal[
        "paraphrase",
        "paraphrase-two-sentences",
        "near-verbatim",
        "changed-number",
        "swapped-name",
        "negation",
        "reversed",
        "not-in-abstract",
        "overclaim",
    ]
    paper_id: str
    claim: str
    supported: bool
    evidence: tuple[str, ...]


class Label(_Row):
    """A sentence that a system wrote, read by a person beside the abstracts that it rests on."""

    question_id: str
    system: str
    text: str
    paper_ids: tuple[str, ...]
    supported: bool
    """Whether the abstracts state all of it."""
    support: float | None
    """What the assistant's own check gave it, unseen while it was labelled."""
    note: str


class NamedSystem(BaseModel):
    """A paper that names a system of its own, and the name as the paper writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper_id: str
    name: str


def load_questions(path: Path = HERE / "gold.jsonl") -> list[Question]:
    """The gold questions. :raises pydantic.ValidationError: for a line that isn't one."""
    return [Question.model_validate_json(line) for line in _lines(path)]


def load_queries(path: Path = HERE / "queries.jsonl") -> list[Query]:
    """The queries of the retrieval benchmark. :raises pydantic.ValidationError: for a line that isn't one."""
    return [Query.model_validate_json(line) for line in _lines(path)]


def load_claims(path: Path = HERE / "claims.jsonl") -> list[Claim]:
    """The labelled claims. :raises pydantic.ValidationError: for a line that isn't one."""
    return [Claim.model_validate_json(line) for line in _lines(path)]


def load_labels(path: Path = HERE / "labels.jsonl") -> list[Label]:
    """The sentences labelled by hand. :raises pydantic.ValidationError: for a line that isn't one."""
    return [Label.model_validate_json(line) for line in _lines(path)]


def load_names(path: Path = HERE / "names.jsonl") -> list[NamedSystem]:
    """The papers that name a system. :raises pydantic.ValidationError: for a line that isn't one."""
    return [NamedSystem.model_validate_json(line) for line in _lines(path)]


def seed_papers() -> dict[str, Paper]:
    """The papers that the gold is about: those of the shipped pages, whatever else was indexed."""
    return {paper.paper_id: paper for paper in read_corpus(resource("seeds"), "seeds")}


def question_problems(questions: Sequence[Question], papers: Mapping[str, Paper]) -> Iterator[str]:
    """What is wrong with gold questions, a sentence each: evidence not verbatim, facts not in it, repeats."""
    yield from _repeats(questions, [normal(question.question) for question in questions])
    for question in questions:
        for evidence in question.evidence:
            if evidence.paper_id not in papers or evidence.quote not in papers[evidence.paper_id].abstract:
                yield f"{question.id}: {evidence.quote!r} is not in the abstract of {evidence.paper_id}"
        answerable = question.kind != "unanswerable"
        if answerable != bool(question.papers and question.evidence and question.facts):
            yield f"{question.id}: papers, evidence and facts belong to answerable questions and to no others"
        if not answerable and not question.searched:
            yield f"{question.id}: what was searched for is not noted"
        titles = [papers[paper_id].title for paper_id in question.papers if paper_id in papers]
        held = normal(" ".join([*titles, *(evidence.quote for evidence in question.evidence)]))
        for fact in question.facts:
            if not any(normal(wording) in held for wording in fact):
                yield f"{question.id}: no wording of {list(fact)} occurs in its evidence"


def query_problems(queries: Sequence[Query], papers: Mapping[str, Paper]) -> Iterator[str]:
    """What is wrong with benchmark queries, a sentence each."""
    yield from _repeats(queries, [normal(query.query) for query in queries])
    for query in queries:
        for paper_id in query.papers:
            if paper_id not in papers:
                yield f"{query.id}: there is no paper {paper_id}"
        if len(set(query.papers)) != len(query.papers):
            yield f"{query.id}: names a paper twice"
        least = {"off-topic": 0, "compare": 2, "list": 2}.get(query.kind, 1)
        if len(query.papers) < least or (query.papers and query.kind == "off-topic"):
            yield f"{query.id}: a query of kind {query.kind} can't have {len(query.papers)} papers"


def claim_problems(claims: Sequence[Claim], papers: Mapping[str, Paper]) -> Iterator[str]:
    """What is wrong with labelled claims, a sentence each."""
    yield from _repeats(claims, [normal(claim.claim) for claim in claims])
    for claim in claims:
        if claim.paper_id not in papers:
            yield f"{claim.id}: there is no paper {claim.paper_id}"
            continue
        for quote in claim.evidence:
            if quote not in papers[claim.paper_id].abstract:
                yield f"{claim.id}: {quote!r} is not in the abstract"
        if claim.supported != (claim.kind in {"paraphrase", "paraphrase-two-sentences", "near-verbatim"}):
            yield f"{claim.id}: its kind {claim.kind} and its label disagree"


def normal(text: str) -> str:
    """Text as facts are compared: case and spacing don't count."""
    return " ".join(text.casefold().split())


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def _repeats(rows: Sequence[T], texts: Sequence[str]) -> Iterator[str]:
    for name, values in (("id", [row.id for row in rows]), ("text", texts)):
        for value, count in Counter(values).items():
            if count > 1:
                yield f"{count} rows have the same {name} {value!r}"
