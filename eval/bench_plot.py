"""The picture of a bench: a bar of seconds a system, split by stage where the system tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .timing import STAGES, Bench, Comparison, compared

_COLOURS = dict(zip(STAGES, ("#3a8f5c", "#8fc4a3", "#1f5fbf", "#d97a1e", "#6a4fb0", "#b9bec8"), strict=True))
_WHOLE, _INK, _FAINT = "#5d6470", "#22262e", "#d8dce3"
_SHOWN = {
    "assistant": "PaperTrail, warm",
    "cold": "PaperTrail, `rag ask` cold",
    "llama.cpp": "llama.cpp, the draft alone",
    "transformers": "transformers, greedy",
    "starter": "LlamaIndex starter",
}


def write_png(bench: Bench, path: Path) -> None:
    """Draw median seconds, with the stages in their shares, first words as a dot and the 95th percentile as a line."""
    names = [name for name in _SHOWN if name in bench.systems and bench.systems[name].questions]
    figure = Figure(figsize=(9, 1.8 + 0.72 * max(1, len(names))), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, name in enumerate(names):
        _bar(axes, bench, name, row)
    axes.set_yticks(range(len(names)), [_SHOWN[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    axes.set_xlabel(
        "seconds a question: median (bar), 95th percentile (line), first words (dot),\n"
        "and how many times as long as the warm assistant: median over the same questions"
    )
    axes.grid(axis="x", color=_FAINT)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    _legend(figure, axes)
    figure.savefig(path, metadata={"Software": None})


def _bar(axes: Any, bench: Bench, name: str, row: int) -> None:
    """One system. Medians of stages don't add up to the median of the whole, so the bar is cut in their shares."""
    system = bench.systems[name]
    height = system.total.value or 0.0
    left = 0.0
    for stage, share in (system.shares or {"": 1.0}).items():
        axes.barh(row, height * share, 0.56, left, color=_COLOURS.get(stage, _WHOLE))
        left += height * share
    end = max(height, system.total_p95.value or 0.0)
    axes.plot([height, end], [row, row], color=_INK, lw=1.2)
    if system.first.value is not None and system.first.value < height:
        axes.plot([system.first.value], [row], "o", color="white", mec=_INK, ms=6)
    times = compared(bench.rows, Comparison("", (name, "total"), ("assistant", "total"))).estimate.value
    beside = "" if times is None or name == "assistant" else f"  ({times:.1f}×)"
    axes.annotate(
        f"{height:.1f} s{beside}", (end, row), xytext=(6, 0), textcoords="offset points", va="center", color=_INK
    )


def _legend(figure: Figure, axes: Any) -> None:
    """The stages, above the picture."""
    colours = {**_COLOURS, "not split": _WHOLE}
    patches = [axes.barh(0, 0, color=colour) for colour in colours.values()]
    figure.legend(patches, colours, loc="outside upper center", ncols=len(colours), frameon=False, fontsize=9)
