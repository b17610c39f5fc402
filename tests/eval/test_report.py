"""The report and the gate, over a small run of a real index with a model that says the same of everything."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from eval.data import load_questions
from eval.gate import Baseline, compare, read_baseline, save_baseline
from eval.intervals import Estimate
from eval.records import AnswerRecord, read_records, write_records
from eval.report import as_html, as_markdown, shown, write_html
from eval.run import Plan, run, sample
from eval.score import SCORES, latest_run, score
from eval.scores import Scores
from rag.assistant import Assistant
from rag.errors import UsageError
from rag.settings import Settings
from tests.says import Says

DRAFT = "PDS selects data by solving the PMP conditions. It has 16 attention heads."
HOSTILE = "<script>alert(1)</script> & <b>bold</b> | pipe"


@pytest.fixture(scope="module")
def folder(indexed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    assistant = Assistant(indexed)
    assistant.__dict__["model"] = Says(DRAFT)
    plan = Plan.of("full", ["extractive", "assistant", "plain"])
    plan = replace(plan, questions=sample(plan.questions, 20), claims=sample(plan.claims, 18))
    yield run(assistant, plan, tmp_path_factory.mktemp("runs") / "full-1")
    assistant.close()


@pytest.fixture(scope="module")
def scores(folder: Path) -> Scores:
    return score(folder)


class Sources(HTMLParser):
    """What a page would load, and the scripts in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]


def parsed(page: str) -> Sources:
    sources = Sources()
    sources.feed(page)
    return sources


def test_the_page_needs_nothing_else(scores: Scores, folder: Path) -> None:
    path = write_html(scores, folder)
    page = parsed(path.read_text(encoding="utf-8"))
    assert not [link for link in page.loaded if not link.startswith("#")]
    assert "script" not in page.tags
    assert page.tags.count("svg") == 6  # the seventh needs answers that are trusted more or less
    assert not re.search(r"url\((?!#)|@import", path.read_text(encoding="utf-8"))


def test_every_failure_is_on_the_page(scores: Scores) -> None:
    page = as_html(scores)
    assert scores.misses
    for miss in scores.misses:
        assert f"<td>{miss.question_id}<br>" in page


def test_what_people_and_models_write_is_shown_as_text(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "full-2"
    other.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    records = read_records(other / "assistant.jsonl", AnswerRecord)
    hostile = [
        r.model_copy(
            update={"answer": HOSTILE, "sentences": tuple(s.model_copy(update={"text": HOSTILE}) for s in r.sentences)}
        )
        for r in records
    ]
    write_records(other / "assistant.jsonl", hostile)
    page = as_html(score(other))
    assert "&lt;script&gt;alert(1)" in page
    assert "script" not in parsed(page).tags


def test_the_tables_say_how_many_and_how_sure(scores: Scores) -> None:
    text = as_markdown(scores)
    assert "| asked / failures / time-outs | 20 / 0 / 0 | 20 / 0 / 0 | 20 / 0 / 0 |" in text
    for heading in ("## Systems", "## What the assistant adds", "## Retrieval", "## Claims"):
        assert heading in text
    assert f"the judge doubts {len(scores.disagreements)} of them" in text
    row = next(line for line in text.splitlines() if line.startswith("| hit@1 "))
    assert re.search(r"[1.][.\d]\d+ \[[1.][.\d]\d+, [1.]", row)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(value=0.5, low=0.25, high=1.0, n=4), ".50 [.25, 1.00] (n=4)"),
        (Estimate(value=-0.125, low=-0.5, high=0.0, n=4), "-.12 [-.50, .00] (n=4)"),
        (Estimate(value=0.0, n=1), ".00 (n=1)"),
        (Estimate(), "-"),
        (None, "-"),
    ],
)
def test_estimates_are_shown_with_their_intervals(estimate: Estimate | None, text: str) -> None:
    assert shown(estimate) == text


def test_scores_are_kept_beside_the_run_and_repeat(folder: Path, scores: Scores) -> None:
    assert Scores.model_validate_json((folder / SCORES).read_text()) == scores
    assert score(folder) == scores


def test_the_disagreements_are_among_the_shown_sentences(folder: Path, scores: Scores) -> None:
    said = {s.text for r in read_records(folder / "assistant.jsonl", AnswerRecord) for s in r.sentences}
    assert {d.text for d in scores.disagreements} <= said
    assert scores.sentences_compared >= len(scores.disagreements)


def test_a_baseline_is_stored_by_set_and_compared_in_pairs(scores: Scores, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    save_baseline(scores, path)
    quick = scores.model_copy(update={"manifest": scores.manifest.model_copy(update={"set": "quick"})})
    save_baseline(quick, path)
    baseline = read_baseline("full", path)
    assert read_baseline("quick", path).manifest.set == "quick"
    verdicts = compare(scores, baseline)
    assert {v.metric for v in verdicts} >= {"hit@1", "mrr", "correct", "faithful", "right_refusals"}
    assert not any(v.lost for v in verdicts)
    assert all(v.change.value == 0 for v in verdicts if v.change.value is not None)


def test_a_small_loss_is_a_loss_for_the_full_set_and_noise_for_the_quick_one(scores: Scores) -> None:
    ids = [q.id for q in load_questions()[:100]]
    before = {"correct": dict.fromkeys(ids, (1.0, 1.0)), "false_answers": dict.fromkeys(ids, (0.0, 1.0))}
    now = {
        "correct": {id_: (float(i >= 12), 1.0) for i, id_ in enumerate(ids)},
        "false_answers": {id_: (float(i < 12), 1.0) for i, id_ in enumerate(ids)},
    }
    for chosen, expected in (("full", True), ("quick", False)):
        manifest = scores.manifest.model_copy(update={"set": chosen})
        ours = scores.model_copy(update={"manifest": manifest, "shares": now})
        verdicts = compare(ours, Baseline(manifest=manifest, scoring_sha256="", shares=before))
        assert [v.lost for v in verdicts] == [expected, expected]
        # A gain is none, and one question proves nothing.
        theirs = scores.model_copy(update={"manifest": manifest, "shares": before})
        assert not any(v.lost for v in compare(theirs, Baseline(manifest=manifest, scoring_sha256="", shares=now)))
        one = {metric: {ids[0]: shares[ids[0]]} for metric, shares in now.items()}
        single = scores.model_copy(update={"manifest": manifest, "shares": one})
        assert not any(v.lost for v in compare(single, Baseline(manifest=manifest, scoring_sha256="", shares=before)))


def test_a_missing_or_broken_baseline_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no baseline of the quick set"):
        read_baseline("quick", tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UsageError, match="can't be read as JSON"):
        read_baseline("quick", tmp_path / "broken.json")


def test_the_latest_run_of_a_set_is_found(folder: Path) -> None:
    assert latest_run(folder.parent, "full") == folder
    with pytest.raises(UsageError, match="There is no quick run in"):
        latest_run(folder.parent, "quick")
