"""The named indexes, side by side: which there are, and how one goes. Each has papers and sources of its own."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass

from rag.errors import RagError, StoreUnavailable
from rag.progress import Progress
from rag.settings import COLLECTION, Settings
from rag.store import no_collection, store_of


@dataclass(frozen=True)
class Collection:
    """One index."""

    name: str
    where: str
    papers: int | None = None
    sha256: str | None = None
    problem: str | None = None
    """Why it can't be searched as it is; None if it can."""


def listed(settings: Settings) -> list[Collection]:
    """All that are where the settings say, by name. :raises StoreUnavailable: if their server can't be had."""
    return [_looked_at(_named(settings, name)) for name in store_of(settings).names()]


def _looked_at(settings: Settings) -> Collection:
    store = store_of(settings)
    try:
        with closing(store.open()) as database:
            return Collection(settings.collection, store.where, database.count(), database.recorded["index_sha256"])
    except StoreUnavailable:
        raise
    except RagError as error:
        return Collection(settings.collection, store.where, problem=str(error))


def remove(settings: Settings, name: str, progress: Progress) -> None:
    """Delete one: the index, and what was kept here for it, pages that were added on the chat page included.

    Of the one that is meant where none is named, the index alone.

    :raises UsageError: if there is none of that name. :raises RagError: if it can't be deleted.
    """
    chosen = _named(settings, name)
    store = store_of(chosen)
    if name not in store.names():
        raise no_collection(chosen)
    with store.alone(progress):
        store.remove()
        shutil.rmtree(chosen.index_dir if name == COLLECTION else chosen.index_dir.parent, ignore_errors=True)


def _named(settings: Settings, name: str) -> Settings:
    return settings.model_copy(update={"collection": name})
