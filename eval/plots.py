"""The pictures of a report, as SVG texts. One function a picture; none knows where it will stand."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from .intervals import Estimate
from .metrics import ANSWERS
from .score import OURS
from .scores import CheckScores, Scores

COLOURS = {
    "assistant": "#1f5fbf",
    "unchecked": "#7fa8e0",
    "ungated": "#6a4fb0",
    "plain": "#d97a1e",
    "extractive": "#3a8f5c",
    "no-papers": "#8a8f98",
    "starter": "#b0417a",
}
_INK, _FAINT = "#22262e", "#d8dce3"
_OVERVIEW = (
    "correct",
    "right_refusals",
    "false_refusals",
    "faithful",
    "citation_recall",
    "citation_precision",
    "paper_precision",
)


def pictures(scores: Scores) -> list[tuple[str, str, str]]:
    """(heading, what it shows, SVG) of every picture that the scores allow."""
    made = []
    if scores.systems:
        made.append(("Scores by system", _SHOWS["overview"], overview(scores)))
        made.append(("Correct answers by kind of question", _SHOWS["kinds"], by_kind(scores)))
    made.append(("Retrieval", _SHOWS["retrieval"], retrieval(scores)))
    if any(system.risk_coverage for system in scores.systems.values()):
        made.append(("Risk and coverage", _SHOWS["risk"], risk_coverage(scores)))
    if scores.claims:
        made.append(("Calibration of support", _SHOWS["calibration"], calibration(scores)))
        made.append(("Labelled claims by kind", _SHOWS["claims"], claims_by_kind(scores)))
    if len(scores.systems) > 1:
        made.append(("Seconds against correctness", _SHOWS["seconds"], seconds(scores)))
    return made


_SHOWS = {
    "overview": "Points are estimates, bars 95% bootstrap intervals over questions. ↓: less is better.",
    "kinds": "Share of answers that say every key fact; of the unanswerable, the share that is refused.",
    "retrieval": "Share of answerable questions with a gold paper among the first k.",
    "risk": "If only the best supported answers were shown: how many would be shown, and how many of those are wrong.",
    "calibration": "Support against the share that is really supported, in equally filled bins; on the line is honest.",
    "claims": "Share of labelled claims that are judged rightly, at the threshold from the dev part.",
    "seconds": "Median seconds of a whole answer against correctness. Up and left is better.",
}


def overview(scores: Scores) -> str:
    """Every main metric of every system, with intervals."""
    figure, axes = _figure()
    names = list(scores.systems)
    for row, metric in enumerate(_OVERVIEW):
        for place, name in enumerate(names):
            estimate = scores.systems[name].metrics.get(metric, {}).get("all")
            if estimate and estimate.value is not None:
                y = row + (place - (len(names) - 1) / 2) * 0.14
                _point(axes, estimate, y, COLOURS.get(name, _INK), name if row == 0 else None)
    axes.set_yticks(range(len(_OVERVIEW)), [_titled(metric) for metric in _OVERVIEW])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color=_FAINT)
    _legend(figure, len(names))
    return _svg(figure)


def by_kind(scores: Scores) -> str:
    """Correctness (for the unanswerable, right refusals) by kind of question."""
    kinds = sorted({kind for s in scores.systems.values() for kind in s.metrics.get("correct", {})} - _GROUPS)
    rows = [*kinds, "unanswerable"]
    names = [name for name in scores.systems if name in (OURS, "plain", "extractive")] or list(scores.systems)
    figure, axes = _figure()
    for row, kind in enumerate(rows):
        metric = "right_refusals" if kind == "unanswerable" else "correct"
        for place, name in enumerate(names):
            estimate = scores.systems[name].metrics.get(metric, {}).get(kind)
            if estimate and estimate.value is not None:
                y = row + (place - (len(names) - 1) / 2) * 0.2
                _point(axes, estimate, y, COLOURS.get(name, _INK), name if row == 0 else None)
    axes.set_yticks(range(len(rows)), [*kinds, "unanswerable: refused"])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color=_FAINT)
    _legend(figure, len(names))
    return _svg(figure)


_GROUPS = {"all", "dev", "test"}


def retrieval(scores: Scores) -> str:
    """hit@k for dev and test."""
    figure, axes = _figure()
    ks = (1, 3, 5, 10)
    for group, colour in (("dev", "#8a8f98"), ("test", "#1f5fbf")):
        estimates = [scores.retrieval[f"hit@{k}"].get(group, Estimate()) for k in ks]
        if all(e.value is not None for e in estimates):
            axes.plot(ks, [e.value for e in estimates], "o-", color=colour, label=group)
            bounds = [(e.low, e.high) if e.low is not None else (e.value, e.value) for e in estimates]
            axes.fill_between(ks, [b[0] for b in bounds], [b[1] for b in bounds], color=colour, alpha=0.15, lw=0)
    axes.set_xticks(ks, [f"hit@{k}" for k in ks])
    axes.set_ylim(None, 1.01)
    axes.grid(axis="y", color=_FAINT)
    axes.legend(frameon=False)
    return _svg(figure)


def risk_coverage(scores: Scores) -> str:
    """The risk-coverage curve of each system that scores its own sentences."""
    figure, axes = _figure()
    for name, system in scores.systems.items():
        if system.risk_coverage and system.selective_risk is not None:
            xs, ys = zip(*system.risk_coverage, strict=True)
            label = f"{name} (mean {system.selective_risk:.2f})"
            axes.plot(xs, ys, "-", color=COLOURS.get(name, _INK), lw=2, label=label)
            axes.plot(xs[-1:], ys[-1:], "o", color=COLOURS.get(name, _INK))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("coverage: share of questions answered")
    axes.set_ylabel("risk: share of them wrong")
    axes.grid(color=_FAINT)
    axes.legend(frameon=False, fontsize=10)
    return _svg(figure)


def calibration(scores: Scores) -> str:
    """Support against truth, on the claims and on the sentences labelled by hand."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], "--", color=_FAINT)
    sources: Sequence[tuple[str, Mapping[str, CheckScores], str]] = (
        ("claims", scores.claims, "#1f5fbf"),
        ("drafted sentences", scores.labels, "#d97a1e"),
    )
    for label, checks, colour in sources:
        if "support" in checks:
            bins = checks["support"].calibration
            sizes = [12 + 2 * count for _, _, count in bins]
            axes.plot([b[0] for b in bins], [b[1] for b in bins], "-", color=colour, alpha=0.5)
            axes.scatter([b[0] for b in bins], [b[1] for b in bins], s=sizes, color=colour, label=label)
    axes.set_xlabel("support that the assistant gives")
    axes.set_ylabel("share really supported")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=10, loc="upper left")
    return _svg(figure)


def claims_by_kind(scores: Scores) -> str:
    """How often each kind of claim is judged rightly, by the support score and by the judge."""
    kinds = list(scores.claims["support"].by_kind)
    figure, axes = _figure()
    for place, (name, colour) in enumerate((("support", "#1f5fbf"), ("judge", "#8a8f98"))):
        for row, kind in enumerate(kinds):
            estimate = scores.claims[name].by_kind[kind]
            _point(axes, estimate, row + (place - 0.5) * 0.24, colour, name if row == 0 else None)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color=_FAINT)
    _legend(figure, 2)
    return _svg(figure)


def seconds(scores: Scores) -> str:
    """Median seconds against correctness."""
    figure, axes = _figure()
    for name, system in scores.systems.items():
        time, right = system.seconds["p50"], system.metrics.get("correct", {}).get("all", Estimate())
        if time.value is None or right.value is None:
            continue
        colour = COLOURS.get(name, _INK)
        if right.low is not None and right.high is not None:
            axes.plot([time.value, time.value], [right.low, right.high], color=colour, alpha=0.5, lw=2)
        axes.plot([time.value], [right.value], "o", color=colour, ms=8)
        axes.annotate(name, (time.value, right.value), xytext=(8, 4), textcoords="offset points", color=colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("seconds an answer, median (log scale)")
    axes.set_ylabel("correct")
    axes.grid(color=_FAINT)
    axes.margins(x=0.25)
    return _svg(figure)


def _point(axes: Any, estimate: Estimate, y: float, colour: str, label: str | None) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], "-", color=colour, alpha=0.45, lw=3, solid_capstyle="round")
    axes.plot([estimate.value], [y], "o", color=colour, ms=5.5, label=label)


def _titled(metric: str) -> str:
    return f"{ANSWERS[metric].title} ↓" if ANSWERS[metric].better == "lower" else ANSWERS[metric].title


def _legend(figure: Figure, columns: int) -> None:
    """Above the picture: beside it there is no room, and inside it would hide points."""
    figure.legend(loc="outside upper center", ncols=columns, frameon=False, columnspacing=1.2, handletextpad=0.2)


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(length=0, labelcolor=_INK)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The figure as an SVG element without date, so that the same scores give the same bytes."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "papertrail", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
