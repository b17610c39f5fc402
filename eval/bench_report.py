"""The tables of a bench, as Markdown: ratios first, then seconds, then where they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .intervals import Estimate
from .scenes import AGAIN, FIRST, MEMORY, NEXT, ROW, TOGETHER
from .timing import STAGES, Bench, Timed, of_system

_VERSIONS = ("torch", "transformers", "llama-cpp-python")
_SCENES = ("eight", "follow-up", "memory")


def as_markdown(bench: Bench) -> str:
    """All tables of a bench that it has anything for."""
    parts = [_made_with(bench), *_ratios(bench), *_seconds(bench), *_stages(bench), *_eight(bench.rows)]
    parts += [*_follow_up(bench.rows), *_memory(bench.rows), *_missing(bench)]
    return "\n\n".join(parts) + "\n"


def _made_with(bench: Bench) -> str:
    manifest, machine = bench.manifest, bench.manifest.machine
    commit = (manifest.commit or "no commit")[:8] + (", with changes" if manifest.changed else "")
    versions = {**manifest.packages, **bench.beside}
    named = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "transformers", "llama-cpp-python") if name in versions
    )
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['torch_threads']} threads, "
        f"{machine['memory_gb']} GB; {named}; {manifest.model.name}; commit {commit}; begun {manifest.begun}."
    )


def _ratios(bench: Bench) -> Iterator[str]:
    rows = [
        [
            ratio.title,
            _interval(ratio.estimate),
            str(ratio.estimate.n),
            "" if ratio.least is None else f"≥ {ratio.least:g}",
            {True: "yes", False: "no", None: ""}[ratio.reached],
        ]
        for ratio in bench.ratios
    ]
    if rows:
        yield "## Ratios\n\nMedian of the ratios question by question, with its 95% bootstrap interval. More is better."
        yield _table(["how many times longer", "ratio", "questions", "aim", "reached"], rows)


def _seconds(bench: Bench) -> Iterator[str]:
    rows = [
        [
            name,
            str(system.questions),
            _interval(system.total),
            _number(system.total_p95.value),
            _number(system.first.value),
            _number(system.first_p95.value),
            _gigabytes(system.peak_bytes),
        ]
        for name, system in bench.systems.items()
        if not name.startswith(_SCENES) and system.questions
    ]
    if rows:
        yield "## Seconds"
        yield _table(
            ["system", "questions", "median [95%]", "p95", "first words, median", "p95", "peak memory, GB"], rows
        )


def _stages(bench: Bench) -> Iterator[str]:
    rows = [
        [name, *(f"{_number(system.stages[s])} ({system.shares[s]:.0%})" if s in system.stages else "" for s in STAGES)]
        for name, system in bench.systems.items()
        if not name.startswith(_SCENES) and system.stages
    ]
    if rows:
        yield "## Where the seconds go\n\nMedian of each stage, and its share of all seconds."
        yield _table(["system", *STAGES], rows)


def _eight(rows: Sequence[Timed]) -> Iterator[str]:
    before, together, after = (of_system(rows, name) for name in (ROW, TOGETHER, AGAIN))
    if not together:
        return
    lasted = [sum(row.total or 0 for row in part) for part in (before, after)]
    at_once = max(row.total or 0 for row in together)
    order = [row.id for row in sorted(together, key=lambda row: row.first or 0)]
    places = {id_: place for place, id_ in enumerate(order, 1)}
    worst = max(together, key=lambda row: row.first or 0)
    yield (
        f"## {len(together)} at once\n\nIn a row {_number(lasted[0])} s, at once {_number(at_once)} s, in a row again "
        f"{_number(lasted[1])} s: at once takes {at_once / (sum(lasted) / 2):.2f} times as long. The worst wait for "
        f"first words is {_number(worst.first)} s."
    )
    yield _table(
        ["asked as", "first words came as", "first words at, s", "answer at, s", "alone: first words", "answer"],
        [
            [str(i), str(places[row.id]), *map(_number, (row.first, row.total, alone.first, alone.total))]
            for i, (row, alone) in enumerate(zip(together, before, strict=True), 1)
        ],
    )


def _follow_up(rows: Sequence[Timed]) -> Iterator[str]:
    pairs = list(zip(of_system(rows, FIRST), of_system(rows, NEXT), strict=True))
    if pairs:
        yield "## A follow-up"
        yield _table(
            ["question", "first words", "answer", "follow-up: first words", "answer"],
            [[a.id, *map(_number, (a.first, a.total, b.first, b.total))] for a, b in pairs],
        )


def _memory(rows: Sequence[Timed]) -> Iterator[str]:
    table = [
        [row.system.removeprefix(MEMORY), row.id, _gigabytes(row.peak_bytes), row.skipped or _number(row.total)]
        for row in rows
        if row.system.startswith(MEMORY)
    ]
    if table:
        yield "## Memory\n\nPeak resident memory of `rag ask` as a new process."
        yield _table(["model", "question", "peak, GB", "seconds"], table)


def _missing(bench: Bench) -> Iterator[str]:
    said = [f"{name} was left out: {why}." for name, why in bench.left_out.items()]
    for name in bench.systems:
        skipped = [row.skipped for row in bench.rows if row.system == name and row.skipped]
        failed = [row for row in bench.rows if row.system == name and row.error]
        if skipped and not name.startswith(_SCENES):
            said.append(f"{name} was not asked {len(skipped)} questions: {skipped[0]}.")
        said += [f"{name} failed at {row.id}: {row.error.message}" for row in failed if row.error]
    if said:
        yield "## Left out\n\n" + "\n".join(f"- {line}" for line in said)


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value)
    return f"{_number(estimate.value)} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float | None) -> str:
    """Three digits at least where they count: 0.42, 4.2, 42."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _gigabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e9:.2f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
