"""An index in a folder: one persistent Chroma database, and what else is searched beside it.

An ingest changes a copy, which takes the place of the index when it is done: what was there answers until then,
whatever happens. One that was stopped goes on in the copy that it left.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from rag.errors import IndexMissing, IndexUnfinished, ModelUnavailable, RagError, StorageError
from rag.progress import Progress
from rag.settings import COLLECTION, Settings
from rag.store import Draft, no_collection, typed
from rag.store.database import Database, check
from rag.tokens import TokenStore

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

    from rag.index import PaperIndex

_DATABASE = "chroma.sqlite3"
_READING = "reading.txt"
"""What the ingest read that made the index, or was to make it: a place a line."""


class FolderStore:
    """A :class:`rag.store.Store` in ``settings.index_dir``."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._folder = settings.index_dir
        self._rebuild = typed(settings, "ingest --rebuild")
        self.where = f"in {self._folder}"

    # Reading -----------------------------------------------------------------------------------

    def open(self) -> Database:
        """As :meth:`rag.store.Store.open`. Who opens it meanwhile gets the same database from Chroma: close it soon."""
        if not self._is_there and self._was.is_dir():
            with storage_errors(self._folder, self._rebuild), self._locked():
                pass  # which puts it back
        database = self.existing()
        if database is None:
            raise self._missing()
        try:
            check(database.recorded, self._settings, self.where)
            if not database.recorded.get("index_sha256"):
                raise self._damaged("it is half-made")
        except BaseException:
            database.close()
            raise
        return database

    def _missing(self) -> RagError:
        scope = _text(self._making / _READING)
        if self._settings.collection != COLLECTION and not scope:
            return no_collection(self._settings)
        again = " again, as when it was stopped" if scope else ""
        return IndexUnfinished(
            f"There is no index in {self._folder} yet: type {typed(self._settings, 'ingest')}{again}.", scope
        )

    def existing(self) -> Database | None:
        """As :meth:`rag.store.Store.existing`. :raises IndexMissing: if it is damaged."""
        return self._opened(self._folder) if self._is_there else None

    def _opened(self, folder: Path) -> Database:
        client = None
        try:
            with self.reading():
                client = _client(folder)
                return Database(client, client.close)
        except RagError:
            if client is not None:
                client.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As :meth:`rag.store.Store.reading`."""
        try:
            yield
        except RagError:
            raise
        except Exception as error:  # Chroma raises whatever its database, its Rust core or pydantic raise
            if "(code: 778)" in str(error) or "disk is full" in str(error):  # opened, it is written to a little
                raise StorageError(
                    f"The index in {self._folder} can't be opened, because the disk is full: make room."
                ) from error
            raise self._damaged(type(error).__name__) from error

    def _damaged(self, reason: str) -> IndexMissing:
        return IndexMissing(f"The index in {self._folder} can't be read ({reason}): type {self._rebuild}.")

    def generation(self) -> object:
        """As :meth:`rag.store.Store.generation`."""
        with suppress(OSError):
            return (self._folder / _DATABASE).stat().st_ino
        return None

    def stamp(self) -> object:
        """As :meth:`rag.store.Store.stamp`."""
        stamps = set()
        for path in self._folder.rglob("*"):
            with suppress(OSError):  # a file of a moment
                about = path.stat()
                stamps.add((str(path), about.st_ino, about.st_mtime_ns))
        return stamps

    def tokens(self, index: PaperIndex) -> TokenStore:
        """As :meth:`rag.store.Store.tokens`. :raises ValueError: if some are missing."""
        kept = TokenStore(self._folder, self._rebuild)
        if kept.places() != {(passage.paper_id, passage.start) for passage in index.passages}:
            kept.close()
            raise ValueError("tokens are missing")
        return kept

    # Changing ----------------------------------------------------------------------------------

    @contextmanager
    def alone(self, progress: Progress) -> Iterator[Callable[[], None]]:
        """As :meth:`rag.store.Store.alone`."""
        with storage_errors(self._folder, self._rebuild), self._locked():
            yield lambda: None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """While no other process changes the index; what one left that was killed is settled first."""
        with locked(self._folder):
            if self._was.is_dir():
                if not self._folder.exists():
                    os.replace(self._was, self._folder)
                shutil.rmtree(self._was, ignore_errors=True)
            yield

    @contextmanager
    def changing(self, scope: Sequence[str], rebuild: bool) -> Iterator[Draft]:
        """As :meth:`rag.store.Store.changing`: there must be room for it twice."""
        try:
            self._begin(rebuild)
            (self._making / _READING).write_text("\n".join(scope), encoding="utf-8")
            with (
                closing(self._made()) as database,
                closing(TokenStore(self._making, self._rebuild)) as tokens,
            ):
                yield Draft(database, tokens, self._making)
            if self._folder.exists():
                os.replace(self._folder, self._was)
            os.replace(self._making, self._folder)
        except ModelUnavailable:
            raise  # a server's embedder has gone; when it is back, the same ingest goes on there
        except Exception:
            self.settle()  # makes room; one that is killed or interrupted goes on there
            raise
        shutil.rmtree(self._was, ignore_errors=True)

    def settle(self) -> None:
        """As :meth:`rag.store.Store.settle`."""
        shutil.rmtree(self._making, ignore_errors=True)

    def remove(self) -> None:
        """As :meth:`rag.store.Store.remove`."""
        self.settle()
        (self._folder / _DATABASE).unlink()  # first: without it there is none
        shutil.rmtree(self._folder)

    def names(self) -> list[str]:
        """As :meth:`rag.store.Store.names`."""
        folders = {COLLECTION: self._settings.store_dir}
        if self._settings.collections_dir.is_dir():
            folders |= {path.name: path for path in self._settings.collections_dir.iterdir()}
        return sorted(name for name, folder in folders.items() if (folder / "index" / _DATABASE).is_file())

    def _begin(self, rebuild: bool) -> None:
        """Have what is to be changed: what an ingest left that was stopped, a copy of the index, or an empty folder."""
        making = self._making
        if not rebuild and (making / _DATABASE).is_file():
            with suppress(RagError), closing(self._opened(making)) as database:
                check(database.recorded, self._settings, f"in {making}")
                return
        shutil.rmtree(making, ignore_errors=True)
        if rebuild or not self._is_there:
            making.mkdir()
            return
        copying = self._folder.with_name(f".copying-{self._folder.name}")
        shutil.rmtree(copying, ignore_errors=True)
        try:
            shutil.copytree(self._folder, copying, ignore=shutil.ignore_patterns("*.sqlite3*"))
            for database_file in self._folder.glob("*.sqlite3"):
                # Chroma writes a little when a reader opens it.
                with (
                    closing(sqlite3.connect(database_file)) as old,
                    closing(sqlite3.connect(copying / database_file.name)) as new,
                ):
                    old.backup(new)
            os.replace(copying, making)
        finally:
            shutil.rmtree(copying, ignore_errors=True)

    def _made(self) -> Database:
        client = _client(self._making)
        try:
            return Database.made(client, client.close, self._settings)
        except BaseException:
            client.close()
            raise

    # Folders -----------------------------------------------------------------------------------

    @property
    def _is_there(self) -> bool:
        return (self._folder / _DATABASE).is_file()

    @property
    def _making(self) -> Path:
        """Where the index is made that is to take a folder's place."""
        return self._folder.with_name(f".making-{self._folder.name}")

    @property
    def _was(self) -> Path:
        """Where an index is for the moment in which another one takes its place."""
        return self._folder.with_name(f".was-{self._folder.name}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While no other process here does the same with a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield


@contextmanager
def storage_errors(folder: Path, rebuild: str) -> Iterator[None]:
    """What fails on the disk meanwhile is one of our errors. :param rebuild: what to type if the index is damaged."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, sqlite3.Error)) and not type(error).__module__.startswith("chromadb"):
            raise
        if any(sign in str(error) for sign in ("malformed", "not a database")):  # as SQLite puts it
            raise IndexMissing(
                f"The index in {folder} can't be read ({type(error).__name__}): type {rebuild}."
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The index in {folder} can't be written ({reason}): make room, mend its permissions, or set RAG_DATA_DIR "
            f"to another folder."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


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
