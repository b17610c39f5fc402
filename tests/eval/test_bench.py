"""The machinery of the bench with small real parts. How long anything takes is no test's business."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import rag.answering
from eval import bench as module
from eval.bench import COLD_QUESTIONS, Plan, Rows, bench, makers, measure, mixed, same_weights
from eval.bench_plot import write_png
from eval.bench_report import as_markdown
from eval.data import Question, load_questions
from eval.drafts import NOT_SO, asked, drafts
from eval.manifest import Manifest
from eval.peers import Cold, Command, LlamaCpp, Plain, StarterPeer, Warm
from eval.process import measured
from eval.scenes import AGAIN, FIRST, NEXT, ROW, TOGETHER, eight, follow_up, memory
from eval.timing import COMPARISONS, Bench, Timed, compared, stages, summary
from eval.transformer import Transformer
from rag.answers import Seconds
from rag.assistant import Assistant
from rag.errors import UsageError
from rag.settings import Settings
from tests.says import Says

DRAFT = "SimANS samples ambiguous negatives near the positives."
GOLD = {question.id: question for question in load_questions()}
ONE = GOLD["a01"]  # what SimANS does


@pytest.fixture
def says() -> Says:
    return Says(DRAFT)


@pytest.fixture
def assistant(indexed: Settings, says: Says) -> Iterator[Assistant]:
    made = Assistant(indexed.model_copy(update={"mode": "generated"}))
    made.__dict__["model"] = says
    yield made
    made.close()


@pytest.fixture
def tiny(indexed: Settings, tiny_model: Path) -> Transformer:
    brief = indexed.generation.model_copy(update={"max_tokens": 16})
    return Transformer(indexed.model_copy(update={"model": str(tiny_model), "generation": brief}))


def rows_of(system: str, *totals: float, first: float | None = None, **more: Any) -> list[Timed]:
    return [Timed(id=f"q{i}", system=system, total=t, first=first or t, **more) for i, t in enumerate(totals)]


# What is asked -----------------------------------------------------------------------------------------


def test_questions_are_mixed_and_stay_the_same() -> None:
    twenty = mixed(20)
    assert twenty == mixed(20)
    assert len({question.id for question in twenty}) == 20
    assert all(question.split == "dev" for question in twenty)
    assert len({question.kind for question in twenty}) == len({question.kind for question in GOLD.values()})
    assert sum(not question.papers for question in twenty) == 3  # as 23 of 133


def test_every_system_is_warmed_up_with_a_question_that_does_not_count() -> None:
    plan = Plan.of(20)
    assert plan.warm_up not in plan.questions
    assert len(plan.asked("cold")) == COLD_QUESTIONS
    assert plan.asked("starter") == plan.questions
    with pytest.raises(UsageError, match="no 'oracle' to measure: use assistant"):
        Plan.of(20, ["oracle"])


# What the assistant asked its model --------------------------------------------------------------------


class Noting(Says):
    """Notes the conversations about papers that it goes on with, and how they begin its reply."""

    def __init__(self, *drafts: str, **beliefs: Any):
        super().__init__(*drafts, **beliefs)
        self.given: list[tuple[list[dict[str, str]], str]] = []

    def stream(self, messages: Any, *given: Any, begin: str = "", **named: Any) -> Iterator[str]:
        if messages[-1]["content"].startswith("Paper: "):
            self.given.append((list(messages), begin))
        return super().stream(messages, *given, begin=begin, **named)


@pytest.mark.parametrize(
    "id_", [q.id for q in GOLD.values() if q.split == "dev" and q.kind in ("what-does", "how", "compare")][::3]
)
def test_a_peer_is_given_the_prompts_that_the_assistant_gave(assistant: Assistant, id_: str) -> None:
    model = assistant.__dict__["model"] = Noting(" samples negatives near the positives.\nOthers don't.")
    answer = assistant.answer(GOLD[id_].question)
    made = drafts(answer, assistant)
    assert made
    assert [(draft.messages, draft.begin) for draft in made] == model.given
    assert "\n".join(draft.begin + draft.text for draft in made) == answer.draft
    assert asked(answer, assistant) == made[0]


def test_a_correction_is_known_by_how_it_begins(assistant: Assistant) -> None:
    assert NOT_SO == rag.answering._NOT_SO
    answer = assistant.answer(ONE.question).model_copy(update={"draft": f"{NOT_SO} it samples."})
    (draft,) = drafts(answer, assistant)
    assert (draft.begin, draft.text) == (NOT_SO, " it samples.")
    assert "contradicts" in draft.messages[-1]["content"]


def test_where_nothing_was_drafted_a_peer_is_asked_about_the_nearest_paper(assistant: Assistant) -> None:
    assistant.__dict__["model"] = Says(answers=0.01)
    answer = assistant.answer(ONE.question)
    assert answer.refused
    assert drafts(answer, assistant) == []
    assert f"Question: {ONE.question}" in asked(answer, assistant).messages[-1]["content"]


# The systems -------------------------------------------------------------------------------------------


def test_the_assistant_is_timed_by_its_events_and_its_own_clock(assistant: Assistant) -> None:
    row = Warm(assistant)(ONE)
    assert row.total is not None
    assert row.first is not None
    assert 0 < row.first < row.total
    assert row.refused is False
    assert sum(row.stages.values()) == pytest.approx(row.total, rel=0.2)


def test_transformers_writes_to_the_assistants_prompt(assistant: Assistant, tiny: Transformer) -> None:
    brief = assistant.settings.generation.model_copy(update={"max_tokens": 16})
    assistant.settings = assistant.settings.model_copy(update={"generation": brief})
    row = Plain(Warm(assistant), tiny)(ONE)
    assert row.first is not None
    assert row.total is not None
    assert 0 < row.first <= row.total
    assert 1 <= (row.new_tokens or 0) <= 16
    assert (row.prompt_tokens or 0) > 100
    assert list(row.stages) == ["search", "read", "write"]


def test_what_shares_a_transformer_shares_its_weights(assistant: Assistant, tiny: Transformer) -> None:
    plain, starter = Plain(Warm(assistant), tiny), StarterPeer(assistant, tiny)
    assert plain._transformer.model is starter._starter._transformer.model


def test_llama_cpp_writes_exactly_as_many_tokens(
    assistant: Assistant, tiny: Transformer, tiny_spec: tuple[Any, Path]
) -> None:
    pytest.importorskip("llama_cpp")
    spec, folder = tiny_spec
    warm = Warm(assistant)
    system = LlamaCpp(warm, tiny, folder / spec.weights)
    row = system(ONE)
    assert row.new_tokens == len(tiny.tokens(DRAFT))
    assert list(row.stages) == ["read", "write"]
    assistant.__dict__.pop("_tools")
    assistant.__dict__["model"] = Says(answers=0.01)
    assert system(GOLD["a03"]).skipped == "the assistant drafted nothing"


def test_a_cold_question_is_a_process_of_its_own(extractive: Assistant, tmp_path: Path) -> None:
    command = Command(extractive.settings, tmp_path)
    row = Cold(command)(ONE)
    assert (row.total or 0) > 0.5
    assert (row.peak_bytes or 0) > 1e8
    assert (tmp_path / "data" / "conversation.json").is_file()  # it kept to the home that it was given


def test_a_process_has_its_own_peak_and_not_that_of_who_started_it() -> None:
    held = bytearray(300_000_000)
    took = measured([sys.executable, "-S", "-c", "import sys; sys.stderr.write('no'); sys.exit(4)"], {})
    assert took.peak_bytes < 100e6 < len(held)
    assert (took.status, took.told) == (4, "no")


def test_the_gguf_must_be_that_of_the_model(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "not installed" in same_weights(settings, None)[1]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found("json" if name == "llama_cpp" else name))
    assert same_weights(settings, None) == (
        None,
        "no GGUF file: name the one of the model that is set with --gguf FILE",
    )
    other = tmp_path / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    with pytest.raises(UsageError, match="There is no file"):
        same_weights(settings, other)
    other.write_bytes(b"GGUF")
    with pytest.raises(UsageError, match="is not the file that"):
        same_weights(settings, other)
    with pytest.raises(UsageError, match="is not the file that"):  # found without being named
        same_weights(settings.model_copy(update={"weights_dir": tmp_path}), None)


# The scenes --------------------------------------------------------------------------------------------


def test_eight_are_asked_in_a_row_and_at_once(assistant: Assistant) -> None:
    questions = [ONE, GOLD["a03"], GOLD["a05"]]
    with ThreadPoolExecutor(1) as pool:  # Playwright keeps a loop running in the main thread
        rows = pool.submit(eight, assistant, questions).result()
    assert [row.system for row in rows] == [ROW] * 3 + [TOGETHER] * 3 + [AGAIN] * 3
    assert [row.id for row in rows] == [question.id for question in questions] * 3
    assert all(row.first and row.total and row.first <= row.total for row in rows)


def test_a_follow_up_is_about_the_same_paper(assistant: Assistant, says: Says) -> None:
    rows = follow_up(assistant, [ONE])
    assert [(row.system, row.id) for row in rows] == [(FIRST, "a01"), (NEXT, "a01")]
    assert any("main results" in prompt for prompt in says.asked)


def test_memory_names_the_models_that_were_not_fetched(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"cache_dir": tmp_path})
    rows = memory(bare, Command(bare, tmp_path), [ONE])
    assert [row.skipped.split(":")[0] for row in rows] == ["not fetched", "not fetched"]


# A run -------------------------------------------------------------------------------------------------


class Counting:
    """Takes no time to speak of; breaks where it is told to."""

    def __init__(self, name: str, breaks: str = ""):
        self.name, self.breaks, self.log = name, breaks, list[str]()

    def __call__(self, question: Question) -> Timed:
        self.log.append(question.id)
        if question.id == self.breaks:
            raise RuntimeError("out of paper")
        return Timed(id=question.id, total=2.0, first=1.0)


def test_for_each_question_every_system_is_asked_in_turn(tmp_path: Path) -> None:
    plan = Plan.of(3, ["assistant", "starter"])
    rows = Rows(tmp_path / "rows.jsonl")
    both = {name: Counting(name) for name in plan.names}
    measure(plan, {name: lambda name=name: both[name] for name in both}, {}, rows, lambda *_: None)
    ids = [question.id for question in plan.questions]
    assert [(row.system, row.id) for row in rows.all] == [(name, id_) for id_ in ids for name in plan.names]
    assert all(system.log == [plan.warm_up.id, *ids] for system in both.values())


def test_going_on_measures_only_what_is_missing(tmp_path: Path) -> None:
    plan = Plan.of(3, ["assistant", "eight"])
    second = plan.questions[1].id
    system, path = Counting("assistant", breaks=second), tmp_path / "rows.jsonl"
    measure(plan, {"assistant": lambda: system}, {}, Rows(path), lambda *_: None)
    with path.open("a") as file:
        file.write('{"id": "torn')
    again, played = Counting("assistant"), []
    scene = {"eight": lambda: played.append(1) or rows_of(TOGETHER, 1.0)}
    for _ in range(2):
        measure(plan, {"assistant": lambda: again}, scene, Rows(path), lambda *_: None)
    assert again.log == [plan.warm_up.id, second]
    assert played == [1]
    assert len(Rows(path).all) == 4


def test_a_run_leaves_json_tables_and_a_picture(assistant: Assistant, tmp_path: Path) -> None:
    made = bench(assistant, Plan.of(2, ["assistant", "llama.cpp"]), tmp_path, None, lambda *_: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md", "bench.png"]
    read = Bench.model_validate_json((tmp_path / "bench.json").read_text())
    assert read == made
    assert made.systems["assistant"].questions == 2
    assert "llama.cpp was left out" in (tmp_path / "bench.md").read_text()
    assert "torch" in json.loads((tmp_path / "bench.json").read_text())["manifest"]["packages"]


def test_a_run_goes_on_only_with_the_same_code_on_the_same_machine(
    assistant: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, folder = Plan.of(2, ["assistant"]), tmp_path / "unfinished"
    logs: list[list[str]] = []

    def stopped() -> Bench:
        system = Counting("assistant", breaks=plan.questions[0].id)
        monkeypatch.setattr(module, "makers", lambda *_: {"assistant": lambda: system})
        made = bench(assistant, plan, tmp_path, None, lambda *_: None)
        logs.append(system.log)
        return made

    first = stopped()
    assert "failed at" in as_markdown(first)
    assert folder.is_dir()  # kept, because something failed
    stopped()
    manifest = Manifest.read(folder)
    manifest.model_copy(update={"prompt_sha256": "other"}).write(folder)
    stopped()
    assert [len(log) for log in logs] == [3, 2, 3]


def test_all_systems_can_be_made(assistant: Assistant, tmp_path: Path) -> None:
    made = makers(assistant, Command(assistant.settings, tmp_path), tmp_path / "some.gguf")
    assert {name: make().name for name, make in made.items()} == {name: name for name in module.SYSTEMS}


# What it comes to --------------------------------------------------------------------------------------


def test_ratios_are_of_questions_that_both_were_asked() -> None:
    comparison = next(c for c in COMPARISONS if c.longer == ("starter", "total") and c.shorter[1] == "total")
    rows = [*rows_of("assistant", 2, 4, 8), *rows_of("starter", 20, 60)]
    ratio = compared(rows, comparison)
    assert (ratio.estimate.value, ratio.estimate.n) == (12.5, 2)
    assert (ratio.estimate.low, ratio.estimate.high) == (10, 15)
    assert ratio.reached is True
    assert compared(rows[:3], comparison).reached is None


def test_a_summary_holds_median_percentile_and_shares() -> None:
    made = summary(rows_of("assistant", 1, 2, 9, first=0.5, stages={"search": 1.0, "write": 3.0}, peak_bytes=7))
    assert made.total.value == 2
    assert made.total_p95.value == pytest.approx(8.3)
    assert made.shares == {"search": 0.25, "write": 0.75}
    assert made.stages == {"search": 1.0, "write": 3.0}
    assert (made.first.value, made.peak_bytes) == (0.5, 7)


def test_stages_add_up_to_the_whole() -> None:
    drafted = Seconds(retrieve=1, reread=2, first_token=5, generate=6, ground=1, total=10.5)
    parts = {"search": 1.0, "reread": 2.0, "read": 2.0, "write": 4.0, "check": 1.0, "rest": 0.5}
    assert stages(drafted) == parts
    refused = Seconds(retrieve=1, generate=3, total=4)
    assert stages(refused)["read"] == 3


def every_kind(manifest: Manifest) -> Bench:
    split = {"search": 0.5, "read": 2.0, "write": 1.0, "check": 0.5}
    rows = [
        *rows_of("assistant", 4, 5, 6, first=2.5, stages=split),
        *rows_of("starter", 50, 60, 55),
        *rows_of("cold", 9, 10, peak_bytes=4_200_000_000),
        *rows_of("llama.cpp", 12, 13),
        Timed(id="q2", system="llama.cpp", skipped="the assistant drafted nothing"),
        *(row for name in (ROW, TOGETHER, AGAIN) for row in rows_of(name, 4, 8)),
        *rows_of(FIRST, 4),
        *rows_of(NEXT, 3),
        *rows_of("memory: some-model", 9, peak_bytes=4_000_000_000),
        Timed(id="", system="memory: other-model", skipped="not fetched"),
    ]
    return Bench.of(rows, manifest, {"llama-cpp-python": "0.3"}, {})


def test_the_report_begins_with_ratios(assistant: Assistant) -> None:
    text = as_markdown(every_kind(Manifest.now(assistant, "speed", (), 3)))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert [heading[3:] for heading in headings] == [
        *("Ratios", "Seconds", "Where the seconds go", "2 at once", "A follow-up", "Memory", "Left out")
    ]
    assert "| whole answer: starter / assistant | 12.0 [9.17, 12.5] | 3 | ≥ 10 | yes |" in text
    assert "at once takes 0.67 times as long" in text
    assert "| cold | 2 | 9.50 [9.00, 10.0] | 9.95 | 9.50 | 9.95 | 4.20 |" in text
    assert "llama.cpp was not asked 1 questions" in text


def test_the_picture_is_drawn_of_whatever_was_measured(assistant: Assistant, tmp_path: Path) -> None:
    whole = every_kind(Manifest.now(assistant, "speed", (), 3))
    write_png(whole, tmp_path / "whole.png")
    write_png(Bench.of(rows_of("starter", 5), whole.manifest, {}, {}), tmp_path / "one.png")
    for name in ("whole.png", "one.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
