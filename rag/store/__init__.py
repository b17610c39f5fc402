"""Where an index is: in a folder of this machine, or on a Chroma server.

Both kinds do the same things (:class:`Store`), each in its own way: a folder is changed as a copy that takes its
place, a server's collections in place, a paper after its passages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag.errors import UsageError
from rag.progress import Progress
from rag.settings import COLLECTION, Settings
from rag.tokens import TokenStore

if TYPE_CHECKING:
    from rag.index import PaperIndex
    from rag.store.database import Database


@dataclass(frozen=True)
class Draft:
    """What an ingest changes."""

    database: Database
    tokens: TokenStore
    folder: Path
    """Where the lexical index goes."""


class Store(Protocol):
    """One index, wherever it is; there need not be one yet."""

    @property
    def where(self) -> str:
        """Where it is, as the end of a sentence about the index."""

    def open(self) -> Database:
        """Open it for a look. It was once whole, and made as the settings say.

        :raises IndexMissing: if there is none, or it is damaged.
        :raises IndexMismatch: if it was made with another embedding model or other chunking.
        :raises StoreUnavailable: if its server can't be had. :raises StorageError: if the disk is full.
        """

    def existing(self) -> Database | None:
        """What there is, however it was made and however far; None if there is nothing."""

    def reading(self) -> AbstractContextManager[None]:
        """What Chroma raises meanwhile is raised as one of our errors."""

    def generation(self) -> object:
        """What tells one index from another in its place, and from itself while it is changed."""

    def stamp(self) -> object:
        """What tells that something has changed, if only that Chroma tidied up."""

    def tokens(self, index: PaperIndex) -> TokenStore:
        """The token vectors of an index that was read."""

    def alone(self, progress: Progress) -> AbstractContextManager[Callable[[], None]]:
        """While nobody else changes it. Gives what is asked now and then: it raises if somebody else took over."""

    def changing(self, scope: Sequence[str], rebuild: bool) -> AbstractContextManager[Draft]:
        """Change it; when that ends well, it holds.

        :param scope: what is read. :param rebuild: whether every paper is written anew.
        """

    def settle(self) -> None:
        """Forget what an ingest left that was stopped, because there is nothing to change."""

    def remove(self) -> None:
        """Delete the index."""

    def names(self) -> list[str]:
        """The names of all that are at the same place, in order; those whose first ingest was stopped may be too."""


def store_of(settings: Settings) -> Store:
    """Where the index of the settings is."""
    if settings.store.url is None:
        from rag.store.folder import FolderStore

        return FolderStore(settings)
    from rag.store.server import ServerStore

    return ServerStore(settings)


def typed(settings: Settings, command: str) -> str:
    """What to type for this index, in backquotes: ``command`` with the options that lead to it."""
    options = f" --store {settings.store.url}" if settings.store.url else ""
    options += f" --collection {settings.collection}" if settings.collection != COLLECTION else ""
    return f"`rag{options} {command}`"


def no_collection(settings: Settings) -> UsageError:
    """What is wrong if a collection is named that isn't there."""
    listed = typed(settings.model_copy(update={"collection": COLLECTION}), "collections")
    return UsageError(
        f"There is no collection {settings.collection}: type {typed(settings, 'ingest PATH')} to make it, or {listed} "
        f"to see which there are."
    )
