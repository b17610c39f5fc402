"""The one public entry: a question goes in, events and an answer come out.

>>> assistant = Assistant(load_settings())            # doctest: +SKIP
>>> print(assistant.answer("What does PDS do?").answer)  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag import log
from rag.answering import LISTED, Answering, Tools
from rag.answers import (
    Answer,
    CheckResult,
    SearchResult,
)
from rag.checking import Checker, Verdict
from rag.clock import Clock, Limit
from rag.conversation import Turn, complete, leans_on_history
from rag.embedding import DIMENSIONS, Embedder, Vectors
from rag.errors import IndexMissing, IndexUnfinished, ModelUnavailable, StorageError, TimedOut, UsageError
from rag.events import Drafting, Notice, Working
from rag.evidence import Evidence
from rag.filters import Filters, without_a_date
from rag.index import PaperIndex
from rag.ingest import IngestReport, ingest
from rag.llm import LanguageModel
from rag.loading import LoadedModels
from rag.memory_index import MemoryIndex
from rag.models import ModelStore
from rag.papers import Paper, text_as_paper
from rag.probe import probe_file
from rag.progress import Progress, silent
from rag.prompts import PLACEHOLDERS, Prompt, prompts_sha256
from rag.questions import checked_question, named
from rag.readers import LeftOut, pages, read_corpus, resolved
from rag.reading import Reader, Text
from rag.reread import is_foreign, reread, rewrite
from rag.resources import resource
from rag.retrieval import Found, Retriever
from rag.run import Made, Run, used
from rag.settings import Settings
from rag.text import readable

if TYPE_CHECKING:
    from rag.spread import Workers

NO_FILTERS = Filters()
MAX_TEXT = 100_000
"""Characters of a text that a claim is checked against: some dozen pages."""


Event = Working | Notice | Found | Drafting | Answer


class Assistant:
    """Answers questions from an index. Models and index are opened when first needed and kept."""

    def __init__(self, settings: Settings, progress: Progress = silent):
        self.settings = settings
        self._progress = progress
        self._store = ModelStore.of(settings)
        self._models = LoadedModels()
        self.notices: list[str] = []
        """What the user should know of the state of things: a missing embedder, a broken index."""
        self._trouble = ""
        """What kept the last search from what it should do."""

    # What it works with ------------------------------------------------------------------------

    @cached_property
    def embedder(self) -> Embedder | None:
        """The embedding model; None if it can't be had, which leaves lexical search."""
        try:
            return Embedder.of(self.settings, self._progress)
        except (ModelUnavailable, StorageError) as error:
            self._embedder_failure = str(error)
            self.notices.append(f"{error} Until then papers are found by their words alone.")
            return None

    @cached_property
    def index(self) -> PaperIndex | MemoryIndex:
        """The index, made from the shipped pages (or ``settings.corpus``) if there is none yet.

        :raises IndexMismatch: if it was made with other settings.
        :raises UsageError: if a collection is named that isn't there.
        :raises StoreUnavailable: if its server can't be had: other papers would be no answer.
        """
        try:
            return self._opened_or_made()
        except (IndexMissing, ModelUnavailable, StorageError) as error:
            if not isinstance(error, ModelUnavailable):  # the embedder's absence has its own notice
                self.notices.append(f"{error} Until then the shipped pages are searched by their words alone.")
            return MemoryIndex(
                read_corpus(*default_corpus(self.settings), LeftOut()), self.settings.chunking.characters
            )

    def _opened_or_made(self) -> PaperIndex:
        try:
            return PaperIndex.read(self.settings)
        except IndexUnfinished as error:
            if error.scope not in ("", "\n".join(_scope(*default_corpus(self.settings)))):
                raise  # pages of the user's own, which only they can name again
        left_out = LeftOut()
        self.ingest(left_out=left_out)
        if left_out:
            self.notices.append(f"{left_out.summary()} Type `rag ingest` to see why.")
        return PaperIndex.read(self.settings)

    @cached_property
    def model(self) -> LanguageModel:
        """The language model, fetched and converted if need be. :raises ModelUnavailable: if it can't be had."""
        return self._models.model(self.settings, self._progress)

    @property
    def papers(self) -> list[Paper]:
        """All indexed papers."""
        return list(self.index.papers.values())

    @property
    def vectors(self) -> Vectors:
        """Where each of :attr:`papers` stands: the middle of its passages' vectors; shape (papers, dimensions).

        Zeros where there is no embedding model.
        """
        import numpy as np

        places = {paper_id: i for i, paper_id in enumerate(self.index.papers)}
        if not isinstance(self.index, PaperIndex):
            return np.zeros((len(places), DIMENSIONS), dtype=np.float32)
        middles = np.zeros((len(places), self.index.vectors.shape[1]), dtype=np.float32)
        owners = [places[passage.paper_id] for passage in self.index.passages]
        np.add.at(middles, owners, self.index.vectors)
        middles /= np.maximum(1, np.bincount(owners, minlength=len(places)))[:, None]
        return middles

    @cached_property
    def retriever(self) -> Retriever:
        """What searches the index. :raises IndexMismatch: if its vectors are not of the embedder's length."""
        if self.embedder and isinstance(self.index, PaperIndex):
            self.index.check_dimensions(self.embedder)
        return Retriever(self.index, self.embedder, self.settings.retrieval)

    def with_settings(self, settings: Settings, progress: Progress | None = None) -> Assistant:
        """Another assistant over the same index and with the same models in memory, for one question or a few.

        :param settings: may differ in all but the index, the embedding model and how candidates are compared.
        :param progress: by default that of this assistant.
        """
        other = self._beside(settings, progress or self._progress)
        other.notices = self.notices
        other.__dict__ |= {part: getattr(self, part) for part in ("embedder", "index", "retriever")}
        return other

    def reopening(self, progress: Progress, index: PaperIndex | None = None) -> Assistant:
        """Another assistant with the same models, over this index, or over what it opens itself when it needs one."""
        other = self._beside(self.settings, progress)
        if index is not None:
            other.__dict__["index"] = index
        return other

    def _beside(self, settings: Settings, progress: Progress) -> Assistant:
        other = Assistant(settings, progress)
        other._models = self._models
        same = (settings.writer, settings.generation) == (self.settings.writer, self.settings.generation)
        kept = ("embedder", "model") if same else ("embedder",)
        other.__dict__ |= {part: self.__dict__[part] for part in kept if self.__dict__.get(part) is not None}
        return other

    # Public ------------------------------------------------------------------------------------

    def ingest(
        self,
        paths: Sequence[Path] = (),
        *,
        rebuild: bool = False,
        label: str | None = None,
        left_out: LeftOut | None = None,
        workers: Workers | None = None,
    ) -> IngestReport:
        """Bring the index in line with files or folders of them; by default with the shipped pages.

        :param label: stands for the folder in the names that the papers carry as sources.
        :param left_out: counts what can't be read, and the rest is indexed; what is known of a file that can't be read
            to its end stays.
        :param workers: who embeds and writes in this process's place.
        :raises PageError: if nothing can be read, or, without ``left_out``, not everything; the index stays as it was.
        :raises ModelUnavailable: if the embedding model can't be had.
        """
        places: list[tuple[Path, str | None]] = [(path, label) for path in paths] or [default_corpus(self.settings)]
        papers: list[Paper] = []
        scope: list[str] = []
        for path, label in places:
            self._progress(f"Reading {path}")
            papers += read_corpus(path, label, left_out)
            scope += _scope(path, label)
        if not papers:
            raise (left_out or LeftOut()).error()
        return self._bring_in_line(papers, scope, rebuild, left_out.cut_off if left_out else (), workers)

    def remove(self, pages: Sequence[str] = (), papers: Container[str] = ()) -> IngestReport:
        """Drop from the index what was read from these pages, by the names that their papers carry as sources.

        A paper that stands on another page too stays. What is dropped comes back when its page is read again.

        :param papers: ids of papers that are dropped wherever they stand.
        :raises RagError: as :meth:`ingest`.
        """
        return self._bring_in_line([], pages, dropped=papers)

    @log.request()
    @log.stage("ingest")
    def _bring_in_line(
        self,
        papers: Sequence[Paper],
        scope: Sequence[str],
        rebuild: bool = False,
        cut_off: Container[str] = (),
        workers: Workers | None = None,
        dropped: Container[str] = (),
    ) -> IngestReport:
        if self.embedder is None:
            raise ModelUnavailable(self._embedder_failure)
        self.close()
        return ingest(
            self.settings,
            papers,
            embedder=self.embedder,
            scope=scope,
            cut_off=cut_off,
            dropped=dropped,
            rebuild=rebuild,
            workers=workers,
            progress=self._progress,
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
        return papers, without_a_date(undated)

    def told(self, filters: Filters = NO_FILTERS) -> list[str]:
        """What the user should know of an answer: the notices, and how many undated papers a filter leaves out."""
        _ = self.retriever  # opens what there is to open, which may add notices
        _, undated = self.select(filters)
        return [*self.notices, *(told for told in (self._trouble, undated) if told)]

    @log.request()
    @log.stage("search")
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
        clock = Clock()
        with log.stage("retrieve"):
            found = self.retriever.search(question, max(count, self.settings.retrieval.reread), among)
        clock.lap("retrieve")
        self._trouble = found.trouble
        if closely and self._is_unsure(question, found):
            self._progress("Reading the nearest papers again")
            try:
                with log.stage("reread"):
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
        if (
            not self.settings.retrieval.reread
            or self.settings.mode == "extractive"
            or self._models.failed(self.settings)
        ):
            return False
        if self.settings.llm.url:
            return not self.settings.offline
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
        self, question: str, found: Found, among: Sequence[Paper] | None, model: LanguageModel
    ) -> Found:
        retrieval = self.settings.retrieval
        question, found = self._search_rewritten(question, found, among, model)
        if found.certainty >= retrieval.reread_below:
            return found
        return reread(question, found, retrieval.reread, model, self._prompts["reread"])

    def _search_rewritten(
        self,
        question: str,
        found: Found,
        among: Sequence[Paper] | None,
        model: LanguageModel,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[str, Found]:
        """A second search with the question in other words; with these alone where it is in another language.

        :returns: the question in the words that were searched alone, or as it was, and what was found.
        """
        rewritten = rewrite(question, model, self._prompts["rewrite"], stopped)
        if is_foreign(question, self.index.lexical):
            return rewritten, self.retriever.search(rewritten, len(found.papers), among)
        return question, self.retriever.search(question, len(found.papers), among, also=rewritten)

    def answer(self, question: str, filters: Filters = NO_FILTERS, history: Sequence[Turn] = ()) -> Answer:
        """The answer to one question. :raises RagError: as :meth:`ask`."""
        for event in self.ask(question, filters, history=history):
            if isinstance(event, Answer):
                return event
        raise AssertionError("ask ends with an answer")

    def ask(
        self,
        question: str,
        filters: Filters = NO_FILTERS,
        stopped: Callable[[], bool] = lambda: False,
        *,
        history: Sequence[Turn] = (),
    ) -> Iterator[Event]:
        """Answer a question, telling what is being done; the last event is the :class:`Answer`.

        :param stopped: asked while the draft is written; once true, what is written so far is checked and shown.
        :param history: the turns before, oldest first. They complete a question that leans on them, and do no more.
        :raises UsageError: for a question that can't be one, or a filter for a paper that isn't indexed.
        :raises ModelUnavailable: in mode "generated", if the model can't be had; mode "auto" falls back.
        :raises TimedOut: in mode "generated", if the model takes too long; mode "auto" falls back.
        """
        return log.of_one_request(self._logged(question, self._ask(question, filters, stopped, history)))

    def _logged(self, question: str, events: Iterator[Event]) -> Generator[Event, None, None]:
        """The same events; how they end is logged."""
        words = self.settings.log.questions
        answer: Answer | None = None
        with log.stage("answer", **({"question": question} if words else {})) as noted:
            for event in events:
                if isinstance(event, Answer):
                    answer = event
                    break
                yield event
            if answer:
                noted.update(kind=answer.kind, mode=answer.mode, refused=answer.refusal_reason)
                noted.update(sentences=len(answer.sentences), **({"answer": answer.answer} if words else {}))
        if answer:  # who has it goes, and that is no stop
            yield answer

    def _ask(
        self, question: str, filters: Filters, stopped: Callable[[], bool], history: Sequence[Turn]
    ) -> Iterator[Event]:
        question = checked_question(question)
        if self.settings.mode != "extractive" and not self.settings.llm.url:
            self._store.identify(self.settings.model)
        clock = Clock()
        self._trouble = ""
        yield Working("Searching")
        yield from map(Notice, self.told(filters))
        asked, understood = question, None
        if history and self._leans(question):
            yield Working("Completing the question", needs_model=self.settings.mode != "extractive")
            with log.stage("complete"):
                understood = self._completed(question, history)
            question = checked_question(understood)
            clock.lap("complete")
        among, _ = self.select(filters)
        retrieval = self.settings.retrieval
        with log.stage("retrieve") as noted:
            found = self.retriever.search(question, max(retrieval.papers, retrieval.reread, LISTED), among)
            noted.update(papers=len(found.papers), confidence=round(found.confidence, 3))
        if found.trouble:
            yield Notice(found.trouble)
        clock.lap("retrieve")
        considered = None if among is None else len(among)
        run = Run(asked, understood, found, filters, self._made(filters), clock, considered)
        yield run.shown
        unsure = run.mode == "generated" and self._is_unsure(question, found)
        if not found.papers:
            yield run.refusal("no_papers" if among is not None else "off_topic")
        elif run.is_off_topic and not unsure:
            yield run.refusal("off_topic")
        elif run.mode == "extractive":
            yield run.extract()
        else:
            yield from self._compose(run, unsure, among, stopped)

    @log.request()
    @log.stage("claim")
    def check(self, claim: str, filters: Filters = NO_FILTERS) -> CheckResult:
        """Whether the abstract of an indexed paper states a claim: of those near it, the one that supports it best.

        :param filters: which papers may support it; one, to check it against that abstract.
        :raises UsageError: for a claim that can't be one, or a filter for a paper that isn't indexed.
        :raises ModelUnavailable: if neither the language model nor a dedicated checker can be had.
        """
        claim = checked_question(claim, "claim")
        clock = Clock()
        among, _ = self.select(filters)
        found = self.retriever.search(claim, self.settings.grounding.checked_papers, among)
        clock.lap("retrieve")
        verdicts = self.checker.verdicts([(claim, Text.of(paper)) for paper in found.papers])
        # Of papers that don't state it, the one that search found first bears on it most.
        best = max(range(len(verdicts)), key=lambda i: (round(verdicts[i].support, 2), -i), default=None)
        if best is None:
            raise UsageError("No paper passes the filters: there is nothing to check the claim against.")
        return self._checked(claim, found.papers[best], verdicts[best], clock, filters)

    @log.request()
    @log.stage("claim")
    def check_text(self, claim: str, text: str) -> CheckResult:
        """Whether a text of the user's own states a claim. :raises RagError: as :meth:`check`."""
        claim = checked_question(claim, "claim")
        if not text.strip():
            raise UsageError("The text to check the claim against is empty.")
        if len(text) > MAX_TEXT:
            raise UsageError(
                f"The text to check the claim against has {len(text):,} characters and at most {MAX_TEXT:,} are read: "
                f"shorten it."
            )
        clock = Clock()
        read = text_as_paper(text)
        known = self.index.papers.get(read.paper_id, read)  # an indexed abstract is read under its title
        (verdict,) = self.checker.verdicts([(claim, Text.of(known))])
        return self._checked(claim, read, verdict, clock, NO_FILTERS, indexed=False)

    def _checked(
        self, claim: str, paper: Paper, verdict: Verdict, clock: Clock, filters: Filters, *, indexed: bool = True
    ) -> CheckResult:
        quote, _ = Evidence([paper], self.embedder).nearest(claim)
        clock.lap("ground")
        least = self.settings.grounding.min_support
        return CheckResult(
            claim=claim,
            support=verdict.support,
            supported=verdict.support >= least,
            threshold=least,
            paper_id=paper.paper_id if indexed else None,
            title=readable(paper.title) if indexed else None,
            quote=quote.text,
            start=quote.start,
            end=quote.end,
            why=verdict.why,
            model=used(self.model),
            prompt_sha256=self.prompt_sha256,
            index_sha256=self.index.sha256,
            settings_sha256=self.settings_sha256(filters),
            seconds=clock.seconds(),
        )

    def settings_sha256(self, filters: Filters = NO_FILTERS, *extra: object) -> str:
        """Hash over the settings and filters that an answer depends on."""
        fields = self.settings.model_dump(
            mode="json", include={"model", "mode", "chunking", "retrieval", "generation", "grounding"}
        )
        if self.settings.llm.url:
            fields |= {"llm": self.settings.llm.model_dump(include={"url", "model"}), "model": None}
        chosen = [fields, filters.papers, filters.author, filters.since, filters.until, *extra]
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    @cached_property
    def prompt_sha256(self) -> str:
        """Hash over all prompts that an answer depends on, and the probes that read them."""
        probes = None if self.settings.llm.url else probe_file(self.settings.model)
        fitted = probes.read_bytes() if probes and probes.is_file() else b""
        return hashlib.sha256(prompts_sha256().encode() + fitted).hexdigest()

    # Stages ------------------------------------------------------------------------------------

    def _leans(self, question: str) -> bool:
        found = self.retriever.search(question, 1)
        return leans_on_history(question, bool(named(question, found.papers, self.index.lexical.names)))

    def _completed(self, question: str, history: Sequence[Turn]) -> str:
        prompt = self._prompts["complete"]
        if self.settings.mode != "extractive":
            try:
                return complete(question, history, self.model, prompt)
            except (ModelUnavailable, StorageError):
                if self.settings.mode == "generated":
                    raise
        return complete(question, history, None, prompt)

    def _compose(
        self, run: Run, unsure: bool, among: Sequence[Paper] | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        """What the model makes of a question; where it can't be had or is too slow, what the abstracts say themselves.

        :param unsure: whether the model should look more closely at what was found.
        """
        yield Working("Loading the model", needs_model=True)
        stage = "load"
        try:
            with log.stage("load"):
                tools = self._tools
            run.clock.lap(stage)
            stage = "generate"
            yield from self._write(run, tools, unsure, among, stopped)
        except (ModelUnavailable, StorageError, TimedOut) as error:
            if self.settings.mode == "generated":
                raise
            yield Notice(f"{error} Until then answers are sentences extracted from the abstracts.")
            run.clock.lap(stage)
            run.mode = "extractive"
            yield run.refusal("off_topic") if run.is_off_topic else run.extract()

    def _write(
        self, run: Run, tools: Tools, unsure: bool, among: Sequence[Paper] | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        """Write and check. :raises TimedOut: if that takes too long."""
        limit = Limit(self.settings.generation.max_seconds)
        answering = Answering(run.question, run.found.papers, tools, stopped, limit)
        if unsure:
            yield Working("Reading the nearest abstract")
        if unsure and (run.is_off_topic or not answering.is_clear()):
            yield Working("Searching in other words")
            over = limit.or_once(stopped)
            with log.stage("reread"):
                _, run.found = self._search_rewritten(run.question, run.found, among, tools.model, over)
                limit.check()
            run.clock.lap("reread")
            yield run.shown
            if run.is_off_topic:
                yield run.refusal("off_topic")
                return
            answering.consider(run.found.papers)
        retrieval = self.settings.retrieval
        yield from answering.run(max(retrieval.papers, retrieval.reread) if unsure else retrieval.papers)
        yield run.finished(answering.outcome, tools.model)

    @property
    def checker(self) -> Checker:
        """What checks claims. :raises ModelUnavailable: if its model can't be had."""
        return self._tools.checker

    @cached_property
    def _tools(self) -> Tools:
        settings = self.settings
        reader = Reader(self.model, self._prompts["answers"], self._prompts["states"])
        checker = Checker(reader, self._models.checker(settings), settings.grounding.min_support)
        return Tools(
            self.model, self.embedder, reader, checker, self._prompts, self.index.lexical.names, settings.grounding
        )

    def _made(self, filters: Filters) -> Made:
        return Made(
            self.settings,
            self.embedder,
            self.index.lexical.names,
            self.prompt_sha256,
            self.index.sha256,
            self.settings_sha256(filters),
        )

    @cached_property
    def _prompts(self) -> dict[str, Prompt]:
        return {name: Prompt.load(name) for name in PLACEHOLDERS}


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
    folder = resolved(path)
    return [f"{label or folder}/"] if folder.is_dir() else [name for _, name in pages(path, label)]
