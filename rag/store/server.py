"""An index on a Chroma server: two of its collections, changed in place.

While an ingest is under way, or when it was stopped, the record says what it reads, and who reads takes the papers
that are whole. Token vectors and the lexical index are kept in a folder here, made of what is read.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from rag.chunking import StoredPassage
from rag.embedding import Embedder
from rag.errors import IndexMissing, IndexUnfinished, RagError, StoreUnavailable
from rag.models import ModelStore
from rag.progress import Progress
from rag.settings import COLLECTION, Settings
from rag.store import Draft, no_collection, typed
from rag.store.connection import away, connected, connection, release
from rag.store.database import Database, check, made_with
from rag.store.derived import DerivedTokens
from rag.store.folder import locked, storage_errors
from rag.tokens import TokenStore

if TYPE_CHECKING:
    from rag.index import PaperIndex

_OURS = "papertrail."
"""How the names of our collections begin: a server may hold those of others."""
_PAPERS = re.compile(r"papertrail\.([a-z0-9_-]+)\.papers")
_OWNER = "owner.txt"


class ServerStore:
    """A :class:`rag.store.Store` at ``settings.store.url``."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._url = str(settings.store.url)
        self._prefix = prefix_of(settings)
        self._folder = settings.index_dir
        self._rebuild = typed(settings, "ingest --rebuild")
        named = f" under the name {settings.collection}" if settings.collection != COLLECTION else ""
        self.where = f"at {self._url}{named}"

    # Reading -----------------------------------------------------------------------------------

    def open(self) -> Database:
        """As :meth:`rag.store.Store.open`."""
        database = self.existing()
        if database is None:
            raise self._missing()
        try:
            recorded = database.recorded
            check(recorded, self._settings, self.where)
            if not recorded.get("index_sha256"):
                raise IndexUnfinished(
                    f"The index {self.where} is not whole yet, because its first ingest is under way or was stopped: "
                    f"wait for it, or type {typed(self._settings, 'ingest')} again, as then.",
                    str(recorded.get("reading", "")),
                )
        except BaseException:
            database.close()
            raise
        return database

    def _missing(self) -> RagError:
        if self._settings.collection != COLLECTION:
            return no_collection(self._settings)
        return IndexUnfinished(f"There is no index {self.where} yet: type {typed(self._settings, 'ingest')}.")

    def existing(self) -> Database | None:
        """As :meth:`rag.store.Store.existing`. :raises StoreUnavailable: if the server can't be had."""
        from chromadb.errors import NotFoundError

        with self.reading():
            client = connected(self._settings.store)
            try:
                return Database(client, partial(release, client), self._prefix)
            except BaseException as error:
                release(client)
                if isinstance(error, NotFoundError):
                    return None
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As :meth:`rag.store.Store.reading`."""
        try:
            with self._asking():
                yield
        except (RagError, OSError, sqlite3.Error):
            raise
        except Exception as error:
            raise IndexMissing(
                f"The index {self.where} can't be read ({type(error).__name__}): type {self._rebuild}."
            ) from error

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What the server or the way to it spoils meanwhile is one of our errors."""
        try:
            yield
        except httpx.HTTPError as error:
            raise away(self._url, error) from error
        except Exception as error:
            if not type(error).__module__.startswith("chromadb"):
                raise
            raise StoreUnavailable(f"The Chroma server at {self._url} fails ({error}): look at its log.") from error

    def generation(self) -> object:
        """As :meth:`rag.store.Store.generation`."""
        database = self.existing()
        if database is None:
            return None
        with closing(database):
            return database.recorded

    def stamp(self) -> object:
        """As :meth:`rag.store.Store.stamp`."""
        return self.generation()

    def tokens(self, index: PaperIndex) -> TokenStore:
        """As :meth:`rag.store.Store.tokens`."""
        passages: dict[str, list[StoredPassage]] = defaultdict(list)
        for passage in index.passages:
            passages[passage.paper_id].append(passage)

        def texts(paper_id: str) -> list[str]:
            return [f"{index.papers[paper_id].title}\n{passage.text}" for passage in passages.get(paper_id, ())]

        with storage_errors(self._folder, self._rebuild):
            return DerivedTokens(self._folder, self._rebuild, texts, lambda: self._embedder)

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder.load(ModelStore.of(self._settings))

    # Changing ----------------------------------------------------------------------------------

    @contextmanager
    def alone(self, progress: Progress) -> Iterator[Callable[[], None]]:
        """As :meth:`rag.store.Store.alone`: of all who use the server."""
        from rag.store.lock import held

        def waiting() -> None:
            progress("Waiting for another ingest to end")

        with storage_errors(self._folder, self._rebuild), self._asking(), locked(self._folder):
            owner = _owner(self._folder)
            with (
                connection(self._settings.store) as client,
                held(client, f"{self._prefix}lock", owner, waiting) as still,
            ):
                yield still

    @contextmanager
    def changing(self, scope: Sequence[str], rebuild: bool) -> Iterator[Draft]:
        """As :meth:`rag.store.Store.changing`: in place, so that one that is stopped leaves what it has done."""
        if rebuild and self._is_of_another_embedder:
            self.remove()  # a collection takes vectors of one length
        with (
            closing(database_of(self._settings)) as database,
            closing(DerivedTokens(self._folder, self._rebuild)) as tokens,
        ):
            again = {"rebuilding": "yes", **made_with(self._settings)} if rebuild else {}
            database.record({"reading": "\n".join(scope)} | again)
            yield Draft(database, tokens, self._folder)
            database.record({"reading": None, "rebuilding": None})

    @property
    def _is_of_another_embedder(self) -> bool:
        database = self.existing()
        if database is None:
            return False
        with closing(database):
            name = "embedding_model"
            return bool(database.recorded.get(name) != made_with(self._settings)[name])

    def settle(self) -> None:
        """As :meth:`rag.store.Store.settle`: nothing was left."""

    def remove(self) -> None:
        """As :meth:`rag.store.Store.remove`."""
        with connection(self._settings.store) as client:
            client.delete_collection(f"{self._prefix}papers")  # first: without it there is none
            client.delete_collection(f"{self._prefix}passages")

    def names(self) -> list[str]:
        """As :meth:`rag.store.Store.names`."""
        with self.reading(), connection(self._settings.store) as client:
            found = (_PAPERS.fullmatch(one.name) for one in client.list_collections())
            return sorted(match[1] for match in found if match)


def database_of(settings: Settings) -> Database:
    """The database of a collection on a server, to be written; made if it is not there.

    :raises StoreUnavailable: if the server can't be had.
    """
    client = connected(settings.store)
    try:
        return Database.made(client, partial(release, client), settings, prefix_of(settings))
    except BaseException:
        release(client)
        raise


def prefix_of(settings: Settings) -> str:
    """How the names of a collection's collections begin on a server."""
    return f"{_OURS}{settings.collection}."


def _owner(folder: Path) -> str:
    """The name of this folder among all that change the index: one process at a time speaks for it."""
    file = folder / _OWNER
    folder.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        file.write_text(uuid.uuid4().hex, encoding="utf-8")
    return file.read_text(encoding="utf-8")
