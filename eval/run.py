"""Ask every question and keep every answer: the part of an evaluation that needs the model.

A run is a folder: ``manifest.json``, ``search.jsonl``, ``claims.jsonl`` and a file of records a system. Started
again it goes on where it was stopped; errors are tried again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout

from rag.assistant import Assistant
from rag.errors import ModelUnavailable, StorageError, UsageError
from rag.filters import Filters
from rag.index import PaperIndex
from rag.progress import Progress, silent

from .data import Claim, Question, load_claims, load_questions, seed_papers
from .machine import peak_bytes, reset_peak
from .manifest import FILE, Manifest
from .records import AnswerRecord, ClaimRecord, R, SearchRecord
from .resume import record_each
from .systems import System, systems

SetName = Literal["full", "quick"]
SYSTEMS = ("extractive", "assistant", "unchecked", "ungated", "plain", "no-papers", "starter")
SAMPLED_SYSTEMS = ("no-papers", "starter")
"""Too slow to be asked everything by default: they decode word by word."""
SAMPLE = 12
QUICK_ANSWERABLE, QUICK_UNANSWERABLE, QUICK_CLAIMS = 10, 5, 36
SEARCHED = 10
"""How many papers a search records."""
Row = TypeVar("Row", Question, Claim)


@dataclass(frozen=True)
class Plan:
    """What is asked of whom."""

    set: SetName
    questions: Sequence[Question]
    claims: Sequence[Claim]
    systems: tuple[str, ...]
    sampled: int

    @classmethod
    def of(cls, chosen: SetName, names: Sequence[str] | None = None, sampled: int = SAMPLE) -> Plan:
        """The full set, or the quick one: all of retrieval, a part of the claims, a few questions to the assistant.

        :raises UsageError: for a system that there isn't.
        """
        for name in names or ():
            if name not in SYSTEMS:
                raise UsageError(f"There is no system {name!r}: use {', '.join(SYSTEMS)}.")
        quick = chosen == "quick"
        claims = load_claims()
        default = ("extractive", "assistant", "unchecked") if quick else SYSTEMS
        return cls(
            chosen,
            load_questions(),
            sample(claims, QUICK_CLAIMS) if quick else claims,
            tuple(name for name in SYSTEMS if name in (names or default)),
            sampled,
        )

    def asked(self, system: str) -> Sequence[Question]:
        """The questions that a system is asked."""
        if self.set == "quick":
            # Of the kinds evenly there would be one that can only be refused.
            answerable = [question for question in self.questions if question.papers]
            unanswerable = [question for question in self.questions if not question.papers]
            return [*sample(answerable, QUICK_ANSWERABLE), *sample(unanswerable, QUICK_UNANSWERABLE)]
        if system in SAMPLED_SYSTEMS:
            return sample(self.questions, self.sampled)
        # What is reported comes first: a run that is stopped early is still worth something.
        return sorted(self.questions, key=lambda question: question.split == "dev")


def sample(rows: Sequence[Row], count: int) -> list[Row]:
    """``count`` rows spread evenly over the kinds; which ones is decided by the hash of their id, and in that order."""
    kinds: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).hexdigest()):
        kinds.setdefault(row.kind, []).append(row)
    # The first of each kind, then the second of each, and so on.
    ranked = [(place, kind, row) for kind, group in kinds.items() for place, row in enumerate(group)]
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])[:count]]


def run(
    assistant: Assistant, plan: Plan, folder: Path | None = None, *, fresh: bool = False, progress: Progress = silent
) -> Path:
    """Make a run, or go on with the one in the folder; returns that folder.

    :param folder: by default one of ``settings.eval_dir`` that is named after all that decides the answers: the same
        things asked again go on where they were, anything else begins a run of its own.
    :param fresh: begin anew.
    :raises UsageError: if the folder's run was made with something else, or another process is at it.
    :raises ModelUnavailable: if there is no language model.
    """
    check_whole(assistant)
    manifest = Manifest.now(assistant, plan.set, plan.systems, plan.sampled)
    folder = folder or assistant.settings.eval_dir / manifest.name
    with _only_one(folder):
        if not (folder / FILE).exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise UsageError(f"{folder} holds other files and no run: name another folder with --run.")
        if fresh:
            clear(folder)
        elif (folder / FILE).exists():
            before = Manifest.read(folder)
            differences = before.differences(manifest)
            if differences:
                raise UsageError(
                    f"The run in {folder} was made with other {', '.join(differences)}: add --fresh to begin it anew, "
                    f"or name another folder with --run."
                )
            asked = tuple(name for name in SYSTEMS if name in {*before.systems, *plan.systems})
            manifest = manifest.model_copy(update={"systems": asked})
        try:
            manifest.write(folder)
        except OSError as error:
            raise StorageError(
                f"{folder} can't be written ({error.strerror}): make room, or name another with --run."
            ) from error
        _Run(assistant, folder, plan, progress).all()
    return folder


def clear(folder: Path) -> None:
    """Delete what a run left in its folder, the manifest last: without it the rest would be no run."""
    for name in ("search", "claims", *SYSTEMS):
        (folder / f"{name}.jsonl").unlink(missing_ok=True)
    (folder / FILE).unlink(missing_ok=True)


def check_whole(assistant: Assistant) -> None:
    """A run is only worth something over the papers that the gold is about, with everything at work.

    :raises UsageError: if the index holds others, or lacks some. :raises ModelUnavailable: without the embedder.
    """
    if assistant.embedder is None or not isinstance(assistant.index, PaperIndex):
        raise ModelUnavailable(" ".join(assistant.notices))
    indexed, known = assistant.index.papers.keys(), seed_papers().keys()
    if indexed != known:
        raise UsageError(
            f"The index lacks {len(known - indexed)} papers that the gold questions are about and holds "
            f"{len(indexed - known)} that they know nothing of: evaluate with RAG_HOME set to an empty folder "
            f"(the models stay where RAG_CACHE_DIR points)."
        )


class _Run:
    def __init__(self, assistant: Assistant, folder: Path, plan: Plan, progress: Progress):
        self._assistant, self._folder, self._plan, self._progress = assistant, folder, plan, progress
        self._answers: dict[str, AnswerRecord] = {}

    def all(self) -> None:
        """Retrieval first, which takes seconds; then what needs the model, the slowest last."""
        plan = self._plan
        self._each("search", plan.questions, self._search, SearchRecord)
        makers = systems(self._assistant, self._answers)
        for name in plan.systems:
            if name == "assistant":
                self._each("claims", plan.claims, self._claim, ClaimRecord)
            system = makers[name]()
            answers = self._each(name, plan.asked(name), _measured(system), AnswerRecord)
            if name == "assistant":
                self._answers |= {record.id: record for record in answers if record.error is None}

    def _each(self, name: str, rows: Sequence[Row], work: Callable[[Row], R], kind: type[R]) -> list[R]:
        return record_each(name, self._folder, [(row.id, row) for row in rows], work, kind, self._progress)

    def _search(self, question: Question) -> SearchRecord:
        begun = time.perf_counter()
        found = self._assistant.search(question.question, SEARCHED, closely=False)
        return SearchRecord(
            id=question.id,
            papers=tuple(dict.fromkeys(passage.paper_id for passage in found.passages)),
            confidence=found.confidence,
            seconds=round(time.perf_counter() - begun, 4),
        )

    def _claim(self, claim: Claim) -> ClaimRecord:
        """The assistant's own check of a labelled claim against its abstract, as ``rag check`` does it."""
        begun = time.perf_counter()
        assistant = self._assistant
        result = assistant.check(claim.claim, Filters(papers=(claim.paper_id,)))
        return ClaimRecord(
            id=claim.id,
            support=result.support,
            quotes=(result.quote,),
            seconds=round(time.perf_counter() - begun, 4),
        )


def _measured(system: System) -> Callable[[Question], AnswerRecord]:
    def ask(question: Question) -> AnswerRecord:
        reset_peak()
        return system(question).model_copy(update={"peak_bytes": peak_bytes()})

    return ask


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"Another process is at the run in {folder}: wait, or name another with --run.") from None
    except OSError as error:
        raise StorageError(f"{folder} can't be written ({error.strerror}): name another with --run.") from error
    try:
        yield
    finally:
        lock.release()
