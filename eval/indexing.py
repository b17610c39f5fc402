"""How fast papers are indexed and searched as they become many: ``python -m eval.indexing --papers 255 --papers 5000``.

Beyond the shipped ones, papers are made by recombining sentences of theirs. Each size runs in a process of its own, so
that its peak memory is its own; ``--starter`` puts LlamaIndex's starter pipeline beside it, on as many words.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rag.assistant import default_corpus
from rag.catalogue import CATALOGUE, EMBEDDER
from rag.embedding import Embedder
from rag.index import PaperIndex
from rag.ingest import ingest
from rag.models import ModelStore
from rag.papers import Paper, Record, Source, papers_from
from rag.readers import read_corpus
from rag.retrieval import Retriever
from rag.settings import Settings, load_settings
from rag.text import sentence_spans

from .data import load_queries

_QUERIES = 60
_SEED = 7


@dataclass(frozen=True)
class Row:
    """One measurement. The starter is only indexed: what it finds is measured by ``rag eval``."""

    system: str
    papers: int
    seconds: float
    papers_per_second: float
    peak_mb: float
    """Resident memory at its highest while indexing."""
    disk_mb: float
    query_ms_median: float | None = None
    query_ms_p95: float | None = None
    search_peak_mb: float | None = None
    """The same of another process, which opens the index and searches it."""


def made_papers(count: int, shipped_ones: Sequence[Paper], seed: int = _SEED) -> list[Paper]:
    """The shipped papers, and others made of their sentences, names and dates until there are ``count``."""
    return [
        *shipped_ones[:count],
        *islice(_recombined(shipped_ones, random.Random(seed)), max(0, count - len(shipped_ones))),
    ]


def _recombined(papers: Sequence[Paper], chance: random.Random) -> Iterator[Paper]:
    sentences = [paper.abstract[start:end] for paper in papers for start, end in sentence_spans(paper.abstract)]
    words = [word for paper in papers for word in paper.title.split()]
    lengths = [len(sentence_spans(paper.abstract)) for paper in papers]
    at = 0
    while True:
        abstract = " ".join(chance.choices(sentences, k=chance.choice(lengths)))
        source = Source(file="made.txt", start=at, end=at + len(abstract), record=1)
        at += len(abstract) + 1
        like = chance.choice(papers)
        title = " ".join(chance.choices(words, k=len(like.title.split())))
        record = Record(source, abstract, title=title, authors=like.authors, date=like.date, category=like.category)
        yield from papers_from([record])


def measure(count: int, folder: Path) -> Row:
    """Index ``count`` papers into a folder, from nothing."""
    settings = _settings(folder)
    papers = made_papers(count, read_corpus(*default_corpus(settings)))
    embedder = Embedder.load(ModelStore.of(settings))
    with tempfile.TemporaryDirectory() as first:  # imports and weights are no paper's time
        ingest(_settings(Path(first)), papers[:1], embedder=embedder)
    seconds = _timed(lambda: ingest(settings, papers, embedder=embedder))
    return _row("ours", count, seconds, folder)


def measure_starter(count: int, folder: Path) -> Row:
    """The same through LlamaIndex's starter pipeline, with its defaults, from the same words in files."""
    import chromadb
    from llama_index.core import Document, SimpleDirectoryReader, StorageContext, VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    settings = _settings(folder)
    pages, _ = default_corpus(settings)
    if count > len(shipped_ones := read_corpus(*default_corpus(settings))):
        made = made_papers(count, shipped_ones)
        pages = folder / "pages"
        pages.mkdir()
        for i in range(0, count, 50):  # about as many to a page as the shipped ones have
            text = "\n\n".join(f"{paper.title}\n{paper.abstract}" for paper in made[i : i + 50])
            (pages / f"{i}.txt").write_text(text, encoding="utf-8")
    embedder = HuggingFaceEmbedding(model_name=str(ModelStore.of(settings).pull(CATALOGUE[EMBEDDER])), device="cpu")

    def index(name: str, documents: Sequence[Document]) -> None:
        client = chromadb.PersistentClient(str(folder / name))
        storage = StorageContext.from_defaults(
            vector_store=ChromaVectorStore(chroma_collection=client.create_collection(name))
        )
        VectorStoreIndex.from_documents(documents, storage_context=storage, embed_model=embedder)

    def read_and_index() -> None:
        index("starter", SimpleDirectoryReader(str(pages), required_exts=[".txt"]).load_data())

    index("first", [Document(text="Imports and weights are no paper's time.")])
    return _row("starter", count, _timed(read_and_index), folder / "starter")


def search_times(folder: Path) -> dict[str, float]:
    """Milliseconds of a warm search of the index in a folder, and the memory of the process that searched it."""
    import numpy as np

    settings = _settings(folder)
    index = PaperIndex.open(settings)
    retriever = Retriever(index, Embedder.load(ModelStore.of(settings)), settings.retrieval)
    queries = [query.query for query in load_queries()]
    asked = random.Random(_SEED).sample(queries, min(len(queries), _QUERIES))
    for question in asked[:3]:  # what is read once is not a query's time
        retriever.search(question, 10)
    times = [1000 * _timed(partial(retriever.search, question, 10)) for question in asked]
    index.close()
    return {
        "query_ms_median": round(float(np.median(times)), 1),
        "query_ms_p95": round(float(np.percentile(times, 95)), 1),
        "search_peak_mb": _peak_mb(),
    }


def _settings(folder: Path) -> Settings:
    return load_settings().model_copy(update={"data_dir": folder})


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _row(system: str, count: int, seconds: float, folder: Path) -> Row:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Row(system, count, round(seconds, 2), round(count / seconds, 2), _peak_mb(), round(size / 1e6, 1))


def _peak_mb() -> float:
    # In KiB, but for macOS, which counts bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _in_a_process(step: str, count: int, folder: Path) -> dict[str, object]:
    command = [sys.executable, "-m", __spec__.name, "--step", step, "--papers", str(count), "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sizes that were asked for, and write the rows after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--papers", type=int, action="append", help="how many; may be given several times")
    parser.add_argument("--starter", action="store_true", help="measure LlamaIndex's starter too")
    parser.add_argument("--output", type=Path, help="write the rows there as JSON")
    parser.add_argument("--step", choices=("index", "search", "starter"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    sizes: list[int] = asked.papers or [255]
    if asked.step:
        steps: dict[str, Callable[[], dict[str, object]]] = {
            "index": lambda: asdict(measure(sizes[0], asked.folder)),
            "starter": lambda: asdict(measure_starter(sizes[0], asked.folder)),
            "search": lambda: dict(search_times(asked.folder)),
        }
        sys.stdout.write(json.dumps(steps[asked.step]()) + "\n")
        return
    rows: list[dict[str, object]] = []
    for count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            row = _in_a_process("index", count, Path(folder) / "ours")
            rows.append(row | _in_a_process("search", count, Path(folder) / "ours"))
            if asked.starter:
                (Path(folder) / "beside").mkdir()
                rows.append(_in_a_process("starter", count, Path(folder) / "beside"))
        text = json.dumps(rows, indent=2)
        if asked.output:
            asked.output.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
