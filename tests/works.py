"""What takes a while and may be cut off: each as a process to kill, and how to tell what came of it.

Each begins in a folder of its own, as often as it is wanted, and must end the same however often it was killed before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np

from eval.records import AnswerRecord, SearchRecord, read_records
from rag.answers import Answer
from rag.assistant import Assistant
from rag.catalogue import ModelSpec
from rag.index import PaperIndex
from rag.llm import load_model
from rag.models import ModelStore, Weights
from rag.settings import Generation, Settings
from rag.web import uploads
from tests.killing import TELL, Work
from tests.loopback import serving

RAG = (sys.executable, "-c", "from rag.cli import main; main()")
OLD = [f"System{i}" for i in range(40)]
NEW = [*(f"System{i}" for i in reversed(range(2, 40))), *(f"Gadget{i}" for i in range(40))]
"""Two are gone, all others stand elsewhere, and as many are new."""


def about(name: str) -> str:
    return f"{name} is a tool for marbles of the kind {name[-1]}. It sorts marbles that {name} has seen before."


def write_page(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"Abstract: {about(name)}\n" for name in names), encoding="utf-8")


def file_hashes(folder: Path) -> dict[str, str]:
    """All that lies in a folder but locks, by SHA-256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def over(settings: Settings, data: Path) -> Settings:
    return settings.model_copy(update={"data_dir": data, "mode": "extractive"})


def asked(settings: Settings, name: str) -> Answer:
    """What an assistant that is opened now answers about an invented system."""
    with closing(Assistant(settings)) as assistant:
        return assistant.answer(f"What does {name} sort?")


def index_contents(settings: Settings, *names: str) -> tuple[Any, ...]:
    """All that an index holds, and what is answered from it."""
    with closing(PaperIndex.read(settings)) as index:
        passages = [(passage.paper_id, passage.start, passage.end) for passage in index.passages]
        # What else was in a batch shows in the last bits of a vector.
        lengths = np.linalg.norm(index.vectors, axis=1)
        tokens = [len(index.tokens.read(paper_id).ids) for paper_id in index.papers]
        held = index.sha256, list(index.papers.values()), passages, lengths.round(3).tolist(), tokens
    answers = [asked(settings, name).model_dump(include={"answer", "citations", "index_sha256"}) for name in names]
    return *held, answers


class Ingesting:
    """``rag ingest``: the first one, one that changes everything, or one that makes the index anew."""

    def __init__(self, folder: Path, settings: Settings, kind: str):
        self._settings, self._kind = settings, kind
        self._page, self._base = folder / "pages" / "page.txt", folder / "base"
        self._base.mkdir()
        write_page(self._page, OLD)
        if kind != "first":
            self._ingested(self._base)
        if kind == "change":
            write_page(self._page, NEW)

    def _ingested(self, place: Path, rebuild: bool = False) -> None:
        with closing(Assistant(over(self._settings, place))) as assistant:
            assistant.ingest([self._page], rebuild=rebuild)

    def begin(self, place: Path) -> None:
        shutil.copytree(self._base, place)

    def work(self, place: Path) -> Work:
        how = ["--rebuild"] if self._kind == "rebuild" else []
        return Work([*RAG, "ingest", *how, self._page], {"RAG_DATA_DIR": place, "RAG_MODE": "extractive"})

    def check_cut_off(self, place: Path) -> None:
        """What was indexed before still answers."""
        if self._kind != "first":
            answer = asked(over(self._settings, place), "System3")
            assert {citation.quote in about("System3") for citation in answer.citations} == {True}, answer

    def again(self, place: Path) -> None:
        self._ingested(place, self._kind == "rebuild")

    def result(self, place: Path) -> Any:
        left = sorted(path.name for path in place.iterdir() if not path.name.endswith(".lock"))
        return left, index_contents(over(self._settings, place), "System3", "System39")


class Uploading:
    """An upload on the page: kept on the shelf, and indexed."""

    _CODE = f"""{TELL}
from pathlib import Path
from rag.assistant import Assistant
from rag.settings import load_settings
from rag.web import uploads
settings = load_settings()
tell("Opening")
shelf, reading = uploads.Shelf.of(settings), uploads.read(Path(sys.argv[1]))
tell("Adding")
shelf.add(Assistant(settings, tell), [reading])
"""

    def __init__(self, folder: Path, settings: Settings):
        self._settings, self._upload, self._base = settings, folder / "upload" / "new.txt", folder / "base"
        write_page(self._upload, NEW)
        write_page(folder / "upload" / "old.txt", OLD)
        self._added(self._base, self._upload.with_name("old.txt"))

    def _added(self, place: Path, upload: Path) -> None:
        with closing(Assistant(over(self._settings, place))) as assistant:
            uploads.Shelf.of(assistant.settings).add(assistant, [uploads.read(upload)])

    def begin(self, place: Path) -> None:
        shutil.copytree(self._base, place)

    def work(self, place: Path) -> Work:
        return Work([sys.executable, "-c", self._CODE, self._upload], {"RAG_DATA_DIR": place, "RAG_MODE": "extractive"})

    def check_cut_off(self, place: Path) -> None:
        assert asked(over(self._settings, place), "System3").citations

    def again(self, place: Path) -> None:
        """As the page does when it is started; who finds the file not there adds it again."""
        with closing(Assistant(over(self._settings, place))) as assistant:
            shelf = uploads.Shelf.of(assistant.settings)
            shelf.mend(assistant)
            missing = self._upload.name not in shelf.names()
        if missing:
            self._added(place, self._upload)

    def result(self, place: Path) -> Any:
        return file_hashes(place / uploads.LABEL), index_contents(over(self._settings, place), "System3", "Gadget7")


class Pulling:
    """``rag models pull`` of a small model: from loopback in the hub's place, or from a folder, and converted."""

    _CODE = """
import json, sys
from dataclasses import replace
import huggingface_hub
from rag.catalogue import CATALOGUE, GENERATOR
from rag.cli import main
told = json.loads(sys.argv.pop(1))
hub = told.pop("hub")
CATALOGUE[told["name"]] = replace(CATALOGUE[GENERATOR], **told)
huggingface_hub.hf_hub_url = lambda repo, name, revision: f"{hub}/{name}"
main()
"""

    def __init__(self, spec: ModelSpec, *, weights: Path | None = None, hub: str = ""):
        self._spec, self._weights, self._hub = spec, weights, hub

    def begin(self, place: Path) -> None:
        place.mkdir(parents=True)

    def work(self, place: Path) -> Work:
        fields = ("name", "format", "weights", "files", "fetch_bytes", "kept_bytes")
        told = {name: getattr(self._spec, name) for name in fields} | {"hub": self._hub}
        environment: dict[str, str | Path] = {"RAG_CACHE_DIR": place, "PIP_NO_INDEX": "1", "RAG_OFFLINE": "false"}
        if self._weights is not None:
            environment["RAG_WEIGHTS_DIR"] = self._weights
        command = [sys.executable, "-c", self._CODE, json.dumps(told), "models", "pull", self._spec.name]
        return Work(command, environment)

    def check_cut_off(self, place: Path) -> None:
        """A folder under the model's name is a whole one."""
        if (place / "models" / self._spec.name).exists():
            assert ModelStore(place / "models").ready(self._spec)

    def again(self, place: Path) -> None:
        ModelStore(place / "models", self._weights).pull(self._spec)

    def result(self, place: Path) -> Any:
        """All that is in the cache: nothing of a process that was killed stays."""
        return file_hashes(place)


@contextmanager
def slow_hub(files: dict[str, bytes]) -> Iterator[str]:
    """A server on loopback that takes its time; its address."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files[self.path.lstrip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                for i in range(0, len(data), 1 << 16):
                    self.wfile.write(data[i : i + (1 << 16)])
                    time.sleep(0.05)
            except ConnectionError:  # whoever asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    with serving(Slow) as address:
        yield address


class Fitting:
    """The making of ``int8.safetensors``, when a model of the catalogue is loaded for the first time."""

    _CODE = f"""{TELL}
from rag.llm import load_model
from rag.models import Weights
from rag.settings import Generation
load_model(Weights("tiny", sys.argv[1], "0", pinned=True), Generation(), progress=tell)
"""

    def __init__(self, model: Path):
        """:param model: a folder with a converted model."""
        self._model = model

    def begin(self, place: Path) -> None:
        shutil.copytree(self._model, place)
        (place / "int8.safetensors").unlink(missing_ok=True)

    def work(self, place: Path) -> Work:
        return Work([sys.executable, "-c", self._CODE, place], {})

    def check_cut_off(self, place: Path) -> None: ...

    def again(self, place: Path) -> None:
        self._written(place)

    def result(self, place: Path) -> Any:
        return self._written(place), file_hashes(place)

    @staticmethod
    def _written(place: Path) -> str:
        model = load_model(Weights("tiny", str(place), "0", pinned=True), Generation(max_tokens=16))
        return "".join(model.stream([{"role": "user", "content": "Say a thing."}]))


class Evaluating:
    """A run of the evaluation, without a model."""

    _CODE = f"""{TELL}
from dataclasses import replace
from pathlib import Path
from eval.run import Plan, run
from rag.assistant import Assistant
from rag.settings import load_settings
plan = Plan.of("full", ["extractive"])
run(Assistant(load_settings(mode="extractive")), replace(plan, questions=plan.questions[:24]), Path(sys.argv[1]),
    progress=tell)
"""

    def begin(self, place: Path) -> None: ...

    def work(self, place: Path) -> Work:
        return Work([sys.executable, "-c", self._CODE, place], {})

    def check_cut_off(self, place: Path) -> None: ...

    def again(self, place: Path) -> None:
        self.work(place).undisturbed()

    def result(self, place: Path) -> Any:
        answers = read_records(place / "extractive.jsonl", AnswerRecord)
        searches = read_records(place / "search.jsonl", SearchRecord)
        left = sorted(path.name for path in place.iterdir())
        return left, [record.model_dump(exclude={"seconds", "peak_bytes"}) for record in [*searches, *answers]]
