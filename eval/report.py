"""Scores as people read them: Markdown for the terminal, and one HTML file with pictures that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .intervals import Estimate
from .metrics import ANSWERS, RETRIEVAL
from .records import write_whole
from .score import OURS
from .scores import CheckScores, Scores, SystemScores

HTML = "report.html"
_SHOWN_KINDS = ("all", "test", "dev")
_MAIN = (
    "correct",
    "right_refusals",
    "false_refusals",
    "false_answers",
    "faithful",
    "faithful_own_words",
    "faithful_answers",
    "copied",
    "citation_recall",
    "citation_precision",
    "paper_recall",
    "paper_precision",
    "evidence_recall",
)
_TIMES = (("p50", "median"), ("p95", "95th percentile"), ("first_token_p50", "first words, median"))
# Below this many cases an interval says less than their number.
_FEW = 20
Row = Sequence[str]


def write_html(scores: Scores, folder: Path) -> Path:
    """Write the report beside the run; returns its path."""
    path = folder / HTML
    write_whole(path, as_html(scores))
    return path


def shown(estimate: Estimate | None) -> str:
    """A value with its interval, as ".81 [.74, .88]"; a dash where there is nothing."""
    if estimate is None or estimate.value is None:
        return "-"
    value = _number(estimate.value)
    few = f" (n={estimate.n})" if estimate.n < _FEW else ""
    if estimate.low is None or estimate.high is None:
        return f"{value}{few}"
    return f"{value} [{_number(estimate.low)}, {_number(estimate.high)}]{few}"


def as_markdown(scores: Scores) -> str:
    """The scores as Markdown tables."""
    parts = [f"# Evaluation: {scores.manifest.set} set", _made_with(scores)]
    for heading, note, header, rows in _tables(scores):
        lines = [f"## {heading}", note, "", _line(header), _line(["---"] * len(header)), *map(_line, rows)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def as_html(scores: Scores) -> str:
    """One page: pictures, tables, and every failure. No script, no font and no file from elsewhere."""
    from .plots import pictures

    figures = "\n".join(
        f"<figure><h3>{_e(heading)}</h3>{svg}<figcaption>{_e(what)}</figcaption></figure>"
        for heading, what, svg in pictures(scores)
    )
    tables = "\n".join(
        f"<h2>{_e(heading)}</h2><p>{_e(note)}</p>{_table(header, rows)}"
        for heading, note, header, rows in _tables(scores)
    )
    return _PAGE.format(
        title=_e(f"PaperTrail evaluation: {scores.manifest.set} set"),
        made=_e(_made_with(scores)),
        figures=figures,
        tables=tables,
        disagreements=_disagreements(scores),
        misses=_misses(scores),
        manifest=_e(scores.manifest.model_dump_json(indent=1)),
    )


def _tables(scores: Scores) -> Iterable[tuple[str, str, Row, list[Row]]]:
    """(heading, note, header, rows) of every table."""
    names = list(scores.systems)
    if names:
        yield (
            "Systems",
            "With 95% bootstrap intervals over the questions that each was asked. ↓: less is better. eval/METRICS.md "
            "defines each line.",
            ["", *names],
            [
                ["asked / failures / time-outs", *(_counts(scores.systems[name]) for name in names)],
                *([_title(m), *(shown(_overall(scores.systems[name], m)) for name in names)] for m in _MAIN),
                *(
                    [f"seconds, {label}", *(_seconds(scores.systems[name].seconds.get(key)) for name in names)]
                    for key, label in _TIMES
                ),
                ["peak memory, GB", *(_plain(scores.systems[name].peak_gb) for name in names)],
                ["mean risk along risk-coverage ↓", *(_plain(scores.systems[name].selective_risk) for name in names)],
            ],
        )
    if OURS in scores.systems:
        ours = scores.systems[OURS].metrics
        kinds = sorted({kind for groups in ours.values() for kind in groups} - set(_SHOWN_KINDS))
        some = ("correct", "facts", "false_refusals", "right_refusals", "faithful", "paper_recall")
        yield (
            "The assistant by kind of question",
            f"It showed {scores.sentences_compared} sentences as supported; the judge doubts "
            f"{len(scores.disagreements)} of them. The HTML report lists these, and every failure.",
            ["", *(_title(metric) for metric in some)],
            [[g, *(shown(ours.get(metric, {}).get(g)) for metric in some)] for g in (*_SHOWN_KINDS, *kinds)],
        )
    if scores.differences:
        others = list(scores.differences)
        metrics = [m for m in _MAIN if any(m in scores.differences[name] for name in others)]
        yield (
            "What the assistant adds",
            "Assistant minus the other system, over the questions that both were asked; paired bootstrap. An interval "
            "that holds 0 shows no difference.",
            ["", *others],
            [[_title(m), *(shown(scores.differences[name].get(m)) for name in others)] for m in metrics],
        )
    yield (
        "Retrieval",
        f"Answerable questions. AUROC of retrieval's confidence, answerable against unanswerable questions: "
        f"{shown(scores.confidence)}.",
        ["", *_SHOWN_KINDS],
        [
            [RETRIEVAL[metric].title, *(shown(groups.get(group)) for group in _SHOWN_KINDS)]
            for metric, groups in scores.retrieval.items()
        ],
    )
    kinds = sorted({kind for groups in scores.retrieval.values() for kind in groups} - set(_SHOWN_KINDS))
    few = ("hit@1", "hit@5", "hit@10", "all_needed")
    yield (
        "Retrieval by kind of question",
        "",
        ["", *(RETRIEVAL[metric].title for metric in few)],
        [[kind, *(shown(scores.retrieval[metric].get(kind)) for metric in few)] for kind in kinds],
    )
    own = f" At its own threshold the assistant judges {shown(scores.claims_right)} of them rightly."
    yield from _check_table("Claims: how far the scores can be trusted", scores.claims, own)
    yield from _check_table("Sentences labelled by hand", scores.labels)


def _check_table(
    heading: str, checks: Mapping[str, CheckScores], more: str = ""
) -> Iterable[tuple[str, str, Row, list[Row]]]:
    if not checks:
        return
    names = list(checks)
    kinds = list(dict.fromkeys(kind for check in checks.values() for kind in check.by_kind))
    yield (
        heading,
        "support is the assistant's own score, judge the independent one. Thresholds come from the dev part; trust "
        f"the test part.{more}",
        ["", *names],
        [
            ["threshold", *(_plain(checks[name].threshold) for name in names)],
            *(["AUROC, " + g, *(shown(checks[name].auroc.get(g)) for name in names)] for g in _SHOWN_KINDS),
            *(
                ["balanced accuracy, " + g, *(shown(checks[name].balanced_accuracy.get(g)) for name in names)]
                for g in _SHOWN_KINDS
            ),
            *([f"right: {kind}", *(shown(checks[name].by_kind.get(kind)) for name in names)] for kind in kinds),
        ],
    )


def _made_with(scores: Scores) -> str:
    manifest = scores.manifest
    commit = f"commit {manifest.commit[:12]}" if manifest.commit else f"version {manifest.version}"
    changed = " with changes" if manifest.changed else ""
    machine = manifest.machine
    text = (
        f"{manifest.model.name}{'' if manifest.model.pinned else ' (not pinned)'}; {commit}{changed}; begun "
        f"{manifest.begun}; {machine['cores']} cores, {machine['memory_gb']} GB, {machine['processor']}."
    )
    return f"{text} The gold has changed since." if scores.gold_changed else text


def _misses(scores: Scores) -> str:
    """Every failure: what was asked, said, cited and expected."""
    if not scores.misses:
        return "<p>None.</p>"
    rows = []
    for miss in scores.misses:
        quotes = "".join(f"<li><b>{_e(title)}</b>: {_e(quote)}</li>" for title, quote in miss.quotes)
        rows.append(
            f"<tr><td>{_e(miss.question_id)}<br>{_e(miss.kind)}<br>{_e(miss.split)}</td><td>{_e(miss.question)}</td>"
            f"<td>{_e(miss.answer)}<ul>{quotes}</ul></td><td>{_e(miss.expected)}</td><td>{_e(miss.wrong)}</td></tr>"
        )
    head = "<tr><th>id</th><th>question</th><th>answer and quotes</th><th>expected</th><th>what is wrong</th></tr>"
    return f"<table class='long'>{head}{''.join(rows)}</table>"


def _disagreements(scores: Scores) -> str:
    if not scores.sentences_compared:
        return ""
    rows = "".join(
        f"<tr><td>{_e(d.question_id)}</td><td>{_e(d.text)}</td><td>{_e(' […] '.join(d.quotes))}</td>"
        f"<td>{d.support:.2f}</td><td>{d.judged:.2f}</td></tr>"
        for d in scores.disagreements
    )
    head = "<tr><th>id</th><th>sentence</th><th>quotes</th><th>support</th><th>judge</th></tr>"
    return (
        f"<h2>Where the two judges disagree</h2><p>The assistant showed {scores.sentences_compared} sentences as "
        f"supported; the judge doubts {len(scores.disagreements)} of them.</p>"
        f"<table class='long'>{head}{rows}</table>"
    )


def _table(header: Row, rows: Iterable[Row]) -> str:
    head = "".join(f"<th>{_e(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{_e(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _title(metric: str) -> str:
    better = ANSWERS[metric].better
    return f"{ANSWERS[metric].title}{' ↓' if better == 'lower' else ''}"


def _counts(system: SystemScores) -> str:
    return f"{system.asked} / {system.failures} / {system.timed_out}"


def _overall(system: SystemScores, metric: str) -> Estimate | None:
    return system.metrics.get(metric, {}).get("all")


def _seconds(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1f}"
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def _line(cells: Row) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _e(text: str) -> str:
    return html.escape(text)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: #22262e; background: #fff; max-width: 1180px; margin: 2rem auto;
  padding: 0 1.2rem; }}
h1 {{ font-size: 1.6rem; margin-bottom: .2rem; }}
h2 {{ font-size: 1.2rem; margin-top: 2.4rem; }}
h3 {{ font-size: 1rem; margin: 0 0 .4rem; }}
.made, figcaption, p {{ color: #565d69; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1.2rem; }}
figure {{ margin: 0; padding: 1rem; border: 1px solid #e3e6eb; border-radius: 10px; }}
figure svg {{ width: 100%; height: auto; }}
figcaption {{ font-size: .85rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .87rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #eceef2; }}
.long td {{ min-width: 4rem; max-width: 24rem; overflow-wrap: anywhere; }}
ul {{ margin: .3rem 0 0; padding-left: 1rem; color: #565d69; }}
pre {{ font-size: .8rem; overflow-x: auto; }}
</style>
<h1>{title}</h1>
<p class="made">{made}</p>
<div class="figures">{figures}</div>
{tables}
{disagreements}
<h2>Every failure of the assistant</h2>
{misses}
<h2>Manifest</h2>
<details><summary>What this run was made with</summary><pre>{manifest}</pre></details>
</html>
"""
