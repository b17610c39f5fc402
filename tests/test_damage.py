"""Files that are damaged: each is named with the one command that mends it, which does; or it mends itself."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.manifest import Manifest
from eval.run import run as evaluate
from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, EMBEDDER, ModelSpec
from rag.errors import UsageError
from rag.models import ModelStore
from rag.settings import load_settings
from tests.command import Result, Run, is_one_error
from tests.eval.test_run import plan
from tests.works import OLD, about, index_contents, write_page

SYSTEM3 = "What does System3 sort?"
Damage = Callable[[Path], None]


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def overwritten(path: Path) -> None:
    """Another file of the same size."""
    path.write_bytes((b"damaged " * (path.stat().st_size // 8 + 1))[: path.stat().st_size])


def torn(path: Path) -> None:
    """The last two thirds are nothing, as after a power cut."""
    size = path.stat().st_size
    os.truncate(path, size // 3)
    os.truncate(path, size)


DAMAGES = (truncated, emptied, overwritten, torn)


def mending(result: Result) -> list[str]:
    """The commands that are named."""
    return re.findall(r"`(rag [^`]+)`", result.err)


def answers(result: Result) -> bool:
    return result.status == 0 and about("System3").split(".")[0] in result.out


@pytest.fixture
def index(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an index of invented papers."""
    write_page(tmp_path / "pages" / "page.txt", OLD)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RAG_CORPUS", str(tmp_path / "pages"))
    assert run("ingest").status == 0
    return tmp_path / "data" / "index"


# The index ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["chroma.sqlite3", "tokens.sqlite3"])
def test_a_database(name: str, damage: Damage, index: Path, run: Run) -> None:
    before = index_contents(load_settings(), "System3")
    damage(index / name)
    told = run("ask", SYSTEM3)
    assert mending(told) == ["rag ingest --rebuild"], told.err
    assert "Traceback" not in told.err
    examined = run("doctor")
    assert "rag ingest --rebuild" in examined.out
    assert examined.status == 1
    mended = run("ingest", "--rebuild")
    assert mended.status == 0
    assert mended.out.startswith("40 papers: ")
    again = run("ask", SYSTEM3)
    assert answers(again)
    assert again.err == "Searching…\n"
    assert index_contents(load_settings(), "System3") == before


@pytest.mark.parametrize("name", ["chroma.sqlite3", "tokens.sqlite3"])
def test_an_ingest_over_a_damaged_database_names_the_same_command(name: str, index: Path, run: Run) -> None:
    write_page(Path(os.environ["RAG_CORPUS"]) / "more.txt", ["Gadget7"])
    overwritten(index / name)
    before = (index / name).read_bytes()
    told = run("ingest")
    assert told.status == 1
    assert is_one_error(told)
    assert mending(told) == ["rag ingest --rebuild"]
    assert (index / name).read_bytes() == before
    assert run("ingest", "--rebuild").status == 0
    assert answers(run("ask", SYSTEM3))
    assert "Gadget7 is a tool" in run("ask", "What does Gadget7 sort?").out


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_lexical_index_is_made_anew(damage: Damage, index: Path, run: Run) -> None:
    before = run("ask", "--json", SYSTEM3)
    for path in sorted((index / "lexical").iterdir()):
        whole = path.read_bytes()
        damage(path)
        told = run("ask", "--json", SYSTEM3)
        assert lasting(told) == lasting(before), path.name
        path.write_bytes(whole)


def lasting(result: Result) -> tuple[int, str, str]:
    """All but how long it took."""
    return result.status, result.out.split('"seconds"')[0], result.err


# Models ------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(
    index: Path, tiny_spec: tuple[ModelSpec, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[ModelSpec, Path]:
    """A model of the catalogue, converted and fitted: its entry and its folder. The embedder is the real one."""
    spec, weights = tiny_spec
    monkeypatch.setitem(CATALOGUE, "tiny", spec)  # type: ignore[arg-type]
    models = tmp_path / "cache" / "models"
    models.mkdir(parents=True)
    (models / EMBEDDER).symlink_to(load_settings().models_dir / EMBEDDER)
    monkeypatch.setenv("RAG_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("RAG_WEIGHTS_DIR", str(weights))
    monkeypatch.setenv("RAG_MODEL", "tiny")
    monkeypatch.setenv("RAG_GENERATION__MAX_TOKENS", "16")
    return spec, ModelStore(models, weights, offline=True).pull(spec)


def asked(run: Run) -> Result:
    """With a model or not at all."""
    return run("ask", "--mode", "generated", SYSTEM3)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", [truncated, emptied])
def test_a_file_of_another_size_is_made_anew(name: str, damage: Damage, tiny: tuple[ModelSpec, Path], run: Run) -> None:
    _, folder = tiny
    whole = (folder / name).read_bytes()
    damage(folder / name)
    assert "model tiny is incomplete" in run("doctor").out
    told = run("models", "pull", "tiny")
    assert (told.status, told.out) == (0, f"tiny is ready in {folder}\n")
    assert (folder / name).read_bytes() == whole


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_cannot_be_loaded_names_the_command(name: str, tiny: tuple[ModelSpec, Path], run: Run) -> None:
    _, folder = tiny
    before = asked(run)
    assert before.status in (0, 3), before.err
    overwritten(folder / name)
    told = asked(run)
    assert told.status == 1
    assert is_one_error(told), told.err
    assert "The model tiny can't be loaded" in told.err
    assert mending(told) == ["rag models remove tiny"]
    without = run("ask", SYSTEM3, "--mode", "auto")
    assert answers(without)
    assert mending(without) == ["rag models remove tiny"]
    assert run("models", "remove", "tiny").out == "tiny removed\n"
    again = asked(run)
    assert (again.status, again.out) == (before.status, before.out)


@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_a_fitted_model_is_fitted_again(damage: Damage, tiny: tuple[ModelSpec, Path], run: Run) -> None:
    _, folder = tiny
    before, fitted = asked(run), folder / "int8.safetensors"
    whole = fitted.read_bytes()
    damage(fitted)
    again = asked(run)
    assert (again.status, again.out) == (before.status, before.out)
    assert len(fitted.read_bytes()) == len(whole)
    assert "Fitting tiny to this processor, once" in again.err


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_the_embedder(name: str, index: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run("ask", SYSTEM3)
    real = load_settings().models_dir / EMBEDDER
    folder = tmp_path / "cache" / "models" / EMBEDDER
    shutil.copytree(real, folder)
    monkeypatch.setenv("RAG_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("RAG_WEIGHTS_DIR", str(real))
    overwritten(folder / name)
    told = run("ask", SYSTEM3)
    assert told.status == 0
    assert mending(told) == [f"rag models remove {EMBEDDER}"]
    assert run("models", "remove", EMBEDDER).status == 0
    again = run("ask", SYSTEM3)
    assert (again.status, again.out) == (before.status, before.out)


# What users and processes write --------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"model = ", b"\xff\xfe\x00", b"[[[[", b"mode = 'generated'\n\x00\x00\x00"])
def test_the_settings(text: bytes, run: Run, home: Path) -> None:
    file = home / "settings.toml"
    file.write_bytes(text)
    try:
        told = run("ask", SYSTEM3)
    finally:
        file.unlink()
    assert told.status == 2
    assert is_one_error(told)
    assert f"{file} can't be read as TOML" in told.err.replace("\n", " ")
    assert "mend it or delete it" in told.err


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'[{"question": "x"}]'])
def test_the_conversation(text: bytes, index: Path, run: Run) -> None:
    file = index.parent / "conversation.json"
    file.write_bytes(text)
    told = run("ask", "--continue", SYSTEM3)
    assert answers(told)
    assert "conversation.json holds no conversation that can be read: this question begins a new one." in told.err
    again = run("ask", "--continue", "And what is it?")
    assert "holds no conversation" not in again.err
    assert again.out.startswith("Understood as: ")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"port": 1, "pid": 1}'])
def test_where_the_server_is(text: bytes, index: Path, run: Run) -> None:
    (index.parent / "server.json").write_bytes(text)
    told = run("ask", SYSTEM3)
    assert answers(told)
    assert told.err == "Searching…\n"
    assert "no server is running" in run("doctor").out


def test_a_manifest_of_a_model(tiny: tuple[ModelSpec, Path], run: Run) -> None:
    spec, folder = tiny
    (folder / "papertrail.json").write_bytes(b"[" * 100_000)
    assert asked(run).status in (0, 3)
    assert ModelStore(folder.parent).ready(spec)


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b'{"set": "full"}'])
def test_the_manifest_of_an_evaluation(text: bytes, extractive: Assistant, tmp_path: Path) -> None:
    few = replace(plan("extractive"), questions=plan("extractive").questions[:2])
    folder = evaluate(extractive, few, tmp_path / "run")
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(UsageError, match=f"type `rag eval run --fresh --run {folder}`"):
        evaluate(extractive, few, folder)
    evaluate(extractive, few, folder, fresh=True)
    assert Manifest.read(folder).systems == ("extractive",)
