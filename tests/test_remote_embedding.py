"""An embedding model behind a real server on loopback: what is indexed with it, and found."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.answers import Answer
from rag.assistant import Assistant
from rag.embedding import Embedder, Vectors
from rag.errors import IndexMismatch, ModelUnavailable
from rag.events import Notice
from rag.index import PaperIndex
from rag.remote_embedding import ServedEmbedder
from rag.settings import Settings
from tests.command import Run, is_one_error
from tests.model_host import Host, embedded_there, hosted
from tests.works import write_page

NAMES = [f"System{i}" for i in range(40)]
QUESTION = "What does System7 sort?"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "pages" / "page.txt"
    write_page(path, NAMES)
    return path


@pytest.fixture
def here(settings: Settings, tmp_path: Path, page: Path) -> Settings:
    return settings.model_copy(update={"data_dir": tmp_path / "data", "corpus": page, "mode": "extractive"})


def projected(embedder: Embedder, dimensions: int) -> Callable[[list[str]], Vectors]:
    """Another model: the same vectors, seen from elsewhere."""
    view = np.random.default_rng(0).standard_normal((384, dimensions)).astype(np.float32)
    return lambda texts: embedder(texts) @ view


@pytest.fixture
def host(embedder: Embedder) -> Iterator[tuple[str, Host]]:
    host = Host(embed=embedder)
    with hosted(host) as url:
        yield url, host


def ingested(settings: Settings, **options: Any) -> Assistant:
    assistant = Assistant(settings)
    assistant.ingest(**options)
    return assistant


def found(assistant: Assistant) -> list[str]:
    return [passage.paper_id for passage in assistant.search(QUESTION, 10).passages]


def test_a_server_with_the_same_model_gives_the_same_index(
    here: Settings, tmp_path: Path, host: tuple[str, Host]
) -> None:
    url, asked = host
    with (
        closing(ingested(here)) as local,
        closing(ingested(embedded_there(here, url, data_dir=tmp_path / "there"))) as served,
    ):
        assert isinstance(local.index, PaperIndex)
        assert isinstance(served.index, PaperIndex)
        assert served.index.passages == local.index.passages
        alike = (served.index.vectors * local.index.vectors).sum(axis=1)
        assert alike.min() > 0.99  # the server computes in float32, an ingest here in bytes
        assert found(served)[:3] == found(local)[:3]
        assert served.index.recorded["embedding_model"] == "served of a server"
        assert served.index.recorded["embedding_dimensions"] == 384
        assert served.index.sha256 != local.index.sha256
    assert max(len(body["input"]) for body in asked.asked) <= 16
    assert {body["model"] for body in asked.asked} == {"served"}


def test_vectors_may_be_of_any_length(here: Settings, embedder: Embedder) -> None:
    with (
        hosted(Host(embed=projected(embedder, 64))) as url,
        closing(ingested(embedded_there(here, url))) as assistant,
    ):
        assert assistant.vectors.shape == (40, 64)
        assert np.linalg.norm(assistant.index.vectors, axis=1) == pytest.approx(1)  # type: ignore[union-attr]
        answer = assistant.answer(QUESTION)
        assert "System7" in answer.citations[0].quote
        assert 0 <= assistant.search("What is the capital of France?").confidence < 0.5


def test_an_index_is_not_searched_with_another_model(
    here: Settings, host: tuple[str, Host], embedder: Embedder
) -> None:
    url, _ = host
    there, other = embedded_there(here, url), embedded_there(here, url, "other")
    ingested(here).close()
    for settings, made in ((there, here), (other, there), (here, other)):
        with closing(Assistant(settings)) as assistant:
            with pytest.raises(IndexMismatch, match="rag ingest --rebuild"):
                assistant.answer(QUESTION)
            with pytest.raises(IndexMismatch, match="rag ingest --rebuild"):
                assistant.ingest()
        with closing(Assistant(made)) as unharmed:
            assert "System7" in unharmed.answer(QUESTION).citations[0].quote
        ingested(settings, rebuild=True).close()
    ingested(there, rebuild=True).close()
    with hosted(Host(embed=projected(embedder, 64))) as elsewhere:
        changed = embedded_there(here, elsewhere)  # of the same name
        with closing(Assistant(changed)) as assistant, pytest.raises(IndexMismatch, match="vectors of 384 numbers"):
            assistant.answer(QUESTION)
        (here.corpus or Path()).write_text((here.corpus or Path()).read_text().replace("System9", "System99"))
        with closing(Assistant(changed)) as assistant, pytest.raises(IndexMismatch, match="vectors of 384 numbers"):
            assistant.ingest()


def test_with_the_server_away_papers_are_found_by_their_words(here: Settings, embedder: Embedder) -> None:
    with hosted(Host(embed=embedder)) as url:
        ingested(embedded_there(here, url)).close()
        begun = Assistant(embedded_there(here, url))
        assert begun.embedder is not None
    late = Assistant(begun.settings)
    for assistant in (late, begun):
        for _ in range(2):
            *seen, answer = assistant.ask(QUESTION)
            assert isinstance(answer, Answer)
            assert "System7" in answer.citations[0].quote
            (notice,) = [event.text for event in seen if isinstance(event, Notice)]
            assert "can't be reached" in notice
            assert "correct --embed" in notice
            assert notice.endswith("Until then papers are found by their words alone.")
        assert assistant.search(QUESTION).passages[0].why.dense_rank is None
        assert len(assistant.told()) == 1
        with pytest.raises(ModelUnavailable, match="can't be reached"):
            assistant.ingest(rebuild=True)
        assistant.close()


def test_an_ingest_that_the_server_left_goes_on_when_it_is_back(
    here: Settings, tmp_path: Path, embedder: Embedder
) -> None:
    left = 40

    def embed(texts: list[str]) -> Vectors:
        nonlocal left
        left -= len(texts)
        if left < 0:
            raise MemoryError
        return embedder(texts)

    host = Host(embed=embed)
    with hosted(host) as url:
        assistant = Assistant(embedded_there(here, url))
        with pytest.raises(ModelUnavailable, match="refuses the request"):
            assistant.ingest()
        assert not here.index_dir.exists()
        left, before = 1000, len(host.asked)
        assistant.ingest()
        texts = [text for body in host.asked[before:] for text in body["input"]]
        assert 0 < len(texts) < 40
        with closing(ingested(embedded_there(here, url, data_dir=tmp_path / "at once"))) as undisturbed:
            assert undisturbed.index.sha256 == assistant.index.sha256
            assert undisturbed.index.passages == assistant.index.passages
        assistant.close()


@pytest.mark.parametrize(
    "vectors",
    [[], [[1.0]], [[1.0], [2.0, 3.0]], [[], []], [[1e300], [1.0]], [["a"], ["b"]], [3, 4], [None, None], [[{}], [1.0]]],
)
def test_vectors_that_are_none_are_one_sentence(vectors: Any, here: Settings, host: tuple[str, Host]) -> None:
    url, asked = host
    embedder = ServedEmbedder.beside(asked.embed, embedded_there(here, url))  # type: ignore[arg-type]
    asked.embed = lambda _: vectors
    with pytest.raises(ModelUnavailable) as error:
        embedder.with_tokens(["one", "two"])
    assert url in str(error.value)


def test_a_server_whose_model_changes_is_noticed(here: Settings, host: tuple[str, Host], embedder: Embedder) -> None:
    url, asked = host
    served = ServedEmbedder.beside(embedder, embedded_there(here, url))
    asked.embed = projected(embedder, 64)
    with pytest.raises(ModelUnavailable, match="gives vectors of 64 numbers, and gave such of 384"):
        served.with_tokens(["one"])


def test_flags_before_the_command_name_the_server(
    run: Run, page: Path, tmp_path: Path, host: tuple[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = host
    monkeypatch.setenv("RAG_OFFLINE", "false")
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    there = ("--embed", url, "--embed-model", "served")
    assert run(*there, "ingest", str(page)).status == 0
    before = len(asked.asked)
    assert "System7" in run(*there, "ask", QUESTION).out
    assert len(asked.asked) == before + 2  # how long a vector is, and the question
    assert "embedding model served, of the server at" in run(*there, "doctor").out
    without = run("ask", QUESTION)
    assert is_one_error(without), without.err
    assert "served of a server" in without.err
    nameless = run("--embed", url, "ask", QUESTION)
    assert nameless.status == 2
    assert "--embed-model" in nameless.err
