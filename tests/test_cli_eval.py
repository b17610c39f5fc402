"""``rag eval`` as a user types it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import eval.run
from eval.run import Plan, sample
from rag.assistant import Assistant
from rag.settings import Settings
from tests.command import Run, is_one_error
from tests.says import Says


@pytest.fixture(scope="module")
def made(indexed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    assistant = Assistant(indexed)
    assistant.__dict__["model"] = Says("PDS selects data by solving the PMP conditions.")
    plan = Plan.of("quick", ["assistant"])
    plan = replace(plan, questions=sample(plan.questions, 12), claims=plan.claims[:8])
    yield eval.run.run(assistant, plan, tmp_path_factory.mktemp("evaluated") / "quick-1")
    assistant.close()


def test_a_run_is_scored_reported_and_gated(made: Path, run: Run, tmp_path: Path) -> None:
    scores = json.loads(run("eval", "score", "--run", str(made), "--json").out)
    assert scores["systems"]["assistant"]["asked"] == 11
    report = run("eval", "report", "--run", str(made))
    assert report.status == 0
    assert "## Retrieval" in report.out
    assert (made / "report.html").exists()
    baseline = str(tmp_path / "baseline.json")
    assert run("eval", "gate", "--run", str(made), "--baseline", baseline, "--save").status == 0
    gated = run("eval", "gate", "--run", str(made), "--baseline", baseline)
    assert (gated.status, "LOST" in gated.out) == (0, False)
    assert "against the baseline begun" in gated.out


def test_a_loss_ends_with_status_1_and_names_it(made: Path, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    run("eval", "gate", "--run", str(made), "--baseline", str(path), "--save")
    stored = json.loads(path.read_text())
    answered = stored["quick"]["shares"]["failures"]
    stored["quick"]["shares"]["failures"] = {id_: [-1, 1] for id_ in answered}  # better than anything can be
    path.write_text(json.dumps(stored))
    gated = run("eval", "gate", "--run", str(made), "--baseline", str(path))
    assert gated.status == 1
    assert "Worse than the baseline beyond its interval: failures." in gated.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--system", "oracle"], "There is no system 'oracle'"),
        (["score"], "There is no full run in"),
        (["gate", "--quick"], "There is no quick run in"),
        (["report", "--run", "nowhere"], "There is no run in nowhere"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments: list[str], words: str, run: Run) -> None:
    result = run("eval", *arguments)
    assert result.status == 2
    assert is_one_error(result)
    assert words in result.err


def test_without_the_extra_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr("rag.cli_eval.load_evaluation", missing)
    result = run("eval", "score")
    assert result.status == 2
    assert "needs matplotlib, which is not installed: type `pip install 'papertrail[eval]'`" in result.err
