"""Measures speed beside the peers, in one run: ``make bench``, or ``python -m eval.bench --questions 20``.

The questions are of the development part of the gold. Of them the unanswerable ones have their share, rounded; the
others are spread evenly over the kinds; a hash of their ids decides which. They are mixed by a fixed seed, and for each
question every system is asked in turn, so that the machine's mood hits all alike. Before that each system answers one
other question, whose time isn't counted: it loads what there is to load.

Every measurement is a line in the folder ``unfinished`` as soon as it is made. Started again with the same code on
the same machine, a run goes on there; a finished one leaves ``bench.json``, ``bench.md`` and ``bench.png``.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rag.assistant import Assistant
from rag.catalogue import CATALOGUE
from rag.errors import RagError, UsageError
from rag.progress import Progress
from rag.settings import Settings, load_settings
from rag.terminal import Terminal

from . import scenes
from .bench_plot import write_png
from .bench_report import as_markdown
from .data import HERE, Question, load_questions
from .manifest import FILE, Manifest, file_sha256
from .peers import Cold, Command, LlamaCpp, Plain, StarterPeer, System, Warm
from .records import line_of, read_records, write_records, write_whole
from .resume import tried
from .run import check_whole, sample
from .timing import Bench, Timed
from .transformer import Transformer

SYSTEMS = ("assistant", "transformers", "llama.cpp", "starter", "cold")
SCENES = ("eight", "memory", "follow-up")
QUESTIONS = 20
COLD_QUESTIONS = 5
"""A new process is asked fewer: it does the same as the assistant, after it has loaded everything."""
AT_ONCE, MEMORY_QUESTIONS, FOLLOWED_UP = 8, 2, 3
SEED = 7
_UNFINISHED, _ROWS = "unfinished", "measurements.jsonl"


@dataclass(frozen=True)
class Plan:
    """Who is asked what."""

    names: tuple[str, ...]
    questions: Sequence[Question]
    warm_up: Question

    @classmethod
    def of(cls, count: int, names: Sequence[str] = (*SYSTEMS, *SCENES)) -> Plan:
        """:raises UsageError: for a system or a scene that there isn't."""
        known = (*SYSTEMS, *SCENES)
        for name in names:
            if name not in known:
                raise UsageError(f"There is no {name!r} to measure: use {', '.join(known)}.")
        questions = mixed(count)
        others = [q for q in _development() if q.kind == "fact" and q not in questions]
        return cls(tuple(name for name in known if name in names), questions, sample(others, 1)[0])

    def asked(self, name: str) -> Sequence[Question]:
        """The questions of a system."""
        return self.questions[:COLD_QUESTIONS] if name == "cold" else self.questions


def mixed(count: int) -> list[Question]:
    """``count`` questions of the development part as described above; the same each time."""
    rows = _development()
    answerable, unanswerable = [q for q in rows if q.papers], [q for q in rows if not q.papers]
    share = round(count * len(unanswerable) / len(rows))
    chosen = [*sample(answerable, count - share), *sample(unanswerable, share)]
    random.Random(SEED).shuffle(chosen)
    return chosen


def _development() -> list[Question]:
    return [question for question in load_questions() if question.split == "dev"]


class Rows:
    """The measurements of a run so far, in a file that a kill can't harm."""

    def __init__(self, path: Path):
        self._path = path
        # What failed is tried again.
        self.all = [row for row in read_records(path, Timed) if row.error is None]
        write_records(path, self.all)

    def has(self, system: str, id_: str) -> bool:
        """Whether a system was asked a question."""
        return any((row.system, row.id) == (system, id_) for row in self.all)

    def keep(self, rows: Iterable[Timed]) -> None:
        """Keep what was just measured."""
        rows = list(rows)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(map(line_of, rows)))
        self.all += rows


Maker = Callable[[], System]
Scene = Callable[[], list[Timed]]


def measure(
    plan: Plan, systems: Mapping[str, Maker], played: Mapping[str, Scene], rows: Rows, progress: Progress
) -> None:
    """Make all measurements of a plan that ``rows`` doesn't hold yet. A failure is a measurement too.

    :param systems: how to make each system by name; one that is not here is left out. ``played``: the scenes.
    """
    wanted = {
        name: [question for question in plan.asked(name) if not rows.has(name, question.id)]
        for name in plan.names
        if name in systems
    }
    ready: dict[str, System] = {}
    for name in (name for name, questions in wanted.items() if questions):
        progress(f"Warming up: {name}")
        ready[name] = systems[name]()
        ready[name](plan.warm_up)
    done, total = 0, sum(map(len, wanted.values()))
    for question in plan.questions:
        for name in (name for name in ready if question in wanted[name]):
            progress("Timing questions", done, total)
            row = tried(question.id, question, ready[name], Timed)
            rows.keep([row.model_copy(update={"system": name, "kind": question.kind})])
            done += 1
    for name in plan.names:
        if name in played and not any(row.system.startswith(name) for row in rows.all):
            progress(f"Timing: {name}")
            rows.keep(played[name]())


def makers(assistant: Assistant, command: Command, gguf: Path | None) -> dict[str, Maker]:
    """How to make each system. Those that write with transformers share one copy of the weights."""
    warm, transformer = Warm(assistant), Transformer(assistant.settings)
    made: dict[str, Maker] = {
        "assistant": lambda: warm,
        "transformers": lambda: Plain(warm, transformer),
        "starter": lambda: StarterPeer(assistant, transformer),
        "cold": lambda: Cold(command),
    }
    if gguf is not None:
        made["llama.cpp"] = lambda: LlamaCpp(warm, transformer, gguf)
    return made


def scene_makers(assistant: Assistant, command: Command) -> dict[str, Scene]:
    """How to play each scene."""
    told = [question for question in _development() if question.kind == "what-does"]
    return {
        "eight": partial(scenes.eight, assistant, mixed(AT_ONCE)),
        "memory": partial(scenes.memory, assistant.settings, command, mixed(MEMORY_QUESTIONS)),
        "follow-up": partial(scenes.follow_up, assistant, sample(told, FOLLOWED_UP)),
    }


def same_weights(settings: Settings, given: Path | None) -> tuple[Path | None, str]:
    """The GGUF file that llama.cpp is to read, or None and why there is none.

    :param given: what the user names; otherwise it is looked for in ``settings.weights_dir``.
    :raises UsageError: if it is not the file that the assistant's weights were made from.
    """
    spec = CATALOGUE.get(settings.model.lower())
    if given is None and settings.weights_dir is not None and spec is not None:
        beside = settings.weights_dir.expanduser() / spec.weights
        given = beside if beside.is_file() else None
    if importlib.util.find_spec("llama_cpp") is None:
        return None, "llama-cpp-python is not installed (it compiles for minutes)"
    if given is None:
        return None, "no GGUF file: name the one of the model that is set with --gguf FILE"
    if not given.is_file():
        raise UsageError(f"There is no file {given}: name the GGUF file of {settings.model} with --gguf.")
    if spec is None or file_sha256(given) != spec.sha256:
        raise UsageError(f"{given} is not the file that {settings.model} was made from: the weights must be the same.")
    return given, ""


def _begun(folder: Path, manifest: Manifest) -> Manifest:
    """Make ready the folder of an unfinished run: go on with the one there, if it was made with the same on the same.

    :returns: the manifest of the run, that of its beginning.
    """
    if (folder / FILE).is_file():
        before = Manifest.read(folder)
        same = (before.commit, before.machine) == (manifest.commit, manifest.machine)
        if same and not before.differences(manifest):
            return before
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write(folder)
    return manifest


def bench(assistant: Assistant, plan: Plan, folder: Path, given: Path | None, progress: Progress) -> Bench:
    """Make a run, or go on with an unfinished one, and write what came of it into the folder.

    :param given: the GGUF file for llama.cpp. :raises UsageError: if that is another model's.
    """
    check_whole(assistant)
    gguf, why = same_weights(assistant.settings, given) if "llama.cpp" in plan.names else (None, "")
    unfinished = folder / _UNFINISHED
    manifest = _begun(unfinished, Manifest.now(assistant, "speed", plan.names, len(plan.questions)))
    rows = Rows(unfinished / _ROWS)
    with tempfile.TemporaryDirectory(prefix="papertrail-bench-") as home:
        command = Command(assistant.settings, Path(home))
        measure(plan, makers(assistant, command, gguf), scene_makers(assistant, command), rows, progress)
    beside = {}
    if gguf is not None:  # it was checked to be the catalogue's
        sha256 = CATALOGUE[assistant.settings.model.lower()].sha256
        beside = {"llama-cpp-python": version("llama-cpp-python"), "gguf_sha256": sha256}
    made = Bench.of(rows.all, manifest, beside, {"llama.cpp": why} if why else {})
    write_whole(folder / "bench.json", made.model_dump_json(indent=1) + "\n")
    write_whole(folder / "bench.md", as_markdown(made))
    write_png(made, folder / "bench.png")
    if not any(row.error for row in rows.all):
        shutil.rmtree(unfinished)
    return made


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m eval.bench", description="Measure speed beside the peers.")
    parser.add_argument("--questions", type=int, default=QUESTIONS, metavar="N", help=f"by default {QUESTIONS}")
    parser.add_argument(
        "--systems", default=",".join((*SYSTEMS, *SCENES)), metavar="A,B", help="by default %(default)s"
    )
    parser.add_argument("--output", type=Path, default=HERE / "speed", metavar="FOLDER", help="by default %(default)s")
    parser.add_argument("--gguf", type=Path, metavar="FILE", help="the model's GGUF file, for llama.cpp")
    given = parser.parse_args()
    terminal = Terminal()
    try:
        plan = Plan.of(given.questions, given.systems.split(","))
        assistant = Assistant(load_settings(mode="generated"), terminal.progress)
        made = bench(assistant, plan, given.output, given.gguf, terminal.progress)
    except RagError as error:
        terminal.error(str(error))
        return 1
    terminal.done()
    terminal.out(as_markdown(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
