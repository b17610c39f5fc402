"""Who is timed: the assistant, warm and as a new process, and its peers with the same weights.

Another one is a class with ``name`` and ``__call__``, made in :func:`eval.bench.makers`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from rag.answers import Answer
from rag.assistant import Assistant
from rag.errors import RagError
from rag.settings import Settings, settings_file

from .data import Question
from .drafts import asked, drafts
from .process import Took, measured
from .starter import Starter
from .timing import Timed, Watch
from .transformer import Transformer

_REFUSED = 3
_CONTEXT = 4096


class System(Protocol):
    """What is asked one question at a time. Who has the question, whose it is and of what kind is noted by others."""

    name: str

    def __call__(self, question: Question) -> Timed: ...


class Warm:
    """The assistant in this process, its models in memory."""

    name = "assistant"

    def __init__(self, assistant: Assistant):
        self.assistant = assistant
        self._answers: dict[str, Answer] = {}

    def __call__(self, question: Question) -> Timed:
        watch = Watch()
        for event in self.assistant.ask(question.question):
            watch.see(event)
        self._answers[question.id] = watch.answer
        return watch.timed(question)

    def answer(self, question: Question) -> Answer:
        """What it answered; asked now, if it was not asked in this process."""
        if question.id not in self._answers:
            self(question)
        return self._answers[question.id]


class Cold:
    """``rag ask`` as a new process: models fetched and index made, but nobody resident to help it."""

    name = "cold"

    def __init__(self, command: Command):
        self._command = command

    def __call__(self, question: Question) -> Timed:
        took = self._command.ask(question.question)
        return Timed(
            id=question.id,
            total=took.seconds,
            first=None,
            peak_bytes=took.peak_bytes,
            refused=took.status == _REFUSED,
        )


class Command:
    """The ``rag`` command in a home of its own: a copy of the index and the settings, and the models where they are."""

    def __init__(self, settings: Settings, home: Path):
        """:param home: an empty folder, in which no server has ever run."""
        self._settings, self._home = settings, home

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The environment that the command is run in."""
        shutil.copytree(self._settings.index_dir, self._home / "data" / "index")
        if settings_file().is_file():
            shutil.copy(settings_file(), self._home / "settings.toml")
        return {
            **os.environ,
            "RAG_HOME": str(self._home),
            "RAG_DATA_DIR": str(self._home / "data"),
            "RAG_CACHE_DIR": str(self._settings.models_dir.parent),
            "RAG_OFFLINE": "true",
        }

    def ask(self, question: str, model: str | None = None) -> Took:
        """Run ``rag ask``. :param model: by default the one that is set. :raises RagError: if it fails."""
        rag = Path(sys.executable).with_name("rag")
        options = ["--mode", self._settings.mode, "--model", model or self._settings.model]
        took = measured([str(rag), "ask", *options, "--", question], self.environment)
        if took.status not in (0, _REFUSED):
            raise RagError(f"rag ask ended with status {took.status}: {took.told}")
        return took


class StarterPeer:
    """LlamaIndex's starter, warm. It shows nothing before its answer is whole."""

    name = "starter"

    def __init__(self, assistant: Assistant, transformer: Transformer):
        self._starter = Starter(assistant, transformer)

    def __call__(self, question: Question) -> Timed:
        record = self._starter(question)
        return Timed(id=question.id, total=record.seconds.total, first=record.seconds.total, refused=record.refused)


class Plain:
    """Plain greedy transformers: the assistant's search, its first prompt with the whole abstract, and one draft.

    Where the assistant wrote nothing, a question about the nearest paper: plain transformers know no refusal.
    """

    name = "transformers"

    def __init__(self, warm: Warm, transformer: Transformer):
        self._warm, self._transformer = warm, transformer

    def __call__(self, question: Question) -> Timed:
        assistant = self._warm.assistant
        draft = asked(self._warm.answer(question), assistant)
        ids = self._transformer.encode(draft.messages, draft.begin)
        _ = self._transformer.model  # loading it is no part of an answer
        begun = time.perf_counter()
        assistant.search(question.question, assistant.settings.retrieval.papers, closely=False)
        search = time.perf_counter() - begun
        written = self._transformer.write(ids, assistant.settings.generation.max_tokens)
        return Timed(
            id=question.id,
            total=search + written.total,
            first=search + written.first,
            stages={"search": search, "read": written.first, "write": written.total - written.first},
            prompt_tokens=len(ids),
            new_tokens=written.tokens,
        )


class LlamaCpp:
    """llama.cpp reading the prompts of the assistant's drafts, and writing exactly as many tokens as they have.

    No search, no reading of other abstracts and no check: of an answer only this part. Where the assistant drafted
    nothing there is nothing to compare. Prompts are given as token ids, so that both read the same; what a prompt
    shares with the one before is kept, as is llama-cpp-python's habit.
    """

    name = "llama.cpp"

    def __init__(self, warm: Warm, transformer: Transformer, gguf: Path):
        """:param transformer: its tokenizer counts; its weights are not loaded for this."""
        self._warm, self._transformer, self._gguf = warm, transformer, gguf

    @cached_property
    def _llama(self) -> Any:
        import torch
        from llama_cpp import Llama

        threads = torch.get_num_threads()  # as many as the others have
        return Llama(str(self._gguf), n_ctx=_CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False)

    def __call__(self, question: Question) -> Timed:
        llama, encode = self._llama, self._transformer
        made = drafts(self._warm.answer(question), self._warm.assistant)
        prompts = [(encode.encode(d.messages, d.begin), len(encode.tokens(d.text))) for d in made]
        prompts = [(ids, count) for ids, count in prompts if count]
        if not prompts:
            return Timed(id=question.id, skipped="the assistant drafted nothing")
        read = write = 0.0
        first: float | None = None
        for ids, count in prompts:
            begun = time.perf_counter()
            tokens = llama.generate(ids, temp=0.0)
            next(tokens)
            told = time.perf_counter()
            written = 1 + sum(1 for _ in islice(tokens, count - 1))
            assert written == count, "llama.cpp ended early"
            first = first or told - begun
            read += told - begun
            write += time.perf_counter() - told
        return Timed(
            id=question.id,
            total=read + write,
            first=first,
            stages={"read": read, "write": write},
            prompt_tokens=sum(len(ids) for ids, _ in prompts),
            new_tokens=sum(count for _, count in prompts),
        )
