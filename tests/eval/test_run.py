import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eval.data import load_questions
from eval.manifest import Manifest
from eval.records import AnswerRecord, ClaimRecord, SearchRecord, read_records
from eval.run import QUICK_ANSWERABLE, QUICK_CLAIMS, QUICK_UNANSWERABLE, Plan, run, sample
from rag.assistant import Assistant
from rag.errors import ModelUnavailable, UsageError
from rag.settings import Settings
from tests.says import Says

EVERY = tuple(load_questions())
FEW = sorted([q for q in EVERY if q.kind in {"what-does", "unanswerable"}][:6], key=lambda q: q.split == "dev")
OFF_TOPIC = "What is the capital of France?"


def plan(*systems: str) -> Plan:
    made = Plan.of("full", list(systems))
    return replace(made, questions=FEW, claims=made.claims[:3])


def answers(folder: Path, name: str) -> list[AnswerRecord]:
    return read_records(folder / f"{name}.jsonl", AnswerRecord)


def without_seconds(folder: Path, name: str) -> list[dict[str, object]]:
    return [record.model_dump(exclude={"seconds", "peak_bytes"}) for record in answers(folder, name)]


@pytest.fixture
def saying(indexed: Settings) -> Iterator[Assistant]:
    assistant = Assistant(indexed)
    assistant.__dict__["model"] = Says("SimANS samples ambiguous negatives. It has 16 attention heads.")
    yield assistant
    assistant.close()


def test_a_run_records_every_search_claim_and_answer(saying: Assistant, tmp_path: Path) -> None:
    seen: list[tuple[str, float, float | None]] = []

    def watch(task: str, done: float = 0, total: float | None = None) -> None:
        seen.append((task, done, total))

    folder = run(saying, plan("extractive", "assistant", "plain"), tmp_path / "run", progress=watch)
    assert [r.id for r in read_records(folder / "search.jsonl", SearchRecord)] == [q.id for q in FEW]
    claims = read_records(folder / "claims.jsonl", ClaimRecord)
    assert len(claims) == 3
    assert all(claim.quotes and claim.support > 0 for claim in claims)
    for name in ("extractive", "assistant", "plain"):
        records = answers(folder, name)
        assert [record.id for record in records] == [q.id for q in FEW]
        assert all(record.error is None and (record.peak_bytes or 0) > 1e6 for record in records)
    assert ("plain: 6 to do", 6, 6) in seen


def test_unchecked_shows_what_the_assistant_dropped(saying: Assistant, tmp_path: Path) -> None:
    folder = run(saying, plan("assistant", "unchecked"), tmp_path / "run")
    drafted = [r for r in answers(folder, "assistant") if r.draft]
    unchecked = {record.id: record for record in answers(folder, "unchecked")}
    assert drafted
    for record in drafted:
        shown = unchecked[record.id]
        assert record.dropped
        assert {said.text for said in record.dropped} <= {said.text for said in shown.sentences}
        assert [said.text for said in shown.sentences] == [
            "SimANS samples ambiguous negatives.",
            "It has 16 attention heads.",
        ]
        assert all(said.support is not None and not said.quotes for said in shown.sentences)


def test_ungated_writes_where_the_assistant_refused_and_repeats_what_it_did_not(
    indexed: Settings, tmp_path: Path
) -> None:
    assistant = Assistant(indexed)
    assistant.__dict__["model"] = Says("SimANS samples ambiguous negatives.", answers=0.01)
    folder = run(assistant, plan("assistant", "ungated"), tmp_path / "run")
    refused = {record.id for record in answers(folder, "assistant") if record.refused}
    assert refused
    assert all(record.draft and not record.refused for record in answers(folder, "ungated") if record.id in refused)
    assistant.close()


def test_the_plain_system_answers_what_the_assistant_refuses_to_draft(saying: Assistant, tmp_path: Path) -> None:
    asked = replace(plan("assistant", "plain"), questions=[FEW[0].model_copy(update={"question": OFF_TOPIC})])
    folder = run(saying, asked, tmp_path / "run")
    assert answers(folder, "assistant")[0].refusal_reason == "off_topic"
    (shown,) = answers(folder, "plain")
    assert not shown.refused
    assert shown.answer.startswith("SimANS")
    assert shown.seconds.first_token is not None


def test_started_again_it_does_nothing_twice(extractive: Assistant, tmp_path: Path) -> None:
    folder = run(extractive, plan("extractive"), tmp_path / "run")
    before = (folder / "extractive.jsonl").read_bytes()
    run(extractive, plan("extractive"), folder)
    assert (folder / "extractive.jsonl").read_bytes() == before
    run(extractive, plan("extractive"), folder, fresh=True)
    assert (folder / "extractive.jsonl").read_bytes() != before  # the seconds differ


def test_a_failure_is_recorded_and_tried_again(
    extractive: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Assistant, question: str) -> None:
        raise RuntimeError("out of paper")

    with monkeypatch.context() as patch:
        patch.setattr(Assistant, "answer", fail)
        folder = run(extractive, plan("extractive"), tmp_path / "run")
    failed = answers(folder, "extractive")
    assert [(r.error.code, r.error.message) for r in failed if r.error] == [("RuntimeError", "out of paper")] * len(FEW)
    run(extractive, plan("extractive"), folder)
    assert all(record.error is None for record in answers(folder, "extractive"))


def test_a_run_of_another_make_is_neither_mixed_nor_lost(extractive: Assistant, tmp_path: Path) -> None:
    folder = run(extractive, plan("extractive"), tmp_path / "run")
    other = extractive.settings.retrieval.model_copy(update={"papers": 4})
    assistant = Assistant(extractive.settings.model_copy(update={"retrieval": other}))
    with pytest.raises(UsageError, match=r"was made with other settings_sha256: add --fresh"):
        run(assistant, plan("extractive"), folder)
    assert len(answers(folder, "extractive")) == len(FEW)
    assistant.close()


def test_a_run_is_named_after_all_that_decides_its_answers(extractive: Assistant) -> None:
    names = {Manifest.now(extractive, chosen, ("extractive",), 20).name for chosen in ("full", "full", "quick")}
    assert len(names) == 2
    manifest = Manifest.now(extractive, "full", ("extractive",), 20)
    assert manifest.model_copy(update={"prompt_sha256": "other"}).name != manifest.name
    assert manifest.model_copy(update={"begun": "later", "machine": {}}).name == manifest.name


@pytest.mark.parametrize(("name", "fresh"), [("notes.jsonl", False), ("claims.jsonl", True)])
def test_a_folder_of_other_things_is_left_alone(name: str, fresh: bool, extractive: Assistant, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="holds other files and no run"):
        run(extractive, plan("extractive"), tmp_path, fresh=fresh)
    assert (tmp_path / name).read_text() == "mine"


def test_a_further_system_joins_the_run(extractive: Assistant, saying: Assistant, tmp_path: Path) -> None:
    folder = run(saying, plan("plain"), tmp_path / "run")
    run(saying, plan("assistant"), folder)
    assert Manifest.read(folder).systems == ("assistant", "plain")


def test_an_index_of_other_papers_is_told_before_anything_is_asked(extractive: Assistant, tmp_path: Path) -> None:
    assistant = Assistant(extractive.settings)
    assistant.index.papers.pop(FEW[0].papers[0])
    with pytest.raises(UsageError, match="lacks 1 papers that the gold questions are about and holds 0 that"):
        run(assistant, plan("extractive"), tmp_path / "run")
    assistant.close()


def test_without_the_embedder_nothing_is_measured(extractive: Assistant, tmp_path: Path) -> None:
    settings = extractive.settings.model_copy(update={"cache_dir": tmp_path / "empty", "offline": True})
    with pytest.raises(ModelUnavailable, match="all-minilm-l6-v2"):
        run(Assistant(settings), plan("extractive"), tmp_path / "run")


_SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from eval.run import Plan, run
from rag.assistant import Assistant
from rag.settings import load_settings
plan = Plan.of("full", ["extractive"])
run(Assistant(load_settings(mode="extractive")), replace(plan, questions=plan.questions[:24]), Path(sys.argv[1]))
"""


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(indexed: Settings, tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _SCRIPT, str(folder)], cwd=Path(__file__).parents[2])

    killed, path = 0, tmp_path / "killed" / "extractive.jsonl"
    for reached in (1, 15):
        process = start(tmp_path / "killed")
        while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < reached):
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        with path.open("ab") as file:
            file.write(b'{"id": "a01", "answer": "torn')
    assert killed == 2
    assert start(tmp_path / "killed").wait() == 0
    assert start(tmp_path / "whole").wait() == 0
    assert len(answers(tmp_path / "killed", "extractive")) == 24
    assert without_seconds(tmp_path / "killed", "extractive") == without_seconds(tmp_path / "whole", "extractive")


def test_samples_are_spread_over_the_kinds_and_stay_the_same() -> None:
    twenty = sample(EVERY, 20)
    assert twenty == sample(list(reversed(EVERY)), 20)
    assert sorted({q.kind for q in twenty}) == sorted({q.kind for q in EVERY})
    assert max(sum(q.kind == kind for q in twenty) for kind in {q.kind for q in EVERY}) == 2


def test_the_quick_set_is_what_it_says() -> None:
    quick = Plan.of("quick")
    assert len(quick.questions) == len(EVERY)
    assert len(quick.claims) == QUICK_CLAIMS
    kinds = [q.kind == "unanswerable" for q in quick.asked("assistant")]
    assert (kinds.count(False), kinds.count(True)) == (QUICK_ANSWERABLE, QUICK_UNANSWERABLE)
    assert "starter" not in quick.systems
    with pytest.raises(UsageError, match="There is no system 'oracle'"):
        Plan.of("full", ["oracle"])


def test_the_manifest_pins_what_answers_depend_on(extractive: Assistant, tmp_path: Path) -> None:
    run(extractive, plan("extractive"), tmp_path)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["model"]["sha256"] == "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    assert written["machine"]["cores"] == os.cpu_count()
    assert {"prompt_sha256", "index_sha256", "settings", "code_sha256", "gold_sha256", "packages"} <= written.keys()
