"""What fuzzing begins with: real inputs of every target, made of what ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from eval.data import load_queries
from rag import wire
from rag.conversation import Turn
from rag.events import Doing, Drafting, Notice, Waiting, Working
from rag.filters import Filters
from tests.hostile import CASES, page
from tests.targets import PAGE
from tests.web.invented import an_answer

SEEDS = Path(__file__).parents[1] / "seeds"
SAMPLES = Path(__file__).parent / "readers" / "samples"
_PART = 2000
_SETTINGS = [
    'mode = "extractive"\noffline = true\n[retrieval]\npapers = 4\nmin_confidence = 0.2\n',
    'home = "~/rag"\ndata_dir = "/tmp/x"\ncorpus = "pages"\nmodel = "org/name"\n[generation]\nmax_seconds = 1e3\n',
    '[chunking]\ncharacters = 300\n[grounding]\nchecker = "a/b"\nmin_support = 0.5\nthreads = [1, {a = 1}]\n',
]
_VARIABLES = [
    b"RETRIEVAL__PAPERS=5\0MODE=auto\0OFFLINE=true\0",
    b'RETRIEVAL={"papers": 4, "reread": [1]}\0HOME=~/x\0GENERATION__THREADS=2\0',
    b"DATA_DIR=~nobody/x\0CORPUS=/dev/null\0MODEL=a/b\0GROUNDING__CHECKER=\0",
]


def beginnings(name: str) -> Iterator[bytes]:
    """Inputs that a target takes."""
    yield from {
        "page": _pages,
        "export": _exports,
        "titles": _titles,
        "settings": lambda: (text.encode() for text in _SETTINGS),
        "environment": lambda: iter(_VARIABLES),
        "results": _results,
        "batch": _batches,
        "wire": _sent,
        "text": _texts,
        "question": _questions,
    }[name]()


def _pages() -> Iterator[bytes]:
    yield PAGE.encode()
    yield page().encode()[:_PART]
    for path in sorted(SEEDS.glob("*.txt")):
        data = path.read_bytes()
        yield data[:_PART]
        yield data[len(data) // 2 :][:_PART]


def _exports() -> Iterator[bytes]:
    for path in sorted(SAMPLES.iterdir()):
        yield path.suffix.encode() + b"\n" + path.read_bytes()[:_PART]


def _titles() -> Iterator[bytes]:
    entries = json.loads((SEEDS / "titles.json").read_text(encoding="utf-8"))
    for entry in entries[:3]:
        yield json.dumps([entry]).encode()
    yield json.dumps([{"title": "A Sieve", "begins": "We sort", "arxiv": "2403.02884"}]).encode()


def _results() -> Iterator[bytes]:
    yield b'{"id": 0, "question": "A question?"}\n{"id": 2, "question": "A question?"}\n{"id": 1, "error": {}}\n{"id'
    yield b'{"id": "q1", "answer": "a", "sentences": [{"text": "a", "quotes": []}], "seconds": {"total": 1.0}}\n'
    yield b'{"full": {"manifest": {}, "scores": {}}}\n'


def _batches() -> Iterator[bytes]:
    asked = [{"id": query.id, "question": query.query} for query in load_queries()[:3]]
    claims = [{"claim": "It sorts.", "text": "It sorts."}, {"claim": "It sorts.", "paper_id": "93aafa60"}]
    limited = [{"question": "What?", "filters": {"paper": ["a"], "author": "b", "since": "2023", "until": "2024-05"}}]
    for lines in (asked, claims, limited):
        yield "\n".join(map(json.dumps, lines)).encode()


def _sent() -> Iterator[bytes]:
    filters = Filters(("93aafa60",), "Zhendong Wang", "2023", "2024-05")
    yield wire.Request("What is it?", "a model", "auto", filters, (Turn("q", "a", "t"),)).packed()
    for told in (Working("Searching"), Waiting(3), Doing("Loading", 0.5), Notice("No"), Drafting("A"), an_answer("A")):
        yield wire.packed(told)
    yield b'{"error": "UsageError", "message": "Type this."}'


def _texts() -> Iterator[bytes]:
    for case in CASES.values():
        yield case.text.encode()[:500]
    yield b"We reach 94.8% on X (e.g. 3.5 times), cf. $x_1$ of {\\sc Name} (AB). It isn't so! GPT-4 has 1.76T weights."


def _questions() -> Iterator[bytes]:
    for query in load_queries()[::6]:
        yield query.query.encode()
    for case in CASES.values():
        yield case.text.encode()[:200]
    yield b"And how fast is it?\n\nWhat does PDS do?"
    yield b"Which papers are about diffusion?\nZhendong Wang\n"
