"""Brings an index in line with what was read: what is new is written, what changed replaced, what is gone dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rag.embedding import Embedder
from rag.errors import IndexMissing
from rag.index import LEXICAL
from rag.lexical import LexicalIndex
from rag.papers import Paper, Source, join_papers, join_sources
from rag.progress import Progress, silent
from rag.settings import Settings
from rag.store import Draft, Store, store_of
from rag.store.database import check, index_hash, parts
from rag.store.writing import BATCH, write

if TYPE_CHECKING:
    from rag.spread import Workers


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, in papers."""

    added: int = 0
    replaced: int = 0
    removed: int = 0
    unchanged: int = 0
    total: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.added or self.replaced or self.removed)


def ingest(
    settings: Settings,
    papers: Iterable[Paper],
    *,
    embedder: Embedder,
    scope: Sequence[str] | None = None,
    cut_off: Container[str] = (),
    dropped: Container[str] = (),
    rebuild: bool = False,
    workers: Workers | None = None,
    progress: Progress = silent,
) -> IngestReport:
    """Bring the index in line with what was read.

    :param papers: the papers that were read.
    :param scope: the files, and folders ending in ``/``, that they were read from: papers known only
        from there and not among ``papers`` are dropped. None means that ``papers`` is everything.
    :param cut_off: files in the scope that could not be read to their ends: no paper known from there is dropped.
    :param dropped: ids of papers that are dropped wherever they were read, unless they are among ``papers``.
    :param rebuild: cut and embed every paper again.
    :param workers: who embeds and writes in this process's place; only a server takes what several write.
    :raises UsageError: if there are workers and no server.
    :raises IndexMissing: if the index is damaged and ``rebuild`` is false.
    :raises IndexMismatch: if the index was made otherwise than the settings say and ``rebuild`` is false.
    :raises StorageError: if the index can't be written. What was there stays.
    :raises StoreUnavailable: if the server can't be had; what was written there stays, and the next ingest goes on.
    """
    if workers is not None:
        workers.check(settings)
    store = store_of(settings)
    with store.alone(progress) as still:
        known = _known(store, settings, rebuild)
        rebuild = rebuild or known.is_rebuilding
        staying = {id_: paper for id_, paper in known.papers.items() if id_ not in dropped}
        wanted = _wanted(staying, papers, scope, cut_off)
        report = _compared(wanted, {} if rebuild else known.digests)
        if known.is_whole and not rebuild and not report.changed:
            store.settle()  # left by one that was stopped
            return report
        with store.changing(scope or (), rebuild) as draft:
            _bring_in_line(draft, wanted, rebuild, _Means(settings, embedder, workers, progress, still))
        if rebuild:
            replaced = len(wanted.keys() & known.papers.keys())
            removed = len(known.papers.keys() - wanted.keys())
            return IngestReport(len(wanted) - replaced, replaced, removed, 0, len(wanted))
        return report


@dataclass(frozen=True)
class _Known:
    """What is there before."""

    papers: Mapping[str, Paper] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    is_rebuilding: bool = False
    """Whether a rebuild was stopped half-way, in place."""


@dataclass(frozen=True)
class _Means:
    """With what an index is changed."""

    settings: Settings
    embedder: Embedder
    workers: Workers | None
    progress: Progress
    still: Callable[[], None]
    """Raises if somebody else has taken over."""

    def write(self, papers: Sequence[Paper], draft: Draft, there: Collection[str]) -> None:
        """Write papers, however many they are."""
        task = f"Indexing {len(papers)} papers"
        self.progress(task, 0, len(papers))
        done = 0
        for count in self._written(papers, draft, there):
            done += count
            self.still()
            self.progress(task, done, len(papers))

    def _written(self, papers: Sequence[Paper], draft: Draft, there: Collection[str]) -> Iterable[int]:
        """:returns: how many papers have just been written, whenever some have."""
        if self.workers is not None:
            yield from self.workers.write(papers, self.settings, there)
            return
        embedder = self.embedder.in_bulk() if papers else self.embedder
        characters = self.settings.chunking.characters
        for part in parts(papers, BATCH):
            write(part, draft.database, draft.tokens, embedder=embedder, characters=characters, there=there)
            yield len(part)


def _known(store: Store, settings: Settings, rebuild: bool) -> _Known:
    try:
        database = store.existing()
        if database is None:
            return _Known()
        with closing(database), store.reading():
            recorded = database.recorded
            if not rebuild:
                check(recorded, settings, store.where)
            is_whole = "index_sha256" in recorded and "reading" not in recorded
            return _Known(database.papers(), database.digests(), is_whole, "rebuilding" in recorded)
    except IndexMissing:
        if rebuild:  # beyond reading; the pages are read anew
            return _Known()
        raise


def _wanted(
    known: Mapping[str, Paper], read: Iterable[Paper], scope: Sequence[str] | None, cut_off: Container[str]
) -> dict[str, Paper]:
    """What the index should hold: known papers less their sources in scope, joined with what was read."""
    wanted: dict[str, Paper] = {}
    for paper in known.values() if scope is not None else ():
        kept = [source for source in paper.sources if source.file in cut_off or not _in_scope(source, scope or ())]
        if kept:
            wanted[paper.paper_id] = join_sources(paper, kept)
    for paper in read:
        other = wanted.get(paper.paper_id)
        wanted[paper.paper_id] = join_papers(paper, other) if other else paper
    return wanted


def _in_scope(source: Source, scope: Sequence[str]) -> bool:
    return any(source.file == place or (place.endswith("/") and source.file.startswith(place)) for place in scope)


def _compared(wanted: Mapping[str, Paper], stored: Mapping[str, str]) -> IngestReport:
    """:param stored: the digests of what is indexed, by paper."""
    added = len(wanted.keys() - stored.keys())
    unchanged = sum(stored.get(paper.paper_id) == paper.digest for paper in wanted.values())
    replaced = len(wanted) - added - unchanged
    return IngestReport(added, replaced, len(stored.keys() - wanted.keys()), unchanged, len(wanted))


def _bring_in_line(draft: Draft, wanted: Mapping[str, Paper], rebuild: bool, means: _Means) -> None:
    """:param rebuild: whether what is there counts for nothing."""
    database = draft.database
    database.begin(means.embedder, means.settings, store_of(means.settings).where)
    stored = database.digests()
    changed = [paper for paper in wanted.values() if rebuild or stored.get(paper.paper_id) != paper.digest]
    _drop(draft, stored.keys() - wanted.keys())
    # Passages of a paper that was stopped half-way are there without it.
    means.write(changed, draft, stored.keys() | _begun(draft))
    _drop(draft, _begun(draft) - wanted.keys())
    made = index_hash(database.recorded, database.digests())
    means.progress("Indexing words and names")
    LexicalIndex.of(list(database.papers().values())).save(draft.folder / LEXICAL, made)
    means.still()
    database.record({"index_sha256": made})


def _begun(draft: Draft) -> set[str]:
    """The papers of which there is anything beside the paper itself."""
    return draft.database.begun() | {paper_id for paper_id, _ in draft.tokens.places()}


def _drop(draft: Draft, paper_ids: Iterable[str]) -> None:
    ordered = sorted(paper_ids)
    draft.database.delete(ordered)
    draft.tokens.delete(ordered)
