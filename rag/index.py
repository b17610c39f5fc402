"""The index: papers and their passages in one persistent Chroma database, and what else is searched beside it.

Two collections: ``papers`` (whole abstracts, with all that is known of a paper) and ``passages``
(LlamaIndex nodes). An ingest changes a copy, which takes the place of the index when it is done: what was
there answers until then, whatever happens. A paper is written after its passages and their token vectors,
so a paper that is there is complete, and an ingest that was stopped goes on in the copy that it left. What
the index was made with is recorded in the ``papers`` collection. The lexical index is saved under the hash
of what it was made of; another one is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock

from rag.catalogue import CATALOGUE, EMBEDDER
from rag.chunking import StoredPassage
from rag.embedding import DIMENSIONS, Embedder, Vectors
from rag.errors import IndexMismatch, IndexMissing, IndexUnfinished, RagError, StorageError
from rag.lexical import LexicalIndex
from rag.papers import Paper, Source, join_papers, join_sources
from rag.progress import Progress, silent
from rag.settings import Settings
from rag.tokens import TokenStore

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")

_SCHEMA = 2
_LEXICAL = "lexical"
_DATABASE = "chroma.sqlite3"
_READING = "reading.txt"
"""What the ingest read that made the index, or was to make it: a place a line."""
_BATCH = 32  # papers; what they take in memory is their tokens' vectors, half a megabyte each
_REBUILD = "`rag ingest --rebuild`"


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


class PaperIndex:
    """An open index. Use :meth:`read` to search one, :meth:`open` to look at one, and :func:`ingest` to change one."""

    def __init__(self, client: ClientAPI, settings: Settings, folder: Path):
        self._client: ClientAPI | None = client
        self._settings = settings
        self._folder = folder
        self._papers: Collection = client.get_collection("papers", embedding_function=None)
        self._passages: Collection = client.get_collection("passages", embedding_function=None)

    @classmethod
    def open(cls, settings: Settings) -> PaperIndex:
        """Open the index for a short look, and close it: who opens it meanwhile gets the same database from Chroma.

        :raises IndexMissing: if there is none, or it is damaged.
        :raises IndexMismatch: if it was made with another embedding model or other chunking.
        :raises StorageError: if the disk is so full that it can't even be opened.
        """
        folder = settings.index_dir
        if not _is_there(folder) and _was(folder).is_dir():
            with _storage_errors(folder), _alone(folder):
                pass  # which puts it back
        if not _is_there(folder):
            scope = _text(_making(folder) / _READING)
            again = " again, as when it was stopped" if scope else ""
            raise IndexUnfinished(f"There is no index in {folder} yet: type `rag ingest`{again}.", scope)
        index = _opened(settings, folder)
        try:
            _check(index.recorded, settings)
            if not index.recorded.get("index_sha256"):
                raise _damaged(folder, "it is half-made")
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def read(cls, settings: Settings) -> PaperIndex:
        """Read all that is searched, as it is at one moment; none of it changes with the index on disk.

        :raises RagError: as :meth:`open`; damage deeper inside shows too.
        """
        before = _inode(settings.index_dir)
        try:
            index = cls._read(settings)
        except IndexMissing:
            if before == _inode(settings.index_dir):
                raise
        else:
            if before == _inode(settings.index_dir):
                return index
            index.close()
        return cls._read(settings)  # another took its place meanwhile

    @classmethod
    def _read(cls, settings: Settings) -> PaperIndex:
        index = cls.open(settings)
        try:
            with _reading(settings):
                _ = index.papers, index.passages, index.vectors, index.tokens
        except BaseException:
            index.close()
            raise
        index._leave()
        return index

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Let go of the databases' files."""
        if "_kept" in self.__dict__:
            self._kept.close()
        self._leave()

    @property
    def recorded(self) -> dict[str, Any]:
        """What the index was made with: schema, embedding model and its hash, chunking, and its own hash."""
        return dict(self._papers.metadata or {})

    @property
    def sha256(self) -> str:
        """Hash over all papers and over how they were cut and embedded."""
        return str(self.recorded["index_sha256"])

    @cached_property
    def papers(self) -> dict[str, Paper]:
        """All papers by id, in the order of their first source."""
        with _reading(self._settings):
            found = self._papers.get(include=["documents", "metadatas"])
        papers = [
            Paper(abstract=abstract, **json.loads(str(metadata["paper"])))
            for abstract, metadata in zip(found["documents"] or [], found["metadatas"] or [], strict=True)
        ]
        papers.sort(key=lambda paper: (paper.sources[0].file, paper.sources[0].start))
        return {paper.paper_id: paper for paper in papers}

    @cached_property
    def passages(self) -> list[StoredPassage]:
        """All passages, in the order of their papers."""
        with _reading(self._settings):
            found = self._passages.get(include=["documents", "metadatas"])
        passages = [
            StoredPassage(str(metadata["paper_id"]), int(metadata["start"]), int(metadata["end"]), text)
            for text, metadata in zip(found["documents"] or [], found["metadatas"] or [], strict=True)
        ]
        order = {paper_id: i for i, paper_id in enumerate(self.papers)}
        return sorted(passages, key=lambda p: (order[p.paper_id], p.start))

    @cached_property
    def vectors(self) -> Vectors:
        """The unit vectors of :attr:`passages`, in their order; shape (passages, 384)."""
        import numpy as np

        with _reading(self._settings):
            found = self._passages.get(include=["embeddings", "metadatas"])
        order = {(passage.paper_id, passage.start): i for i, passage in enumerate(self.passages)}
        vectors = np.zeros((len(order), DIMENSIONS), dtype=np.float32)
        given = found["embeddings"] if found["embeddings"] is not None else []
        for vector, metadata in zip(given, found["metadatas"] or [], strict=True):
            vectors[order[str(metadata["paper_id"]), int(metadata["start"])]] = vector
        return vectors

    @cached_property
    def tokens(self) -> TokenStore:
        """The token vectors of the passages."""
        with _reading(self._settings):
            if self._kept.places() != {(passage.paper_id, passage.start) for passage in self.passages}:
                raise ValueError("tokens are missing")
        return self._kept

    @cached_property
    def _kept(self) -> TokenStore:
        return TokenStore(self._folder)

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The lexical index, made anew in memory if the saved one is not of these papers."""
        saved = LexicalIndex.load(self._folder / _LEXICAL, self.sha256)
        return saved or LexicalIndex.of(list(self.papers.values()))

    # Writing -----------------------------------------------------------------------------------

    def _digests(self) -> dict[str, str]:
        with _reading(self._settings):
            found = self._papers.get(include=["metadatas"])
        return {
            id_: str(metadata["digest"]) for id_, metadata in zip(found["ids"], found["metadatas"] or [], strict=True)
        }

    def _record(self, **values: str) -> None:
        self._papers.modify(metadata=self.recorded | values)

    def _delete(self, paper_ids: Sequence[str]) -> None:
        # Papers first: one without passages would be believed complete.
        for part in _parts(paper_ids, 1000):
            self._papers.delete(ids=list(part))
            self._passages.delete(where={"paper_id": {"$in": list(part)}})
            self._kept.delete(part)

    def _drop_orphans(self, wanted: Iterable[str]) -> None:
        """Forget passages whose paper never came, because an ingest was stopped, or went before them."""
        self._delete(sorted(self._begun() - set(wanted)))

    def _begun(self) -> set[str]:
        """The papers of which there is anything beside the paper itself."""
        metadatas = self._passages.get(include=["metadatas"])["metadatas"] or []
        return {str(metadata["paper_id"]) for metadata in metadatas} | {paper_id for paper_id, _ in self._kept.places()}

    def _write(self, papers: Sequence[Paper], embedder: Embedder) -> None:
        import numpy as np
        from llama_index.core.schema import MetadataMode
        from llama_index.vector_stores.chroma import ChromaVectorStore

        from rag.nodes import PassageParser, as_document

        parser = PassageParser(characters=self._settings.chunking.characters)
        nodes = parser.get_nodes_from_documents([as_document(paper) for paper in papers])
        vectors, tokens = embedder.with_tokens([node.get_content(MetadataMode.EMBED) for node in nodes])
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector.tolist()
        ChromaVectorStore(chroma_collection=self._passages).add(nodes)
        self._kept.write(
            (node.metadata["paper_id"], node.metadata["start"], read) for node, read in zip(nodes, tokens, strict=True)
        )
        owners = np.array([node.metadata["paper_id"] for node in nodes])
        self._papers.add(
            ids=[paper.paper_id for paper in papers],
            documents=[paper.abstract for paper in papers],
            metadatas=[
                {"paper": paper.model_dump_json(exclude={"abstract"}), "digest": paper.digest} for paper in papers
            ],
            # A paper stands at the middle of its passages.
            embeddings=[vectors[owners == paper.paper_id].mean(axis=0) for paper in papers],
        )


def ingest(
    settings: Settings,
    papers: Iterable[Paper],
    *,
    embedder: Embedder,
    scope: Sequence[str] | None = None,
    dropped: Container[str] = (),
    rebuild: bool = False,
    progress: Progress = silent,
) -> IngestReport:
    """Bring the index in line with what was read.

    :param papers: the papers that were read.
    :param scope: the files, and folders ending in ``/``, that they were read from: papers known only
        from there and not among ``papers`` are dropped. None means that ``papers`` is everything.
    :param dropped: ids of papers that are dropped wherever they were read, unless they are among ``papers``.
    :param rebuild: cut and embed every paper again, in a new database that replaces the old one when it is done.
    :raises IndexMissing: if the index is damaged and ``rebuild`` is false.
    :raises IndexMismatch: if the index was made otherwise than the settings say and ``rebuild`` is false.
    :raises StorageError: if the index can't be written: there must be room for it twice. What was there stays.
    """
    folder = settings.index_dir
    making = _making(folder)
    with _storage_errors(folder), _alone(folder):
        known, stored = _known(settings, rebuild)
        wanted = _wanted({id_: paper for id_, paper in known.items() if id_ not in dropped}, papers, scope)
        report = _compared(wanted, {} if rebuild else stored)
        if _is_there(folder) and not rebuild and not report.changed:
            shutil.rmtree(making, ignore_errors=True)  # left by one that was stopped
            return report
        try:
            _begin(making, folder, settings, rebuild)
            (making / _READING).write_text("\n".join(scope or ()), encoding="utf-8")
            with closing(_open_to_write(making, settings)) as index:
                _bring_in_line(index, wanted, embedder, progress)
            if folder.exists():
                os.replace(folder, _was(folder))
            os.replace(making, folder)
        except Exception:
            shutil.rmtree(making, ignore_errors=True)  # makes room; one that is killed or interrupted goes on there
            raise
        shutil.rmtree(_was(folder), ignore_errors=True)
        if rebuild:
            replaced, removed = len(wanted.keys() & known.keys()), len(known.keys() - wanted.keys())
            return IngestReport(len(wanted) - replaced, replaced, removed, 0, len(wanted))
        return report


def _compared(wanted: dict[str, Paper], stored: dict[str, str]) -> IngestReport:
    """:param stored: the digests of what is indexed, by paper."""
    added = len(wanted.keys() - stored.keys())
    unchanged = sum(stored.get(paper.paper_id) == paper.digest for paper in wanted.values())
    replaced = len(wanted) - added - unchanged
    return IngestReport(added, replaced, len(stored.keys() - wanted.keys()), unchanged, len(wanted))


def _bring_in_line(index: PaperIndex, wanted: dict[str, Paper], embedder: Embedder, progress: Progress) -> None:
    stored = index._digests()
    changed = [paper for paper in wanted.values() if stored.get(paper.paper_id) != paper.digest]
    index._delete([paper_id for paper_id in stored if paper_id not in wanted])
    task = f"Indexing {len(changed)} papers"
    progress(task, 0, len(changed))
    done = 0
    embedder = embedder.in_bulk() if changed else embedder
    there = stored.keys() | index._begun()  # passages of a paper that was stopped half-way are there without it
    for part in _parts(changed, _BATCH):
        index._delete([paper.paper_id for paper in part if paper.paper_id in there])
        index._write(part, embedder)
        done += len(part)
        progress(task, done, len(changed))
    index._drop_orphans(wanted)
    made = _index_hash(index)
    progress("Indexing words and names")
    LexicalIndex.of(list(index.papers.values())).save(index._folder / _LEXICAL, made)
    index._record(index_sha256=made)


# Folders ---------------------------------------------------------------------------------------


def _is_there(folder: Path) -> bool:
    return (folder / _DATABASE).is_file()


def _inode(folder: Path) -> int | None:
    """What tells one index from another in its place."""
    try:
        return (folder / _DATABASE).stat().st_ino
    except OSError:
        return None


def _making(folder: Path) -> Path:
    """Where the index is made that is to take a folder's place."""
    return folder.with_name(f".making-{folder.name}")


def _was(folder: Path) -> Path:
    """Where an index is for the moment in which another one takes its place."""
    return folder.with_name(f".was-{folder.name}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process changes the index; what one left that was killed is settled first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if _was(folder).is_dir():
            if not folder.exists():
                os.replace(_was(folder), folder)
            shutil.rmtree(_was(folder), ignore_errors=True)
        yield


def _begin(making: Path, folder: Path, settings: Settings, rebuild: bool) -> None:
    """Have what is to be changed: what an ingest left that was stopped, a copy of the index, or an empty folder."""
    if not rebuild and _is_there(making):
        with suppress(RagError), closing(_opened(settings, making)) as index:
            _check(index.recorded, settings)
            return
    shutil.rmtree(making, ignore_errors=True)
    if rebuild or not _is_there(folder):
        making.mkdir()
        return
    copying = folder.with_name(f".copying-{folder.name}")
    shutil.rmtree(copying, ignore_errors=True)
    try:
        shutil.copytree(folder, copying, ignore=shutil.ignore_patterns("*.sqlite3*"))
        for database in folder.glob("*.sqlite3"):
            # Chroma writes a little when a reader opens it.
            with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(copying / database.name)) as new:
                old.backup(new)
        os.replace(copying, making)
    finally:
        shutil.rmtree(copying, ignore_errors=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


# What it is made of ----------------------------------------------------------------------------


def _wanted(known: dict[str, Paper], read: Iterable[Paper], scope: Sequence[str] | None) -> dict[str, Paper]:
    """What the index should hold: known papers less their sources in scope, joined with what was read."""
    wanted: dict[str, Paper] = {}
    for paper in known.values() if scope is not None else ():
        kept = [source for source in paper.sources if not _in_scope(source, scope or ())]
        if kept:
            wanted[paper.paper_id] = join_sources(paper, kept)
    for paper in read:
        other = wanted.get(paper.paper_id)
        wanted[paper.paper_id] = join_papers(paper, other) if other else paper
    return wanted


def _in_scope(source: Source, scope: Sequence[str]) -> bool:
    return any(source.file == place or (place.endswith("/") and source.file.startswith(place)) for place in scope)


def _known(settings: Settings, rebuild: bool) -> tuple[dict[str, Paper], dict[str, str]]:
    """What is indexed, and the digests under which it is."""
    if not _is_there(settings.index_dir):
        return {}, {}
    try:
        with closing(_opened(settings, settings.index_dir)) as index:
            if not rebuild:
                _check(index.recorded, settings)
            return index.papers, index._digests()
    except IndexMissing:
        if rebuild:  # beyond reading; the pages are read anew
            return {}, {}
        raise


def _opened(settings: Settings, folder: Path) -> PaperIndex:
    """The index in a folder, whatever it was made with. :raises IndexMissing: if it is damaged."""
    client = None
    try:
        with _reading(settings):
            client = _client(folder)
            return PaperIndex(client, settings, folder)
    except RagError:
        if client is not None:
            client.close()
        raise


def _open_to_write(folder: Path, settings: Settings) -> PaperIndex:
    client = _client(folder)
    # Passages first: an index is recognised by its papers.
    # The graph that Chroma keeps for approximate searches is not asked here, so it is made as cheaply as can be.
    configuration: Any = {"hnsw": {"space": "cosine", "ef_construction": 10, "max_neighbors": 4}}
    try:
        client.get_or_create_collection("passages", embedding_function=None, configuration=configuration)
        client.get_or_create_collection(
            "papers", embedding_function=None, configuration=configuration, metadata=_made_with(settings)
        )
        return PaperIndex(client, settings, folder)
    except BaseException:
        client.close()
        raise


def _made_with(settings: Settings) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "embedding_model": EMBEDDER,
        "embedding_sha256": CATALOGUE[EMBEDDER].sha256,
        "chunk_characters": settings.chunking.characters,
    }


def _check(recorded: dict[str, Any], settings: Settings) -> None:
    for name, now in _made_with(settings).items():
        then = recorded.get(name)
        if then != now and name == "schema":
            raise IndexMismatch(
                f"The index in {settings.index_dir} was made by another version of PaperTrail: type {_REBUILD}."
            )
        if then != now:
            raise IndexMismatch(
                f"The index in {settings.index_dir} was made with {name} {then}, and {now} is set: type {_REBUILD}, "
                f"or set it back."
            )


def _index_hash(index: PaperIndex) -> str:
    made_with = {name: value for name, value in index.recorded.items() if name not in ("index_sha256", "reading")}
    content = json.dumps([made_with, sorted(index._digests().items())], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _client(folder: Path) -> ClientAPI:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    try:
        return chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))
    except Exception:
        # Chroma keeps what it failed to start under its path, and would hand that out at the next try.
        SharedSystemClient._identifier_to_system.pop(str(folder), None)
        SharedSystemClient._identifier_to_refcount.pop(str(folder), None)
        raise


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]


@contextmanager
def _reading(settings: Settings) -> Iterator[None]:
    try:
        yield
    except RagError:
        raise
    except Exception as error:  # Chroma raises whatever its database, its Rust core or pydantic raise
        if "(code: 778)" in str(error) or "disk is full" in str(error):  # opened, it is written to a little
            raise StorageError(
                f"The index in {settings.index_dir} can't be opened, because the disk is full: make room."
            ) from error
        raise _damaged(settings.index_dir, type(error).__name__) from error


def _damaged(folder: Path, reason: str) -> IndexMissing:
    return IndexMissing(f"The index in {folder} can't be read ({reason}): type {_REBUILD}.")


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, sqlite3.Error)) and not type(error).__module__.startswith("chromadb"):
            raise
        if any(sign in str(error) for sign in ("malformed", "not a database")):  # as SQLite puts it
            raise _damaged(folder, type(error).__name__) from error
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The index in {folder} can't be written ({reason}): make room, mend its permissions, or set RAG_DATA_DIR "
            f"to another folder."
        ) from error
