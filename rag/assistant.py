"""The one public entry: a question goes in, events and an answer come out.

>>> assistant = Assistant(load_settings())            # doctest: +SKIP
>>> print(assistant.answer("What does PDS do?").answer)  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from rag.answers import (
    REFUSALS,
    Answer,
    Citation,
    Dropped,
    ModelUsed,
    Nearest,
    RefusalReason,
    SearchResult,
    Seconds,
    Sentence,
    copied_share,
)
from rag.embedding import Embedder
from rag.errors import IndexMissing, IndexUnfinished, ModelUnavailable, StorageError, UsageError
from rag.filters import Filters
from rag.generation import says_not_stated, tidy, write_draft
from rag.grounding import Evidence, Grounded, Quote, ground
from rag.index import IngestReport, PaperIndex, ingest
from rag.llm import LanguageModel
from rag.memory_index import MemoryIndex
from rag.models import ModelStore
from rag.papers import Paper
from rag.progress import Progress, silent
from rag.prompts import PLACEHOLDERS, Prompt, prompts_sha256
from rag.readers import pages, read_corpus
from rag.reread import is_foreign, reread, rewrite
from rag.resources import resource
from rag.retrieval import Found, Retriever
from rag.settings import Settings
from rag.text import readable

MAX_QUESTION = 4000
NO_FILTERS = Filters()


@dataclass(frozen=True)
class Working:
    """The assistant begins a stage: what it is doing, in words a user reads."""

    stage: str


@dataclass(frozen=True)
class Notice:
    """Something the user should know though work goes on, such as falling back to extracted sentences."""

    text: str


@dataclass(frozen=True)
class Drafting:
    """The draft so far. Nothing in it is checked; show it as a draft or not at all."""

    text: str


Event = Working | Notice | Found | Drafting | Answer


class Assistant:
    """Answers questions from an index. Models and index are opened when first needed and kept."""

    def __init__(self, settings: Settings, progress: Progress = silent):
        self.settings = settings
        self._progress = progress
        self._store = ModelStore.of(settings)
        self._model_failure: ModelUnavailable | StorageError | None = None
        self.notices: list[str] = []
        """What the user should know of the state of things: a missing embedder, a broken index."""

    # What it works with ------------------------------------------------------------------------

    @cached_property
    def embedder(self) -> Embedder | None:
        """The embedding model; None if it can't be had, which leaves lexical search."""
        try:
            return Embedder.load(self._store, self._progress)
        except (ModelUnavailable, StorageError) as error:
            self._embedder_failure = str(error)
            self.notices.append(f"{error} Until then papers are found by their words alone.")
            return None

    @cached_property
    def index(self) -> PaperIndex | MemoryIndex:
        """The index, made from the shipped pages (or ``settings.corpus``) if there is none yet.

        :raises IndexMismatch: if it was made with other settings.
        """
        try:
            return self._opened_or_made()
        except (IndexMissing, ModelUnavailable, StorageError) as error:
            if not isinstance(error, ModelUnavailable):  # the embedder's absence has its own notice
                self.notices.append(f"{error} Until then the shipped pages are searched by their words alone.")
            return MemoryIndex(read_corpus(*default_corpus(self.settings)), self.settings.chunking.characters)

    def _opened_or_made(self) -> PaperIndex:
        try:
            index = PaperIndex.open(self.settings)
        except IndexUnfinished as error:
            if error.scope not in ("", "\n".join(_scope(*default_corpus(self.settings)))):
                raise  # pages of the user's own, which only they can name again
            self.ingest()
            index = PaperIndex.open(self.settings)
        try:
            _ = index.papers, index.passages, index.vectors, index.tokens  # damage deeper inside shows here
        except IndexMissing:
            index.close()
            raise
        return index

    @cached_property
    def model(self) -> LanguageModel:
        """The language model, fetched and converted if need be. :raises ModelUnavailable: if it can't be had."""
        if self._model_failure is not None:
            raise self._model_failure
        try:
            weights = self._store.resolve(self.settings.model, self._progress)
            self._progress(f"Loading {weights.name}")
            return LanguageModel.load(
                weights, self.settings.generation, hub_cache=self.settings.models_dir, offline=self.settings.offline
            )
        except (ModelUnavailable, StorageError) as error:
            self._model_failure = error  # each question would wait for the network again
            raise

    @property
    def papers(self) -> list[Paper]:
        """All indexed papers."""
        return list(self.index.papers.values())

    @cached_property
    def retriever(self) -> Retriever:
        """What searches the index."""
        return Retriever(self.index, self.embedder, self.settings.retrieval)

    # Public ------------------------------------------------------------------------------------

    def ingest(self, paths: Sequence[Path] = (), *, rebuild: bool = False) -> IngestReport:
        """Bring the index in line with pages or folders of pages; by default with the shipped ones.

        :raises PageError: if a page can't be read; the index is left as it was.
        :raises ModelUnavailable: if the embedding model can't be had.
        """
        places: list[tuple[Path, str | None]] = [(path, None) for path in paths] or [default_corpus(self.settings)]
        papers: list[Paper] = []
        scope: list[str] = []
        for path, label in places:
            self._progress(f"Reading {path}")
            papers += read_corpus(path, label)
            scope += _scope(path, label)
        if self.embedder is None:
            raise ModelUnavailable(self._embedder_failure)
        self.close()
        return ingest(
            self.settings, papers, embedder=self.embedder, scope=scope, rebuild=rebuild, progress=self._progress
        )

    def close(self) -> None:
        """Let go of the index; it is opened again when it is needed."""
        self.__dict__.pop("retriever", None)
        index = self.__dict__.pop("index", None)
        if isinstance(index, PaperIndex):
            index.close()

    def select(self, filters: Filters) -> tuple[list[Paper] | None, str | None]:
        """The papers that filters let through (None for all), and a notice about undated ones left out."""
        if not filters:
            return None, None
        papers, undated = filters.select(self.papers)
        notice = f"--since left out {undated} papers without a date." if undated else None
        return papers, notice

    def told(self, filters: Filters = NO_FILTERS) -> list[str]:
        """What the user should know before an answer: the notices, and how many undated papers a filter leaves out."""
        _ = self.retriever  # opens what there is to open, which may add notices
        _, undated = self.select(filters)
        return [*self.notices, *([undated] if undated else [])]

    def search(
        self, question: str, count: int = 10, filters: Filters = NO_FILTERS, *, closely: bool = True
    ) -> SearchResult:
        """The passages of the best ``count`` papers for a question, without any answer.

        :param closely: whether the language model, if it has been fetched, reads the best ones again where that helps.
        :raises UsageError: for a question that can't be one.
        """
        question = checked_question(question)
        among, _ = self.select(filters)
        closely = closely and self.can_reread
        clock = _Clock()
        found = self.retriever.search(question, max(count, self.settings.retrieval.reread), among)
        clock.lap("retrieve")
        if closely and self._is_unsure(question, found):
            self._progress("Reading the nearest papers again")
            try:
                found = self._search_closely(question, found, among, self.model)
                clock.lap("reread")
            except (ModelUnavailable, StorageError) as error:
                self.notices.append(f"{error} Until then unsure searches are not helped by it.")
        found = found.first(count)
        return SearchResult(
            question=question,
            confidence=found.confidence,
            passages=found.passages,
            index_sha256=self.index.sha256,
            settings_sha256=self.settings_sha256(filters, *self.decided_by(count, closely)),
            seconds=clock.seconds(),
        )

    @property
    def can_reread(self) -> bool:
        """Whether a search may ask the language model for help: it never waits for one to be fetched."""
        if not self.settings.retrieval.reread or self.settings.mode == "extractive" or self._model_failure:
            return False
        try:
            return "model" in self.__dict__ or self._store.has(self.settings.model)
        except UsageError:  # there is no such model; a search needs none
            return False

    def decided_by(self, count: int, closely: bool) -> tuple[object, ...]:
        """What a search's result depends on beside settings and filters."""
        return (count, self.prompt_sha256) if closely else (count,)

    def _is_unsure(self, question: str, found: Found) -> bool:
        """Whether the language model's help pays: not where the best paper is clear, nor where nothing is near."""
        retrieval = self.settings.retrieval
        if not found.papers or not retrieval.reread or found.certainty >= retrieval.reread_below:
            return False
        return found.confidence >= retrieval.min_confidence or is_foreign(question, self.index.lexical)

    def _search_closely(
        self,
        question: str,
        found: Found,
        among: Sequence[Paper] | None,
        model: LanguageModel,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Found:
        retrieval = self.settings.retrieval
        rewritten = rewrite(question, model, self._prompts["rewrite"], stopped)
        if is_foreign(question, self.index.lexical):
            found = self.retriever.search(rewritten, len(found.papers), among)
            question = rewritten
        else:
            found = self.retriever.search(question, len(found.papers), among, also=rewritten)
        if found.certainty >= retrieval.reread_below or stopped():
            return found
        return reread(question, found, retrieval.reread, model, self._prompts["reread"])

    def answer(self, question: str, filters: Filters = NO_FILTERS) -> Answer:
        """The answer to one question. :raises RagError: as :meth:`ask`."""
        for event in self.ask(question, filters):
            if isinstance(event, Answer):
                return event
        raise AssertionError("ask ends with an answer")

    def ask(
        self, question: str, filters: Filters = NO_FILTERS, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Answer a question, telling what is being done; the last event is the :class:`Answer`.

        :param stopped: asked while the draft is written; once true, what is written so far is checked and shown.
        :raises UsageError: for a question that can't be one, or a filter for a paper that isn't indexed.
        :raises ModelUnavailable: in mode "generated", if the model can't be had; mode "auto" falls back.
        """
        question = checked_question(question)
        if self.settings.mode != "extractive":
            self._store.identify(self.settings.model)
        clock = _Clock()
        yield Working("Searching")
        yield from map(Notice, self.told(filters))
        among, _ = self.select(filters)
        retrieval = self.settings.retrieval
        found = self.retriever.search(question, max(retrieval.papers, retrieval.reread), among)
        clock.lap("retrieve")
        run = _Run(self, question, filters, found.first(retrieval.papers), clock)
        yield run.found
        unsure = run.mode == "generated" and self._is_unsure(question, found)
        if not found.papers:
            yield run.refusal("no_papers" if among is not None else "off_topic")
        elif run.is_off_topic and not unsure:
            yield run.refusal("off_topic")
        elif run.mode == "extractive":
            yield run.extract()
        else:
            yield from self._compose(run, found if unsure else None, among, stopped)

    def settings_sha256(self, filters: Filters = NO_FILTERS, *extra: object) -> str:
        """Hash over the settings and filters that an answer depends on."""
        fields = self.settings.model_dump(
            mode="json", include={"model", "mode", "chunking", "retrieval", "generation", "grounding"}
        )
        chosen = [fields, filters.papers, filters.author, filters.since, *extra]
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    @cached_property
    def prompt_sha256(self) -> str:
        """Hash over all prompts that an answer depends on."""
        return prompts_sha256()

    # Stages ------------------------------------------------------------------------------------

    def _compose(
        self, run: _Run, unsure: Found | None, among: Sequence[Paper] | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        """Write and check. :param unsure: what was found, where the model should look at it more closely."""
        yield Working("Loading the model")
        try:
            model = self.model
        except (ModelUnavailable, StorageError) as error:
            if self.settings.mode == "generated":
                raise
            yield Notice(f"{error} Until then answers are sentences extracted from the abstracts.")
            run.clock.lap("load")
            run.mode = "extractive"
            yield run.refusal("off_topic") if run.is_off_topic else run.extract()
            return
        run.clock.lap("load")
        if unsure is not None:
            yield Working("Reading the nearest papers again")
            found = self._search_closely(run.question, unsure, among, model, stopped)
            run.found = found.first(self.settings.retrieval.papers)
            run.clock.lap("reread")
            yield run.found
            if run.is_off_topic:
                yield run.refusal("off_topic")
                return
        yield Working("Writing")
        draft = ""
        for piece in write_draft(run.question, run.found.papers, model, self._prompts["answer"], stopped):
            if not draft:
                run.clock.mark("first_token", since="load")
            draft += piece
            yield Drafting(draft)
        run.clock.lap("generate")
        if says_not_stated(draft):
            yield run.refusal("not_stated", draft, model)
            return
        yield Working("Checking")
        grounded = ground(tidy(draft), run.evidence, model, self._prompts["check"])
        run.clock.lap("ground")
        yield run.generated(draft, grounded, model)

    @cached_property
    def _prompts(self) -> dict[str, Prompt]:
        return {name: Prompt.load(name) for name in PLACEHOLDERS}


def checked_question(question: str) -> str:
    """The question, with its space made single.

    :raises UsageError: if it is empty, too long, or holds control characters.
    """
    plain = " ".join(question.split())
    if not plain:
        raise UsageError('The question is empty: type one, as in rag ask "What does PDS do?".')
    if len(plain) > MAX_QUESTION:
        raise UsageError(
            f"The question has {len(plain):,} characters and at most {MAX_QUESTION:,} are read: shorten it."
        )
    for i, character in enumerate(plain):
        if not character.isprintable() and not "\u200b" <= character <= "\u200f":
            raise UsageError(
                f"The question holds a control character (U+{ord(character):04X} at position {i + 1}): type it without."
            )
    return plain


def default_corpus(settings: Settings) -> tuple[Path, str | None]:
    """What is read when no path is named: ``settings.corpus``, or the shipped pages under the label ``seeds``."""
    if settings.corpus is not None:
        return settings.corpus, None
    try:
        return resource("seeds"), "seeds"
    except FileNotFoundError as error:
        raise UsageError(f"{error}: name the pages to read, as in `rag ingest FOLDER`.") from error


def _scope(path: Path, label: str | None) -> list[str]:
    """The sources that reading a path accounts for: a folder, ending in a slash, or single files."""
    folder = path.expanduser().resolve()
    return [f"{label or folder}/"] if folder.is_dir() else [name for _, name in pages(path, label)]


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = now - self._last
        self._last = now

    def mark(self, name: str, since: str) -> None:
        """Time from the question to now, less the stage ``since``, which only the first question pays for."""
        self._laps[name] = time.perf_counter() - self._begun - self._laps.get(since, 0.0)

    def seconds(self) -> Seconds:
        known = {name: round(value, 3) for name, value in self._laps.items() if name in Seconds.model_fields}
        return Seconds(**known, total=round(time.perf_counter() - self._begun, 3))


class _Run:
    """One question on its way to an answer."""

    def __init__(self, assistant: Assistant, question: str, filters: Filters, found: Found, clock: _Clock):
        self.assistant = assistant
        self.question = question
        self.filters = filters
        self.found = found
        self.clock = clock
        extractive = assistant.settings.mode == "extractive"
        self.mode: Literal["generated", "extractive"] = "extractive" if extractive else "generated"

    @property
    def is_off_topic(self) -> bool:
        """Whether nothing that was found is about the question. Who names a paper decides what it is about."""
        least = self.assistant.settings.retrieval.min_confidence
        return self.found.confidence < least and not self.filters.papers

    @cached_property
    def evidence(self) -> Evidence:
        return Evidence(self.found.papers, self.assistant.embedder)

    def refusal(
        self,
        reason: RefusalReason,
        draft: str = "",
        model: LanguageModel | None = None,
        dropped: tuple[Dropped, ...] = (),
    ) -> Answer:
        nearest = tuple(
            Nearest(paper_id=paper.paper_id, title=readable(paper.title), url=paper.url)
            for paper in self.found.papers[:3]
        )
        return self._answer(
            REFUSALS[reason], [], draft=draft, dropped=dropped, model=model, reason=reason, nearest=nearest
        )

    def generated(self, draft: str, grounded: Sequence[Grounded], model: LanguageModel) -> Answer:
        least = self.assistant.settings.grounding.min_support
        kept = [sentence for sentence in grounded if sentence.support >= least]
        dropped = tuple(Dropped(text=s.text, support=s.support) for s in grounded if s.support < least)
        if not kept:
            return self.refusal("unsupported", draft, model, dropped)
        return self._answer(None, kept, draft=draft, dropped=dropped, model=model)

    def extract(self) -> Answer:
        kept = [Grounded(readable(quote.text), (quote,), 1.0) for quote in self.evidence.best(self.question)]
        self.clock.lap("ground")
        return self._answer(None, kept)

    def _answer(
        self,
        text: str | None,
        kept: Sequence[Grounded],
        *,
        draft: str = "",
        dropped: tuple[Dropped, ...] = (),
        model: LanguageModel | None = None,
        reason: RefusalReason | None = None,
        nearest: tuple[Nearest, ...] = (),
    ) -> Answer:
        citations, sentences = _cite(kept)
        shown = " ".join(sentence.text for sentence in sentences)
        assistant = self.assistant
        return Answer(
            question=self.question,
            answer=text or " ".join(sentence.marked for sentence in sentences),
            refused=reason is not None,
            refusal_reason=reason,
            nearest=nearest,
            sentences=sentences,
            citations=citations,
            passages=self.found.passages,
            mode=self.mode,
            copied=round(copied_share(shown, [paper.abstract for paper in self.found.papers]), 4),
            draft=draft,
            dropped=dropped,
            model=ModelUsed(name=model.weights.name, sha256=model.weights.sha256, pinned=model.weights.pinned)
            if model
            else None,
            prompt_sha256=assistant.prompt_sha256,
            index_sha256=assistant.index.sha256,
            settings_sha256=assistant.settings_sha256(self.filters),
            seconds=self.clock.seconds(),
        )


def _cite(kept: Sequence[Grounded]) -> tuple[tuple[Citation, ...], tuple[Sentence, ...]]:
    """Number the quoted papers in order of first use, and each sentence with the papers that it rests on."""
    numbers: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    citations: list[Citation] = []
    sentences: list[Sentence] = []

    def place(quote: Quote) -> int:
        key = (quote.paper.paper_id, quote.start)
        if key not in places:
            n = numbers.setdefault(quote.paper.paper_id, len(numbers) + 1)
            places[key] = len(citations)
            citations.append(Citation.of(n, quote.paper, quote.start, quote.end))
        return places[key]

    for sentence in kept:
        quotes = [place(quote) for quote in sentence.quotes]
        cited = tuple(sorted({citations[i].n for i in quotes}))
        sentences.append(Sentence(text=sentence.text, citations=cited, quotes=tuple(quotes), support=sentence.support))
    return tuple(citations), tuple(sentences)
