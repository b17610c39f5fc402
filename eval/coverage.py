"""Every system that a paper names is asked about: is that paper cited, and is every shown sentence supported?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rag.assistant import Assistant
from rag.papers import Paper
from rag.progress import Progress, silent

from .data import NamedSystem, load_labels, load_names, seed_papers
from .intervals import Estimate, ratio
from .judge import Judge
from .manifest import code_sha256
from .metrics import cited_papers, judged
from .records import AnswerRecord
from .resume import record_each
from .score import fitted_judge
from .systems import of_answer


class Covered(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(frozen=True)

    paper_id: str
    name: str
    title: str
    cited: bool
    """Whether the paper that names the system is cited."""
    first: bool
    """Whether it is the first that is cited."""
    supported: bool
    """Whether something is shown and the judge finds every shown sentence supported."""
    answer: str


def covered(assistant: Assistant, folder: Path | None = None, *, progress: Progress = silent) -> list[Covered]:
    """The whole table; what was asked of the same code, index, prompts and settings before is not asked again."""
    parts = [code_sha256(), assistant.index.sha256, assistant.prompt_sha256, assistant.settings_sha256()]
    make = hashlib.sha256("".join(parts).encode()).hexdigest()[:8]
    folder = folder or assistant.settings.eval_dir
    folder.mkdir(parents=True, exist_ok=True)

    def ask(named: NamedSystem) -> AnswerRecord:
        return of_answer(_id(named), assistant.answer(f"What does {named.name} do?"), assistant)

    names, papers = load_names(), seed_papers()
    rows = [(_id(named), named) for named in names]
    records = record_each(f"coverage-{make}", folder, rows, ask, AnswerRecord, progress)
    return list(table(records, names, papers, fitted_judge(papers, load_labels())))


def _id(named: NamedSystem) -> str:
    return f"{named.paper_id} {named.name}"


def table(
    records: Sequence[AnswerRecord], names: Sequence[NamedSystem], papers: Mapping[str, Paper], judge: Judge
) -> Iterator[Covered]:
    """A row for each name, in the order of the list."""
    for named, record in zip(names, records, strict=True):
        cited = cited_papers(record)
        scores = [judged(said.text, cited, papers, judge) for said in record.sentences]
        yield Covered(
            paper_id=named.paper_id,
            name=named.name,
            title=papers[named.paper_id].title if named.paper_id in papers else "",
            cited=named.paper_id in cited,
            first=cited[:1] == [named.paper_id],
            supported=bool(scores) and min(scores) >= judge.threshold,
            answer=record.error.message if record.error else record.answer,
        )


def shares_of(rows: Sequence[Covered]) -> dict[str, Estimate]:
    """Share of names whose paper is cited, cited first, and answered with supported sentences only."""
    return {
        "right paper cited": ratio({row.paper_id: (row.cited, 1) for row in rows}),
        "right paper cited first": ratio({row.paper_id: (row.first, 1) for row in rows}),
        "every shown sentence supported": ratio({row.paper_id: (row.supported, 1) for row in rows}),
        "both": ratio({row.paper_id: (row.cited and row.supported, 1) for row in rows}),
    }


def as_markdown(rows: Sequence[Covered]) -> str:
    """The table, what went wrong first."""
    from .report import shown

    lines = [f"{name}: {shown(estimate)}" for name, estimate in shares_of(rows).items()]
    lines += ["", "| name | right paper cited | all supported | answer |", "| --- | --- | --- | --- |"]
    marks = {True: "yes", False: "**no**"}
    for row in sorted(rows, key=lambda row: (row.cited and row.supported, row.name.casefold())):
        answer = row.answer.replace("|", "/")
        lines.append(f"| {row.name} | {marks[row.cited]} | {marks[row.supported]} | {answer} |")
    return "\n".join(lines) + "\n"
