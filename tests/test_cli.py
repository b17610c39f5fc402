import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rag
from rag.cli import main
from rag.settings import Settings
from tests.command import Run, is_one_error

ROOT = Path(__file__).parent.parent
RAG = [sys.executable, "-c", "from rag.cli import main; main()"]


def test_an_answer_prints_its_text_the_titles_and_the_quotes(run: Run) -> None:
    result = run("ask", "What does PDS do?")
    assert result.status == 0
    assert "[1]" in result.out.splitlines()[0]
    assert "[1] Data Selection via Optimal Control for Language Models" in result.out
    assert "https://arxiv.org/abs/2410.07064" in result.out
    assert "no model wrote this" in result.out
    assert "“" in result.out


def test_a_refusal_has_its_own_exit_status_and_offers_papers(run: Run) -> None:
    result = run("ask", "What is the capital of France?")
    assert result.status == 3
    assert result.out.startswith("The indexed papers don't say")
    assert "Nearest papers:" in result.out


def test_json_is_the_only_thing_on_standard_output(run: Run) -> None:
    answer = json.loads(run("ask", "--json", "What does PDS do?").out)
    assert (answer["refused"], answer["citations"][0]["n"]) == (False, 1)
    found = json.loads(run("search", "--json", "-n", "2", "mixture of experts").out)
    assert set(found) >= {"id", "question", "confidence", "passages"}
    assert len({passage["paper_id"] for passage in found["passages"]}) == 2


def test_search_shows_why(run: Run) -> None:
    result = run("search", "What does PDS do?")
    assert result.status == 0
    assert "dense #1, tokens #1, lexical #1, names: PDS" in result.out


def test_a_follow_up_leans_on_the_last_question(run: Run) -> None:
    run("ask", "What does PDS do?")
    result = run("ask", "-c", "And how much does it speed up?")
    assert result.out.startswith("Understood as: ")
    assert "[1] Data Selection via Optimal Control for Language Models" in result.out
    alone = run("ask", "--json", "-c", "What does GRIN do?")
    assert json.loads(alone.out)["understood"] is None


def test_a_conversation_begins_anew_without_continue(run: Run) -> None:
    run("ask", "What does PDS do?")
    run("ask", "What does GRIN do?")
    assert "GRIN" in json.loads(run("ask", "--json", "-c", "And how big is it?").out)["understood"]


def test_papers_are_listed_filtered_and_shown(run: Run) -> None:
    every = json.loads(run("papers", "--json").out)
    assert len(every) == 255
    assert all(paper["abstract"] and paper["title"] and paper["sources"] for paper in every)
    listed = run("papers", "--author", "Zhendong Wang", "--since", "2023")
    assert "Patch Diffusion" in listed.out
    assert "Diffusion-GAN" not in listed.out  # of 2022
    listed = run("papers", "--author", "Zhendong Wang", "--until", "2022")
    assert "Diffusion-GAN" in listed.out
    assert "Patch Diffusion" not in listed.out
    shown = run("papers", every[100]["paper_id"][:8])
    assert every[100]["title"] in shown.out
    assert "seeds/" in shown.out
    assert run("papers", "--author", "Nobody Atall").status == 3


def test_undated_papers_that_a_filter_leaves_out_are_counted(run: Run) -> None:
    assert "191 papers without a date were left out." in run("papers", "--since", "2020").err


def test_ingest_twice_changes_nothing(run: Run) -> None:
    assert run("ingest").out == "255 papers: 0 added, 0 replaced, 0 removed, 255 unchanged.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", ""],
        ["ask"],
        ["ask", "-c", "--input", "-"],
        ["check"],
        ["check", ""],
        ["check", "--paper", "zzzzzzzz", "It is free."],
        ["ask", "x" * 100_000],
        ["ask", "bell \x07"],
        ["ask", "--mode", "psychic", "What is GRIN?"],
        ["ask", "--since", "soon", "What is GRIN?"],
        ["ask", "--since", "2024", "--until", "2023", "What is GRIN?"],
        ["ask", "--paper", "nope", "What is GRIN?"],
        ["ask", "--input", "/nowhere.jsonl"],
        ["ask", "--input", "x.jsonl", "What is GRIN?"],
        ["ask", "--output", "x.jsonl", "What is GRIN?"],
        ["search", "--input", "x.jsonl", "--output", "./x.jsonl"],
        ["papers", "nope"],
        ["models", "pull", "nope"],
        ["ingest", "/nowhere"],
    ],
)
def test_bad_usage_is_one_sentence_and_status_2(arguments: list[str], run: Run) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert is_one_error(result)


def test_an_unknown_model_is_a_usage_error_even_when_it_could_fall_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAG_MODE")
    result = run("ask", "--model", "gpt-99", "What does PDS do?")
    assert result.status == 2
    assert "There is no model 'gpt-99'" in result.err


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "no pages"),
        (lambda folder: (folder / "a.txt").write_bytes(b"\x89PNG\x00\x00"), "binary"),
        (lambda folder: (folder / "a.txt").write_text("Only a line.\n"), "no abstracts"),
        (lambda folder: (folder / "a.txt").write_text(""), "is empty"),
        (lambda folder: (folder / "titles.json").write_text("[]"), "no pages"),
    ],
)
def test_a_bad_folder_of_pages_is_one_sentence_and_changes_nothing(
    make: Callable[[Path], object], says: str, run: Run, tmp_path: Path
) -> None:
    before = run("papers", "--json").out
    make(tmp_path)
    result = run("ingest", str(tmp_path))
    assert result.status in (1, 2)
    assert is_one_error(result)
    assert says in result.err
    assert run("papers", "--json").out == before


def test_a_cache_that_cannot_be_written_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_CACHE_DIR", "/sys/papertrail")
    result = run("models", "pull")
    assert result.status == 1
    assert is_one_error(result)
    assert "can't be written" in result.err


def test_models_are_listed_with_size_licence_and_state(run: Run) -> None:
    result = run("models")
    assert result.status == 0
    for word in ("qwen2.5-coder-1.5b-instruct", "1.1 GB", "3.6 GB", "Apache-2.0", "yes"):
        assert word in result.out
    rows = json.loads(run("models", "--json").out)
    assert [row["name"] for row in rows if row["default"]] == ["qwen2.5-coder-1.5b-instruct"]


def test_models_come_and_go(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings) -> None:
    weights = settings.models_dir / "all-minilm-l6-v2"
    monkeypatch.setenv("RAG_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("RAG_WEIGHTS_DIR", str(weights))
    assert "is ready in" in run("models", "pull", "all-minilm-l6-v2").out
    assert run("models", "remove", "all-minilm-l6-v2").out == "all-minilm-l6-v2 removed\n"
    assert run("models", "remove", "all-minilm-l6-v2").out == "all-minilm-l6-v2 was not there\n"


def test_doctor_says_what_is_there_and_what_to_type(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run("doctor")
    assert result.status == 0
    assert "index of 255 papers" in result.out
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RAG_CACHE_DIR", str(tmp_path / "cache"))
    bare = run("doctor")
    assert "→ rag ingest" in bare.out
    assert "→ rag models pull qwen2.5-coder-1.5b-instruct" in bare.out
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path))
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "chroma.sqlite3").write_bytes(b"damaged")
    assert run("doctor").status == 1


def test_version_and_help_show_real_examples(run: Run) -> None:
    assert run("--version").out == f"rag, version {rag.__version__}\n"
    for command in ("ask", "search", "papers", "ingest", "remove", "export", "models", "chat"):
        result = run(command, "--help")
        assert result.status == 0
        assert f"rag {command}" in result.out.split("Examples")[1]


def test_a_traceback_shows_only_when_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag.errors import UsageError

    monkeypatch.setattr(sys, "argv", ["rag", "ask", "", "--debug"])
    with pytest.raises(UsageError):
        main()


def test_a_settings_file_that_is_none_is_one_sentence(run: Run, home: Path) -> None:
    file = home / "settings.toml"
    try:
        for text in ("model = ", "modle = 'x'", "[retrieval]\npapers = 0"):
            file.write_text(text)
            result = run("ask", "What is GRIN?")
            assert result.status == 2
            assert is_one_error(result)
    finally:
        file.unlink()


# Batches --------------------------------------------------------------------------------------------


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [
        '{"id": "pds", "question": "What does PDS do?"}',
        "not JSON",
        '{"question": "What is the capital of France?"}',
        '{"id": "bad", "question": "   "}',
        '{"id": "by", "question": "What is faster?", "filters": {"author": "Zhendong Wang", "since": "2023"}}',
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_batch_answers_in_order_and_one_bad_line_loses_nothing(run: Run, questions: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    assert run("ask", "--input", str(questions), "--output", str(output)).status == 1
    done = lines(output)
    assert [record["id"] for record in done] == ["pds", 2, 3, "bad", "by"]
    assert [sorted(record["error"]) for record in done if "error" in record] == [["code", "message"]] * 2  # type: ignore[arg-type]
    assert done[2]["refused"] is True
    patch_diffusion = {citation["title"].split(":")[0] for citation in done[4]["citations"]}  # type: ignore[attr-defined]
    assert patch_diffusion <= {"Patch Diffusion", "Relative Preference Optimization"}


def test_a_batch_started_again_keeps_what_holds_and_mends_a_torn_line(
    run: Run, questions: Path, tmp_path: Path
) -> None:
    output = tmp_path / "answers.jsonl"
    run("ask", "--input", str(questions), "--output", str(output))
    whole = output.read_text()
    kept = whole.splitlines(keepends=True)
    output.write_text(kept[0] + kept[1] + kept[2][:50])
    run("ask", "--input", str(questions), "--output", str(output))
    again = output.read_text().splitlines(keepends=True)
    assert again[0] == kept[0]  # to the byte: its seconds were not measured anew
    assert [json.loads(line)["id"] for line in again] == ["pds", 2, 3, "bad", "by"]
    for before, after in zip(map(json.loads, kept), map(json.loads, again), strict=True):
        assert {k: v for k, v in before.items() if k != "seconds"} == {k: v for k, v in after.items() if k != "seconds"}


def test_a_batch_goes_to_standard_output_without_an_output(run: Run, questions: Path) -> None:
    result = run("search", "--input", str(questions))
    assert [json.loads(line)["id"] for line in result.out.splitlines()] == ["pds", 2, 3, "bad", "by"]


def test_duplicate_ids_are_refused_before_the_start(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text('{"id": 2, "question": "a"}\n{"question": "b"}\n')
    output = tmp_path / "out.jsonl"
    result = run("ask", "--input", str(path), "--output", str(output))
    assert result.status == 2
    assert "same id 2" in result.err
    assert not output.exists()


# Whole processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["papers --json | head -n 1", "papers | head -n 1", "doctor | true"])
def test_a_closed_pipe_ends_quietly(command: str, indexed: Settings) -> None:
    shell = f"{' '.join(map(repr, RAG))} {command}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_an_interrupt_ends_with_130_and_whole_lines(indexed: Settings, tmp_path: Path) -> None:
    questions, output = tmp_path / "many.jsonl", tmp_path / "out.jsonl"
    questions.write_text("".join(f'{{"question": "What is system number {i}?"}}\n' for i in range(5000)))
    process = subprocess.Popen(
        [*RAG, "search", "--input", str(questions), "--output", str(output)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAG_MODE": "extractive"},
        # A shell that starts the tests in the background has them ignore interrupts, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (output.exists() and output.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    text = output.read_text()
    assert text.endswith("\n")
    assert all(json.loads(line) for line in text.splitlines())


@pytest.mark.parametrize(
    "question", ["What does PDS do?", "Is it \"PDS\" or 'LoRA' that costs $5, $HOME, $(HOME) or `x`?", "#1 \\ 100%?"]
)
def test_make_ask_passes_the_question_on_as_it_is(question: str, tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    rag_ = tmp_path / ".venv" / "bin" / "rag"
    rag_.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    rag_.chmod(0o755)
    needed = re.findall(r"^\$\(READY\): (.*)$", makefile, re.M)[0].split()
    for name in (*needed, ".venv/.ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Makefile").write_text(makefile)
    done = subprocess.run(
        ["make", "--silent", "ask", f"Q={question}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{['ask', '--', question]}\n")
