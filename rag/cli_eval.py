"""``rag eval``: run, score, report, gate, coverage, retrieval. Thin: the work is in ``eval/``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from rag.cli_shared import Llm, LlmModel, Model, examples, load_settings, opened, terminal
from rag.errors import UsageError
from rag.resources import load_evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from pydantic import BaseModel

    from rag.settings import Settings

LOST = 1
_NEEDED = (
    "Stemmer",
    "llama_index.embeddings.huggingface",
    "llama_index.llms.huggingface",
    "matplotlib",
    "psutil",
    "scipy",
    "sklearn",
)

app = typer.Typer(
    name="eval",
    no_args_is_help=True,
    help="Measure answers against gold questions: run, then score, report, gate.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Quick = Annotated[
    bool, typer.Option("--quick", help="The quick set: all of retrieval, 36 claims, 15 questions to the assistant.")
]
Run = Annotated[
    Optional[Path], typer.Option("--run", metavar="FOLDER", help="The run; by default the set's latest one.")
]


@app.command(epilog=examples("rag eval run --quick", "rag eval run", "rag eval run --system assistant --system plain"))
def run(
    quick: Quick = False,
    folder: Annotated[
        Optional[Path], typer.Option("--run", metavar="FOLDER", help="Where the run is kept; has a good default.")
    ] = None,
    system: Annotated[
        Optional[list[str]], typer.Option("--system", "-s", help="Only this system; may be repeated.")
    ] = None,
    sample: Annotated[
        Optional[int], typer.Option("--sample", min=1, help="How many questions the slow baselines are asked.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, even if it was made before.")] = False,
    model: Model = None,
    llm: Llm = None,
    llm_model: LlmModel = None,
) -> int:
    """Ask the gold questions and record every answer. Started again, it goes on where it was."""
    module = _evaluation("run")
    plan = module.Plan.of("quick" if quick else "full", system, sample or module.SAMPLE)
    with opened(load_settings(model=model, llm=llm, llm_model=llm_model, mode="generated")) as assistant:
        made = module.run(assistant, plan, folder, fresh=fresh, progress=terminal.progress)
    terminal.done()
    terminal.out(str(made))
    return 0


@app.command(epilog=examples("rag eval score", "rag eval score --json | jq .systems.assistant.metrics.correct.test"))
def score(
    quick: Quick = False,
    folder: Run = None,
    json_: Annotated[bool, typer.Option("--json", help="Print all scores as JSON.")] = False,
) -> int:
    """Score a run anew, without the model."""
    scores = _evaluation("score").score(_run_folder(load_settings(), quick, folder))
    terminal.out(scores.model_dump_json(indent=1) if json_ else _evaluation("report").as_markdown(scores))
    return 0


@app.command(epilog=examples("rag eval report", "rag eval report --quick"))
def report(quick: Quick = False, folder: Run = None) -> int:
    """Print the scores and write the HTML report, with pictures and every failure."""
    run_folder = _run_folder(load_settings(), quick, folder)
    module = _evaluation("report")
    scores = _evaluation("score").score(run_folder)
    terminal.out(module.as_markdown(scores))
    terminal.note(f"The report with pictures: {module.write_html(scores, run_folder).resolve().as_uri()}")
    return 0


@app.command(epilog=examples("rag eval gate --quick", "rag eval gate --save"))
def gate(
    quick: Quick = False,
    folder: Run = None,
    baseline: Annotated[
        Optional[Path], typer.Option("--baseline", metavar="FILE", help="By default the one that ships.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Make this run the baseline of its set.")] = False,
) -> int:
    """Compare a run with the stored baseline; exit status 1 only if something is really lost."""
    module = _evaluation("gate")
    path = baseline or module.BASELINE
    scores = _evaluation("score").score(_run_folder(load_settings(), quick, folder))
    if save:
        module.save_baseline(scores, path)
        terminal.out(f"The {scores.manifest.set} baseline is now the run begun {scores.manifest.begun}.")
        return 0
    stored = module.read_baseline(scores.manifest.set, path)
    verdicts = module.compare(scores, stored)
    terminal.out(f"The run begun {scores.manifest.begun} against the baseline begun {stored.manifest.begun}:")
    if stored.scoring_sha256 != module.scoring_sha256():
        terminal.note("Gold or scoring have changed since the baseline was stored: store it anew with `--save`.")
    shown = _evaluation("report").shown
    for verdict in verdicts:
        said = "LOST" if verdict.lost else "ok" if verdict.change.low is not None else "can't tell"
        terminal.out(f"{said:10} {verdict.metric:18} {shown(verdict.change)}")
    lost = [verdict.metric for verdict in verdicts if verdict.lost]
    if lost:
        terminal.error(f"Worse than the baseline beyond its interval: {', '.join(lost)}.")
    return LOST if lost else 0


@app.command(epilog=examples("rag eval coverage", "rag eval coverage --json | jq '.[] | select(.cited | not) | .name'"))
def coverage(
    folder: Annotated[
        Optional[Path], typer.Option("--run", metavar="FOLDER", help="Where the answers are kept.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> int:
    """Ask what each named system does; show whether its paper was cited and every sentence supported."""
    module = _evaluation("coverage")
    settings = load_settings(mode="generated")
    with opened(settings) as assistant:
        rows = module.covered(assistant, folder, progress=terminal.progress)
    _show(rows, module, json_)
    return 0


@app.command(
    epilog=examples(
        "rag eval retrieval", "rag eval retrieval --reread", "rag eval retrieval --json | jq '.[1].variants | keys'"
    )
)
def retrieval(
    reread: Annotated[
        bool, typer.Option("--reread", help="Measure the model's second look too: half an hour or more, not minutes.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print all scores as JSON.")] = False,
) -> int:
    """Search for the benchmark's queries in every way that was considered, side by side."""
    module = _evaluation("retrieval")
    with opened(load_settings(mode="auto" if reread else "extractive")) as assistant:
        parts = module.benchmark(assistant, module.cases(), reread=reread, progress=terminal.progress)
    _show(parts, module, json_)
    return 0


def _show(rows: Sequence[BaseModel], module: ModuleType | Any, as_json: bool) -> None:
    """Print what was measured: as JSON, or as the module's own tables."""
    terminal.done()
    if as_json:
        import json

        terminal.out(json.dumps([row.model_dump() for row in rows], ensure_ascii=False, indent=1))
    else:
        terminal.out(module.as_markdown(rows))


def _evaluation(name: str) -> ModuleType | Any:
    """A module of ``eval/``. :raises UsageError: if what it needs isn't installed."""
    try:
        for needed in _NEEDED:  # told at once, and not after an hour
            if importlib.util.find_spec(needed) is None:
                raise ModuleNotFoundError(name=needed)
        return load_evaluation(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The evaluation needs {error.name}, which is not installed: type `pip install 'papertrail[eval]'`."
        ) from error


def _run_folder(settings: Settings, quick: bool, folder: Path | None) -> Path:
    found: Path = folder or _evaluation("score").latest_run(settings.eval_dir, "quick" if quick else "full")
    return found
