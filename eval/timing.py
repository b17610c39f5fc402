"""What was measured, and what it comes to: ratios of paired questions, medians, the split by stage."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from rag.answers import Answer, Seconds
from rag.events import Drafting

from .data import Question
from .intervals import Estimate, quantile
from .manifest import Manifest
from .records import Record

STAGES = ("search", "reread", "read", "write", "check", "rest")
"""Of an answer: searching; the second look at what was found; reading abstracts and the prompt, until the first word
is there; writing on; checking; and what no clock ran for."""
Moment = Literal["total", "first"]


class Timed(Record):
    """What one system took for one question, in seconds; ``id`` is the question's."""

    system: str = ""
    kind: str = ""
    total: float | None = None
    """Until the whole answer; None if it was skipped."""
    first: float | None = None
    """Until the first words were on the screen, be it of a draft or of a refusal."""
    stages: Mapping[str, float] = {}
    peak_bytes: int | None = None
    """Most resident memory, of systems that are a process of their own."""
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    refused: bool | None = None
    skipped: str = ""
    """Why there is nothing to measure."""


class Watch:
    """Notes when the events of one question come: the first words, the answer."""

    def __init__(self, begun: float | None = None):
        """:param begun: since when seconds are counted, by ``time.perf_counter``; by default since now."""
        self._begun = time.perf_counter() if begun is None else begun
        self._first: float | None = None
        self._total: float | None = None
        self._answer: Answer | None = None

    def see(self, event: Any) -> None:
        """Another event has come."""
        now = time.perf_counter() - self._begun
        if self._first is None and isinstance(event, Drafting | Answer):
            self._first = now
        if isinstance(event, Answer):
            self._total, self._answer = now, event

    @property
    def answer(self) -> Answer:
        """The answer, once it has come."""
        assert self._answer is not None, "no answer came"
        return self._answer

    def timed(self, question: Question, system: str = "") -> Timed:
        """What it comes to."""
        return Timed(
            id=question.id,
            system=system,
            kind=question.kind,
            total=self._total,
            first=self._first,
            stages=stages(self.answer.seconds),
            refused=self.answer.refused,
        )


@dataclass(frozen=True)
class Comparison:
    """A ratio of interest: how many times longer the one takes than the other."""

    title: str
    longer: tuple[str, Moment]
    shorter: tuple[str, Moment]
    least: float | None = None
    """What is aimed at."""


COMPARISONS = (
    Comparison("whole answer: starter / assistant", ("starter", "total"), ("assistant", "total"), 10.0),
    Comparison("starter's answer / assistant's first words", ("starter", "total"), ("assistant", "first"), 15.0),
    Comparison("starter, warm / `rag ask`, cold", ("starter", "total"), ("cold", "total"), 5.0),
    Comparison("llama.cpp's draft / assistant's answer", ("llama.cpp", "total"), ("assistant", "total"), 2.5),
    Comparison("whole answer: transformers / assistant", ("transformers", "total"), ("assistant", "total")),
    Comparison("first words: transformers / assistant", ("transformers", "first"), ("assistant", "first")),
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ratio(_Frozen):
    """The median of a comparison's ratios, a question a pair, with its 95% bootstrap interval."""

    title: str
    estimate: Estimate
    least: float | None

    @property
    def reached(self) -> bool | None:
        """Whether it is what is aimed at; None without an aim or a measurement."""
        return None if self.least is None or self.estimate.value is None else self.estimate.value >= self.least


class Summary(_Frozen):
    """One system over its questions: seconds, and which share of them all each stage has."""

    questions: int
    total: Estimate
    total_p95: Estimate
    first: Estimate
    first_p95: Estimate
    shares: Mapping[str, float]
    stages: Mapping[str, float]
    """Medians."""
    peak_bytes: int | None


class Bench(_Frozen):
    """A finished run: ratios first, every single measurement last."""

    ratios: tuple[Ratio, ...]
    systems: Mapping[str, Summary]
    left_out: Mapping[str, str]
    """Systems that were not measured, and why."""
    manifest: Manifest
    beside: Mapping[str, str]
    """Versions of what only the peers need, and the SHA-256 of the file that llama.cpp reads."""
    rows: tuple[Timed, ...]

    @classmethod
    def of(
        cls, rows: Sequence[Timed], manifest: Manifest, beside: Mapping[str, str], left_out: Mapping[str, str]
    ) -> Bench:
        """What these measurements come to."""
        return cls(
            ratios=tuple(ratio for ratio in (compared(rows, each) for each in COMPARISONS) if ratio.estimate.n),
            systems={name: summary(of_system(rows, name)) for name in dict.fromkeys(row.system for row in rows)},
            left_out=left_out,
            manifest=manifest,
            beside=beside,
            rows=tuple(rows),
        )


def of_system(rows: Sequence[Timed], system: str) -> list[Timed]:
    """A system's measurements, without those that failed or were skipped."""
    return [row for row in rows if row.system == system and row.total is not None]


def compared(rows: Sequence[Timed], comparison: Comparison) -> Ratio:
    """A ratio over the questions that both sides were asked."""
    longer, shorter = (
        {row.id: seconds for row in of_system(rows, system) if (seconds := getattr(row, moment))}
        for system, moment in (comparison.longer, comparison.shorter)
    )
    ratios = [longer[id_] / shorter[id_] for id_ in longer if id_ in shorter]
    return Ratio(title=comparison.title, estimate=quantile(ratios, 0.5), least=comparison.least)


def summary(rows: Sequence[Timed]) -> Summary:
    """What the measurements of one system come to."""
    totals = [row.total for row in rows if row.total is not None]
    firsts = [row.first for row in rows if row.first is not None]
    names = dict.fromkeys(name for row in rows for name in row.stages)
    split = {name: [row.stages.get(name, 0.0) for row in rows] for name in names}
    whole = sum(map(sum, split.values()))
    return Summary(
        questions=len(totals),
        total=quantile(totals, 0.5),
        total_p95=quantile(totals, 0.95),
        first=quantile(firsts, 0.5),
        first_p95=quantile(firsts, 0.95),
        shares={name: round(sum(values) / whole, 4) for name, values in split.items()} if whole else {},
        stages={name: quantile(values, 0.5).value or 0.0 for name, values in split.items()},
        peak_bytes=max((row.peak_bytes for row in rows if row.peak_bytes), default=None),
    )


def stages(seconds: Seconds) -> dict[str, float]:
    """An answer's own clock, as parts that add up to its total."""
    search = seconds.retrieve + (seconds.complete or 0.0)
    reread = seconds.reread or 0.0
    # Where nothing was drafted, all that the model did was reading.
    read = seconds.generate if seconds.first_token is None else max(0.0, seconds.first_token - search - reread)
    parts = {
        "search": search,
        "reread": reread,
        "read": read,
        "write": max(0.0, seconds.generate - read),
        "check": seconds.ground,
    }
    rest = max(0.0, seconds.total - sum(parts.values()))
    return {name: round(value, 3) for name, value in {**parts, "rest": rest}.items()}
