"""Spreads an ingest over processes here, or over the machines of a Dask cluster. All write to one Chroma server.

Each takes some papers at a time, cuts, embeds and writes them; who ingests does the rest. What a worker was at when it
died is done again: written twice, a paper is the same.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import wait as wait_for

import rag
from rag.embedding import Embedder
from rag.errors import RagError, UsageError
from rag.papers import Paper
from rag.settings import Settings, load_settings
from rag.store.database import Database, parts
from rag.store.writing import BATCH, write

_PART = 4 * BATCH
"""Papers in a piece of work: some seconds."""
_AHEAD = 2
"""Pieces of work for each worker that are under way or waiting: so many are in memory twice."""
_DEATHS = 3
"""Times that workers die before it is given up."""
_FOLDERS = ("home", "data_dir", "cache_dir", "corpus", "weights_dir")


@dataclass(frozen=True)
class Workers:
    """So many processes on this machine, or all workers of a Dask cluster."""

    processes: int | None = None
    scheduler: str | None = None
    """The cluster's address, as ``tcp://host:8786``."""

    def check(self, settings: Settings) -> None:
        """:raises UsageError: if they can't write where the index is."""
        if settings.store.url is None:
            raise UsageError(
                "--workers and --scheduler need a Chroma server, as only one process may write into a folder: type "
                "`chroma run --path FOLDER` to start one, and `rag --store http://127.0.0.1:8000 ingest` with them."
            )
        if self.processes and self.scheduler:
            raise UsageError("--workers are started here, and --scheduler has its own: give one of them.")

    def write(self, papers: Sequence[Paper], settings: Settings, there: Collection[str]) -> Iterator[int]:
        """Write papers as :func:`rag.store.writing.write` does; after each part, how many they were.

        :raises RagError: as a worker does. :raises UsageError: if there is no scheduler, or workers die repeatedly.
        """
        left = dict(enumerate(parts(papers, _PART)))
        for _ in range(_DEATHS):
            if not left:
                return
            try:
                with self._started() as (executor, count):
                    yield from _through(executor, _AHEAD * count, left, settings, there)
            except BrokenExecutor:
                continue
        if left:
            raise UsageError("Workers died again and again, as they do without memory: start fewer.")

    @contextmanager
    def _started(self) -> Iterator[tuple[Executor, int]]:
        """What does the work, and how many are at it."""
        if self.scheduler is not None:
            with _cluster(self.scheduler) as started:
                yield started
            return
        count = self.processes or 1
        threads = max(1, (os.cpu_count() or 1) // count)
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half
        with ProcessPoolExecutor(count, context, _begin, (threads,)) as pool:
            yield pool, count


def _through(
    executor: Executor, ahead: int, left: dict[int, Sequence[Paper]], settings: Settings, there: Collection[str]
) -> Iterator[int]:
    """Do what is left; what is done is taken out of it."""
    waiting, running = iter(list(left)), dict[Future[None], int]()
    try:
        while left:
            for i in waiting:
                replaced = [paper.paper_id for paper in left[i] if paper.paper_id in there]
                running[executor.submit(_written, settings, rag.__version__, left[i], replaced)] = i
                if len(running) == ahead:
                    break
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                yield len(left.pop(running.pop(future)))
    finally:
        for future in running:
            future.cancel()


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        import distributed
    except ImportError as error:
        raise UsageError("--scheduler needs Dask: type `python -m pip install 'papertrail[dask]'`.") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it tells of lost connections in tracebacks
    try:
        client = distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"No Dask scheduler answers at {address}: start one with `dask scheduler`, or mend the address."
        ) from error
    with client:
        count = sum(worker["nthreads"] for worker in client.scheduler_info(-1)["workers"].values())
        if not count:
            raise UsageError(
                f"The Dask scheduler at {address} has no workers: start some with `dask worker {address}`."
            )
        with client.get_executor(pure=False) as executor:
            try:
                yield executor, count
            except distributed.KilledWorker as error:
                raise BrokenExecutor from error


# In a worker -----------------------------------------------------------------------------------


def _begin(threads: int) -> None:
    """A process of our own: it takes its share of the cores, and ends when whoever started it does."""
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told to all; the parent lets us end
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


@dataclass(frozen=True)
class _Worker:
    """What a process keeps between its pieces of work: the model takes seconds to load."""

    database: Database
    embedder: Embedder
    turn: threading.Lock
    """A Dask worker may have threads; torch takes all cores for one of them."""


@lru_cache(maxsize=1)
def _worker(settings: Settings) -> _Worker:
    from rag.store.server import database_of

    own = load_settings()  # folders are another machine's matter
    settings = settings.model_copy(update={name: getattr(own, name) for name in _FOLDERS})
    embedder = Embedder.of(settings).in_bulk()
    return _Worker(database_of(settings), embedder, threading.Lock())


def _written(settings: Settings, version: str, papers: Sequence[Paper], there: Sequence[str]) -> None:
    """A piece of work. :param version: that of PaperTrail which asks for it."""
    if version != rag.__version__:
        raise RagError(f"A worker has PaperTrail {rag.__version__} and not {version}: install the same on all.")
    worker = _worker(settings)
    characters = settings.chunking.characters
    for part in parts(papers, BATCH):
        with worker.turn:
            write(part, worker.database, None, embedder=worker.embedder, characters=characters, there=there)
