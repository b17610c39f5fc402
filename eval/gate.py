"""Whether a run is worse than the stored baseline: by paired intervals over the same questions, not by eye."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import StorageError, UsageError

from .data import HERE, load_questions
from .intervals import LEVEL, Estimate, Share, difference
from .manifest import Manifest, file_sha256
from .metrics import ANSWERS, CLAIMS, RETRIEVAL
from .records import write_whole
from .scores import Scores

BASELINE = HERE / "baseline.json"
_SCORING = ("gold.jsonl", "claims.jsonl", "labels.jsonl", "judge.py", "metrics.py", "score.py")
GATED: Mapping[str, str] = {
    name: metric.better
    for table in (RETRIEVAL, CLAIMS, ANSWERS)
    for name, metric in table.items()
    if metric.better != "neither"
}
MARGINS = {"full": 0.0, "quick": 0.05}
"""A loss counts when its whole interval lies beyond this: the quick set is small, and machines round differently."""


class Baseline(BaseModel):
    """What a set scored when it was stored, question by question."""

    model_config = ConfigDict(frozen=True)

    manifest: Manifest
    scoring_sha256: str
    """Of all that turns records into scores: a change of it is no gain or loss of the assistant."""
    shares: dict[str, dict[str, Share]]


class Verdict(BaseModel):
    """One metric now against then, on the questions of both."""

    model_config = ConfigDict(frozen=True)

    metric: str
    change: Estimate
    """Now minus then."""
    lost: bool


def compare(scores: Scores, baseline: Baseline) -> list[Verdict]:
    """Each gated metric of a run against the baseline of its set.

    The intervals are widened for the number of metrics (Bonferroni): a change that loses nothing
    passes them all nineteen times in twenty.

    :raises UsageError: if the run lacks questions that the baseline has and the gold still holds.
    """
    gone = baseline.shares.get("failures", {}).keys() - scores.shares.get("failures", {}).keys()
    gone &= {question.id for question in load_questions()}
    if gone:
        raise UsageError(f"The run lacks {len(gone)} questions of the baseline: go on with `rag eval run`.")
    margin, level = MARGINS[scores.manifest.set], 1 - (1 - LEVEL) / len(GATED)
    verdicts = []
    for metric, better in GATED.items():
        if metric not in scores.shares or metric not in baseline.shares:
            continue
        change = difference(scores.shares[metric], baseline.shares[metric], level)
        verdicts.append(Verdict(metric=metric, change=change, lost=_lost(change, better, margin)))
    return verdicts


def _lost(change: Estimate, better: str, margin: float) -> bool:
    """Whether even the kind end of the interval is a loss; a single question can't show one."""
    if change.low is None or change.high is None:
        return False
    return change.high < -margin if better == "higher" else change.low > margin


def read_baseline(chosen: str, path: Path = BASELINE) -> Baseline:
    """The stored baseline of a set. :raises UsageError: if there is none."""
    stored = _stored(path)
    if chosen not in stored:
        raise UsageError(f"{path} holds no baseline of the {chosen} set: store one with `rag eval gate --save`.")
    try:
        return Baseline.model_validate(stored[chosen])
    except ValidationError as error:
        raise UsageError(f"The {chosen} baseline in {path} can't be read: store it anew with `--save`.") from error


def save_baseline(scores: Scores, path: Path = BASELINE) -> None:
    """Make a run the baseline of its set; that of the other set stays."""
    kept = {metric: shares for metric, shares in scores.shares.items() if metric in GATED}
    baseline = Baseline(manifest=scores.manifest, scoring_sha256=scoring_sha256(), shares=kept)
    stored = _stored(path) | {scores.manifest.set: baseline.model_dump(mode="json")}
    try:
        write_whole(path, _compact(stored))
    except OSError as error:
        raise StorageError(f"{path} can't be written ({error.strerror}): name another with --baseline.") from error


def scoring_sha256() -> str:
    """Hash over the gold, the labels and the code that scores."""
    return hashlib.sha256("".join(file_sha256(HERE / name) for name in _SCORING).encode()).hexdigest()


def _stored(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read as JSON ({error}): mend it or delete it.") from error
    return data if isinstance(data, dict) else {}


def _compact(stored: Mapping[str, object]) -> str:
    """JSON with a line for each metric, so that a change of the baseline can be read as a diff."""
    sets = []
    for name, baseline in sorted(stored.items()):
        assert isinstance(baseline, dict)
        metrics = ",\n".join(f"   {json.dumps(m)}: {json.dumps(s)}" for m, s in sorted(baseline["shares"].items()))
        head = ",\n".join(f"  {json.dumps(k)}: {json.dumps(baseline[k])}" for k in sorted(baseline.keys() - {"shares"}))
        sets.append(f' {json.dumps(name)}: {{\n{head},\n  "shares": {{\n{metrics}\n  }}\n }}')
    return "{\n" + ",\n".join(sets) + "\n}\n"
