"""A disk that is really full: one sentence, nothing lost, nothing half-written; with room the same command ends."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from eval.run import run as evaluate
from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, ModelSpec
from rag.errors import StorageError
from rag.llm import load_model
from rag.models import ModelStore, Weights
from rag.settings import Generation, Settings, load_settings
from rag.web import uploads
from tests.command import Run, is_one_error
from tests.disks import limited, small_disk
from tests.eval.test_run import plan, without_seconds
from tests.works import NEW, OLD, about, asked, file_hashes, index_contents, over, write_page

SYSTEM3 = "What does System3 sort?"
ROOM = 64 << 20


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "pages" / "page.txt"
    write_page(path, OLD)
    return path


def ingest_on_a_full_disk(run: Run, page: Path, data: Path, how: list[str], fill: Callable[[ExitStack], None]) -> None:
    """:param fill: leaves no room for another index; there is some again when its stack is left."""
    assert run("ingest", str(page)).status == 0
    before = index_contents(load_settings())
    write_page(page, NEW)
    with ExitStack() as full:
        fill(full)
        result, told = run("ingest", *how, str(page)), run("ask", SYSTEM3)
    assert result.status == 1
    assert is_one_error(result), result.err
    assert "make room" in result.err
    assert (told.status, told.err) == (0, "Searching…\n")
    assert about("System3").split(".")[0] in told.out
    assert names_in(data) == ["conversation.json", "index"]
    assert index_contents(load_settings()) == before
    assert run("ingest", *how, str(page)).status == 0
    with closing(Assistant(over(load_settings(), data.parent / "undisturbed"))) as undisturbed:
        undisturbed.ingest([page])
        assert index_contents(load_settings(), "Gadget7") == index_contents(undisturbed.settings, "Gadget7")


@pytest.mark.parametrize(("how", "beyond"), [([], -300_000), ([], 50_000), (["--rebuild"], -300_000)])
def test_an_ingest(
    how: list[str], beyond: int, run: Run, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """:param beyond: what the index's largest file may grow by: there is room for the copy, or not even for that."""
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))

    def fill(full: ExitStack) -> None:
        largest = max(path.stat().st_size for path in (tmp_path / "data" / "index").iterdir())
        full.enter_context(limited(largest + beyond))

    ingest_on_a_full_disk(run, page, tmp_path / "data", how, fill)


@pytest.mark.parametrize(("how", "left"), [([], 500_000), ([], 1_600_000), (["--rebuild"], 200_000)])
def test_an_ingest_on_a_small_disk(
    how: list[str], left: int, run: Run, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", ROOM) as disk:
        data = disk.folder / "data"
        monkeypatch.setenv("RAG_DATA_DIR", str(data))

        def fill(full: ExitStack) -> None:
            disk.resize(shutil.disk_usage(disk.folder).used + left)
            full.callback(disk.resize, ROOM)

        ingest_on_a_full_disk(run, page, data, how, fill)


def test_a_disk_without_a_single_free_byte_is_named(
    run: Run, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chroma writes a little even to open a database for reading."""
    with small_disk(tmp_path / "disk", ROOM) as disk:
        monkeypatch.setenv("RAG_DATA_DIR", str(disk.folder / "data"))
        run("ingest", str(page))
        disk.fill(0)
        told = run("ask", SYSTEM3)
        assert told.status in (0, 3)
        assert "--rebuild" not in told.err
        assert "make room" in told.err
        (disk.folder / "filling").unlink()
        again = run("ask", SYSTEM3)
        assert (again.status, again.err) == (0, "Searching…\n")
        assert names_in(disk.folder / "data") == ["conversation.json", "index"]


def test_an_answer_that_cannot_be_remembered_is_an_answer(
    run: Run, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    run("ingest", str(page))
    (tmp_path / "data" / "conversation.json").mkdir()
    told = run("ask", SYSTEM3)
    assert told.status == 0
    assert "System3 is a tool" in told.out
    assert "conversation.json can't be written (Is a directory): make room" in told.err
    assert names_in(tmp_path / "data") == ["conversation.json", "index"]


def test_an_upload(settings: Settings, page: Path, tmp_path: Path) -> None:
    write_page(tmp_path / "upload" / "new.txt", NEW)
    with closing(Assistant(over(settings, tmp_path / "data"))) as assistant:
        assistant.ingest([page])
        shelf, reading = uploads.Shelf.of(assistant.settings), uploads.read(tmp_path / "upload" / "new.txt")
        with limited(100_000):
            with pytest.raises(StorageError, match="make room"):
                shelf.add(assistant, [reading])
            assert asked(assistant.settings, "System3").citations
        assert names_in(tmp_path / "data" / uploads.LABEL) == []
        assert names_in(tmp_path / "data") == [uploads.LABEL, "index"]
        assert shelf.add(assistant, [reading]).added == 40
        assert asked(assistant.settings, "Gadget7").citations[0].quote in about("Gadget7")


def test_a_fetch(
    run: Run, small_spec: Callable[..., ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec({"model.bin": b"weights!" * 50_000, "config.json": b"{}"}, "model.bin")
    monkeypatch.setitem(CATALOGUE, "small", spec)  # type: ignore[arg-type]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.bin").write_bytes(b"weights!" * 50_000)
    (tmp_path / "files" / "config.json").write_bytes(b"{}")
    monkeypatch.setenv("RAG_WEIGHTS_DIR", str(tmp_path / "files"))
    monkeypatch.setenv("RAG_CACHE_DIR", str(tmp_path / "cache"))
    with limited(100_000):
        result = run("models", "pull", "small")
    assert result.status == 1
    assert "Error: " in result.err.splitlines()[-1]
    assert "make room" in result.err
    assert names_in(tmp_path / "cache" / "models") == []
    assert run("models", "pull", "small").status == 0
    assert ModelStore(tmp_path / "cache" / "models").ready(spec)


@pytest.fixture
def full() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_conversion(tiny_spec: tuple[ModelSpec, Path], tiny_model: Path, full: ExitStack, tmp_path: Path) -> None:
    spec, weights = tiny_spec
    store = ModelStore(tmp_path / "models", weights, offline=True)

    def fill(task: str, done: float = 0, total: float | None = None) -> None:
        if task.startswith("Converting"):
            full.enter_context(limited(50_000))

    with pytest.raises(StorageError, match="make room"):
        store.pull(spec, fill)
    assert names_in(store.folder) == []
    full.close()
    whole = {name: hash_ for name, hash_ in file_hashes(tiny_model).items() if name != "int8.safetensors"}
    assert file_hashes(store.pull(spec)) == whole


def test_the_fitting_of_a_model(tiny_model: Path, tmp_path: Path) -> None:
    """Kept in memory alone, the model answers all the same; it is fitted again at the next start."""
    shutil.copytree(tiny_model, tmp_path / "tiny", ignore=shutil.ignore_patterns("int8*"))
    before = file_hashes(tmp_path / "tiny")

    def written() -> str:
        model = load_model(Weights("tiny", str(tmp_path / "tiny"), "0", pinned=True), Generation(max_tokens=16))
        return "".join(model.stream([{"role": "user", "content": "Say a thing."}]))

    with limited(10_000):
        first = written()
    assert file_hashes(tmp_path / "tiny") == before
    assert written() == first
    assert (tmp_path / "tiny" / "int8.safetensors").is_file()


@pytest.mark.parametrize("most", [500, 6_000])
def test_an_evaluation(most: int, extractive: Assistant, tmp_path: Path) -> None:
    """There is no room for the manifest, or not for all answers."""
    _ = extractive.retriever
    with limited(most), pytest.raises(StorageError, match="make room"):
        evaluate(extractive, plan("extractive"), tmp_path / "run")
    for name in ("run", "whole"):
        evaluate(extractive, plan("extractive"), tmp_path / name)
    assert without_seconds(tmp_path / "run", "extractive") == without_seconds(tmp_path / "whole", "extractive")
