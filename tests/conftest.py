"""Shared by all tests: folders of their own, the real models and index, and a tiny random model."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, EMBEDDER, GENERATOR, ModelSpec
from rag.cli import main
from rag.embedding import Embedder
from rag.models import ModelStore
from rag.processor import avoid_broken_amx
from rag.settings import Settings, load_settings
from tests.chromas import chroma_run, on_server
from tests.command import Result, Run
from tests.tiny import write_tiny_gguf

# Fetched by `make models` before the tests; the tests themselves have no network.
CACHE = load_settings().models_dir.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true", help="run what takes long too: see `make torture`")
    parser.addoption("--fuzz-seconds", type=int, default=3600, help="how long to fuzz, all targets together")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--torture"):
        return
    long = [item for item in items if item.get_closest_marker("torture")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees or touches the user's settings and index; the fetched models are shared."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RAG_")]:
            patch.delenv(name)
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("RAG_HOME", str(folder))
        patch.setenv("RAG_CACHE_DIR", str(CACHE))
        patch.setenv("RAG_OFFLINE", "true")
        yield folder


@pytest.fixture(scope="session", autouse=True)
def processor() -> None:
    """Any test may be the first to multiply something."""
    avoid_broken_amx()


@pytest.fixture(scope="session")
def settings(home: Path) -> Settings:
    return load_settings()


@pytest.fixture(scope="session")
def embedder(settings: Settings) -> Embedder:
    return Embedder.load(ModelStore.of(settings))


@pytest.fixture(scope="session")
def indexed(settings: Settings) -> Settings:
    """Settings whose index holds the shipped pages."""
    assistant = Assistant(settings)
    assistant.ingest()
    assistant.close()
    return settings


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Chroma server on loopback."""
    with chroma_run(tmp_path_factory.mktemp("chroma") / "data") as url:
        yield url


@pytest.fixture(scope="session")
def indexed_on_server(settings: Settings, chroma: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose index holds the shipped pages too, on a Chroma server."""
    there = on_server(settings, chroma, tmp_path_factory.mktemp("client"))
    assistant = Assistant(there)
    assistant.ingest()
    assistant.close()
    return there


@pytest.fixture(scope="session")
def extractive(indexed: Settings) -> Iterator[Assistant]:
    """An assistant over the real index that loads no language model."""
    assistant = Assistant(indexed.model_copy(update={"mode": "extractive"}))
    yield assistant
    assistant.close()


@pytest.fixture(scope="session")
def generating(indexed: Settings) -> Iterator[Assistant]:
    """The assistant with the real 1.5B model: for tests marked llm."""
    assistant = Assistant(indexed.model_copy(update={"mode": "generated"}))
    yield assistant
    assistant.close()


@pytest.fixture(scope="session")
def tiny_spec(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, Path]:
    """A catalogue entry for a tiny random Qwen2 as GGUF, and the folder that holds its file."""
    folder = tmp_path_factory.mktemp("weights")
    path, sha256 = write_tiny_gguf(folder)
    size = path.stat().st_size
    spec = replace(
        CATALOGUE[GENERATOR],
        name="tiny",
        weights=path.name,
        files={path.name: sha256},
        fetch_bytes=size,
        kept_bytes=2 * size,
    )
    return spec, folder


@pytest.fixture(scope="session")
def tiny_model(tiny_spec: tuple[ModelSpec, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model, converted."""
    spec, weights = tiny_spec
    return ModelStore(tmp_path_factory.mktemp("models"), weights_dir=weights, offline=True).pull(spec)


@pytest.fixture
def small_spec(tmp_path: Path) -> Callable[..., ModelSpec]:
    """Makes catalogue entries for a few bytes, to be served from anywhere."""

    def make(files: dict[str, bytes], weights: str) -> ModelSpec:
        import hashlib

        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        size = sum(map(len, files.values()))
        return replace(
            CATALOGUE[EMBEDDER], name="small", weights=weights, files=hashes, fetch_bytes=size, kept_bytes=size
        )

    return make


@pytest.fixture
def run(indexed: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The real command in this process, over the real index; extractive unless the test says otherwise."""
    monkeypatch.setenv("RAG_MODE", "extractive")

    def command(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["rag", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Result(code if isinstance(code, int) else 1, captured.out, captured.err)

    return command
