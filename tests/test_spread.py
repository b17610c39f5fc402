"""An ingest that is spread over processes makes the index that one process makes."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import psutil
import pytest

from rag.assistant import Assistant
from rag.index import PaperIndex
from rag.settings import Settings
from rag.spread import Workers
from tests.chromas import beside, elsewhere, free_port, on_server
from tests.command import Run, is_one_error
from tests.works import RAG, write_page

ROOT = Path(__file__).parent.parent
NAMES = [f"System{i}" for i in range(400)]


@pytest.fixture
def here(settings: Settings, chroma: str, tmp_path: Path) -> Settings:
    write_page(tmp_path / "page.txt", NAMES)
    return on_server(settings, chroma, tmp_path / "client").model_copy(update={"mode": "extractive"})


def ingested(settings: Settings, page: Path, workers: Workers | None, progress: Any = None) -> int:
    with closing(Assistant(settings, *([progress] if progress else []))) as assistant:
        return assistant.ingest([page], workers=workers).total


def same(one: Settings, other: Settings) -> None:
    with closing(PaperIndex.read(one)) as first, closing(PaperIndex.read(other)) as second:
        assert (first.sha256, first.papers, first.passages) == (second.sha256, second.papers, second.passages)
        # What else was in a batch shows in the last bits.
        assert np.abs(first.vectors - second.vectors).max() < 1e-5


def test_two_processes_make_the_same_change(here: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    for settings, workers in ((here, Workers(2)), (beside(here, "one"), None)):
        write_page(page, NAMES)
        assert ingested(settings, page, None) == 400
        write_page(page, [*NAMES[100:], "Gadget1"])
        assert ingested(settings, page, workers) == 301
    same(here, beside(here, "one"))


def test_what_a_worker_was_at_when_it_died_is_done_again(here: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    killed: list[int] = []

    def kill(task: str, done: float = 0, total: float | None = None) -> None:
        if done and not killed:
            worker = _workers(os.getpid())[0]
            killed.append(worker.pid)
            worker.kill()

    assert ingested(here, page, Workers(2), kill) == 400
    assert killed
    ingested(beside(here, "one"), page, None)
    same(here, beside(here, "one"))


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a Dask cluster of processes on loopback."""
    made = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, worker_dashboard_address=None
    )
    with made:
        yield made.scheduler_address


def test_a_dask_cluster_makes_the_same_index(here: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    with cluster(2) as address:
        assert ingested(here, page, Workers(scheduler=address)) == 400
    ingested(beside(here, "one"), page, None)
    same(here, beside(here, "one"))


def test_workers_end_with_whoever_started_them(here: Settings, tmp_path: Path) -> None:
    """It was killed, and tells them nothing."""
    options = ["--store", str(here.store.url), "--collection", here.collection]
    with subprocess.Popen(
        [*RAG, *options, "ingest", "--workers", "2", str(tmp_path / "page.txt")],
        cwd=ROOT,
        env=os.environ | {"RAG_DATA_DIR": str(tmp_path / "other")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while not (workers := _workers(process.pid)):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert ingested(elsewhere(here, tmp_path / "other"), tmp_path / "page.txt", None) == 400


def _workers(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]


def test_what_cannot_be_spread_is_one_clear_error(run: Run, here: Settings, tmp_path: Path) -> None:
    page, there = str(tmp_path / "page.txt"), ["--store", str(here.store.url), "--collection", here.collection]
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with cluster(0) as empty:
        for before, options, said in (
            ([], ["--workers", "2"], "need a Chroma server"),
            ([], ["--scheduler", nobody], "need a Chroma server"),
            (there, ["--workers", "2", "--scheduler", nobody], "give one of them"),
            (there, ["--scheduler", nobody], "No Dask scheduler answers"),
            (there, ["--scheduler", "nonsense://x"], "No Dask scheduler answers"),
            (there, ["--scheduler", empty], "has no workers"),
        ):
            told = run(*before, "ingest", *options, page)
            assert (told.status, is_one_error(told)) == (2, True), told.err
            assert said in " ".join(told.err.split())
    assert run(*there, "ingest", page).out.startswith("400 papers: 400 added")
