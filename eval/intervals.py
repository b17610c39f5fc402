"""Estimates with bootstrap intervals (Efron and Tibshirani, 1993): questions are drawn again, with replacement.

A metric is a ratio of sums over questions, so that a sentence counts as much in a long answer as in a short
one. A question's share is a pair (numerator, denominator); a mean over questions has the denominator one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
Share = tuple[float, float]
Shares = Mapping[str, Share]
"""What each question adds to a metric, by question id."""


class Estimate(BaseModel):
    """A value with its 95% interval over ``n`` questions; all None where there is nothing to measure.

    The interval is None for a single question, which says nothing about others.
    """

    model_config = ConfigDict(frozen=True)

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


def ratio(shares: Shares) -> Estimate:
    """Sum of numerators over sum of denominators. Questions with denominator zero don't take part."""
    pairs = np.array([pair for pair in shares.values() if pair[1] > 0], dtype=float).reshape(-1, 2)
    if not len(pairs):
        return Estimate()
    value = pairs[:, 0].sum() / pairs[:, 1].sum()
    if len(pairs) < 2:
        return Estimate(value=round(value, 4), n=1)
    drawn = pairs[_draws(len(pairs))].sum(axis=1)
    return _estimate(value, drawn[:, 0] / drawn[:, 1], len(pairs))


def difference(ours: Shares, theirs: Shares, level: float = LEVEL) -> Estimate:
    """How much one system's ratio exceeds another's over the questions that both were asked; drawn in pairs.

    A question that adds (0, 0) to one of them, because it was refused, stays in for the other.
    """
    both = [id_ for id_ in ours if id_ in theirs and (ours[id_][1] > 0 or theirs[id_][1] > 0)]
    quadruples = np.array([(*ours[id_], *theirs[id_]) for id_ in both], dtype=float).reshape(-1, 4)
    sums = quadruples.sum(axis=0)
    if not sums[1] or not sums[3]:
        return Estimate(n=len(both))
    value = sums[0] / sums[1] - sums[2] / sums[3]
    if len(quadruples) < 2:
        return Estimate(value=round(value, 4), n=1)
    drawn = quadruples[_draws(len(quadruples))].sum(axis=1)
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    return _estimate(value, drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3], len(both), level)


def quantile(values: Sequence[float], q: float) -> Estimate:
    """A quantile, such as the 95th percentile of seconds."""
    if not values:
        return Estimate()
    array = np.array(values, dtype=float)
    if len(array) < 2:
        return Estimate(value=round(float(array[0]), 4), n=1)
    return _estimate(float(np.quantile(array, q)), np.quantile(array[_draws(len(array))], q, axis=1), len(array))


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> Estimate:
    """Probability that a true case scores above a false one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    if len(set(labels)) < 2:
        return Estimate(n=len(labels))
    s, y = np.array(scores), np.array(labels)
    draws = [draw for draw in _draws(len(y)) if 0 < y[draw].sum() < len(y)]
    return _estimate(float(roc_auc_score(y, s)), np.array([_rank_auroc(s[d], y[d]) for d in draws]), len(y))


def balanced_accuracy(verdicts: Sequence[bool], labels: Sequence[bool]) -> Estimate:
    """Mean of the share of true cases accepted and of false cases rejected."""
    from sklearn.metrics import balanced_accuracy_score

    if len(set(labels)) < 2:
        return Estimate(n=len(labels))
    v, y = np.array(verdicts), np.array(labels)
    drawn = _draws(len(y))
    accepted, true = v[drawn], y[drawn]
    mixed = (true.sum(axis=1) > 0) & (true.sum(axis=1) < len(y))
    accepted, true = accepted[mixed], true[mixed]
    halves = (accepted & true).sum(axis=1) / true.sum(axis=1), (~accepted & ~true).sum(axis=1) / (~true).sum(axis=1)
    return _estimate(float(balanced_accuracy_score(y, v)), (halves[0] + halves[1]) / 2, len(y))


def best_threshold(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The threshold of highest balanced accuracy, midway between two scores; for the development part only."""
    ordered: list[float] = sorted(set(scores))
    middles: list[float] = [(a + b) / 2 for a, b in pairwise(ordered)] or [0.5]
    true, false = max(sum(labels), 1), max(len(labels) - sum(labels), 1)

    def accuracy(threshold: float) -> float:
        kept = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        return sum(kept) / true + 1 - (len(kept) - sum(kept)) / false

    best: float = max(middles, key=accuracy)
    return round(best, 4)


def _rank_auroc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    from scipy.stats import rankdata

    true = int(labels.sum())
    return float((rankdata(scores)[labels].sum() - true * (true + 1) / 2) / (true * (len(labels) - true)))


def _draws(n: int) -> NDArray[np.int64]:
    """Rows of indices, one a resample; the same each time."""
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


def _estimate(value: float, drawn: NDArray[np.float64], n: int, level: float = LEVEL) -> Estimate:
    tail = (1 - level) / 2
    low, high = (float(np.quantile(drawn, q)) for q in (tail, 1 - tail))
    if math.isnan(value):
        return Estimate(n=n)
    return Estimate(value=round(float(value), 4), low=round(low, 4), high=round(high, 4), n=n)
