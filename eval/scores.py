"""The types of a scored run: what a report shows and the gate compares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .intervals import Estimate, Share
from .manifest import Manifest


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class SystemScores(_Frozen):
    """One system: each metric for all, for dev and test, and for each kind of question."""

    asked: int
    failures: int
    timed_out: int
    metrics: dict[str, dict[str, Estimate]]
    seconds: dict[str, Estimate]
    peak_gb: float | None
    risk_coverage: tuple[tuple[float, float], ...] = ()
    """Points (share of questions answered, share of those answered wrongly), the most trusted answers first."""
    selective_risk: float | None = None
    """Mean risk along that curve (Geifman and El-Yaniv, 2017), as far as it goes; less is better."""


class CheckScores(_Frozen):
    """How far a score that tells supported sentences from others can be trusted."""

    threshold: float
    auroc: dict[str, Estimate]
    balanced_accuracy: dict[str, Estimate]
    by_kind: dict[str, Estimate]
    calibration: tuple[tuple[float, float, int], ...]
    """Bins of (mean score, share supported, count)."""


class Disagreement(_Frozen):
    """A shown sentence on which the assistant's own score and the judge differ."""

    question_id: str
    text: str
    quotes: tuple[str, ...]
    support: float
    judged: float


class Miss(_Frozen):
    """An answer that is not what was expected."""

    question_id: str
    kind: str
    split: str
    question: str
    answer: str
    refused: bool
    quotes: tuple[tuple[str, str], ...]
    """(title, quote) of what was cited."""
    expected: str
    wrong: str


class Scores(_Frozen):
    """Everything that a report shows."""

    manifest: Manifest
    gold_changed: bool
    """Whether the questions or claims have changed since the run."""
    retrieval: dict[str, dict[str, Estimate]]
    confidence: Estimate
    """AUROC of retrieval's confidence, answerable against unanswerable questions."""
    systems: dict[str, SystemScores]
    differences: dict[str, dict[str, Estimate]]
    """What the assistant does better or worse than each other system, on the questions that both were asked."""
    claims: dict[str, CheckScores]
    claims_right: Estimate
    """Claims that the assistant judges rightly at the threshold that it uses, whatever would be best."""
    labels: dict[str, CheckScores]
    disagreements: tuple[Disagreement, ...]
    sentences_compared: int
    misses: tuple[Miss, ...]
    shares: dict[str, dict[str, Share]]
    """What each question or claim added to each metric of the assistant and of retrieval: what the gate compares."""
