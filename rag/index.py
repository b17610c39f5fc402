"""The index as it is read: papers, their passages and vectors, and what else is searched beside them.

Where it is, a folder or a Chroma server, is :mod:`rag.store`'s business; :mod:`rag.ingest` changes it. The lexical
index is saved under the hash of what it was made of; another one is never used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from rag.chunking import StoredPassage, spans
from rag.embedding import Embedder, Vectors
from rag.errors import IndexMissing
from rag.lexical import LexicalIndex
from rag.papers import Paper
from rag.settings import Settings
from rag.store import store_of
from rag.store.database import Database, check_dimensions, index_hash
from rag.tokens import TokenStore

LEXICAL = "lexical"
"""The folder of the lexical index, beside the database."""
_TRIES = 3


class PaperIndex:
    """An open index. Use :meth:`read` to search one, and :meth:`open` to look at one."""

    def __init__(self, settings: Settings, database: Database):
        self._settings = settings
        self._store = store_of(settings)
        self._database = database
        self.recorded: dict[str, Any] = database.recorded
        """What the index was made with: schema, embedding model and its hash, chunking, and its own hash."""

    @classmethod
    def open(cls, settings: Settings) -> PaperIndex:
        """Open the index for a short look, and close it.

        :raises IndexMissing: if there is none, or it is damaged.
        :raises IndexMismatch: if it was made with another embedding model or other chunking.
        :raises StoreUnavailable: if its server can't be had.
        :raises StorageError: if the disk is so full that it can't even be opened.
        """
        return cls(settings, store_of(settings).open())

    @classmethod
    def read(cls, settings: Settings) -> PaperIndex:
        """Read all that is searched, as it is at one moment; none of it changes with the index.

        :raises RagError: as :meth:`open`; damage deeper inside shows too.
        """
        store = store_of(settings)
        for left in reversed(range(_TRIES)):
            before = store.generation()
            try:
                index = cls._read(settings)
            except IndexMissing:
                if not left or before == store.generation():
                    raise
            else:
                if not left or before == store.generation():
                    return index
                index.close()  # another took its place meanwhile
        raise AssertionError("the last try returns or raises")

    @classmethod
    def _read(cls, settings: Settings) -> PaperIndex:
        index = cls.open(settings)
        try:
            with index._store.reading():
                _ = index.papers, index.passages, index.vectors
                if index._is_being_changed:
                    index._take_what_is_whole()
                _ = index.tokens
        except BaseException:
            index.close()
            raise
        index._database.close()
        return index

    def _take_what_is_whole(self) -> None:
        """Leave out papers that an ingest is just writing or removing, or was when it was stopped."""
        starts: dict[str, set[int]] = defaultdict(set)
        for passage in self.passages:
            starts[passage.paper_id].add(passage.start)
        characters = self._settings.chunking.characters
        papers = {
            paper_id: paper
            for paper_id, paper in self.papers.items()
            if {start for start, _ in spans(paper.abstract, characters)} == starts[paper_id]
        }
        kept = [i for i, passage in enumerate(self.passages) if passage.paper_id in papers]
        passages, vectors = [self.passages[i] for i in kept], self.vectors[kept]
        self.__dict__ |= {"papers": papers, "_passages": (passages, vectors)}
        digests = {paper_id: paper.digest for paper_id, paper in papers.items()}
        self.recorded["index_sha256"] = index_hash(self.recorded, digests)

    @property
    def _is_being_changed(self) -> bool:
        """Whether an ingest is under way in it, or was stopped there; in a folder it has a copy for that."""
        return "reading" in self.recorded

    def close(self) -> None:
        """Let go of the databases."""
        if "tokens" in self.__dict__:
            self.tokens.close()
        self._database.close()

    @property
    def sha256(self) -> str:
        """Hash over all papers and over how they were cut and embedded."""
        return str(self.recorded["index_sha256"])

    @cached_property
    def papers(self) -> dict[str, Paper]:
        """All papers by id, in the order of their first source."""
        with self._store.reading():
            return self._database.papers()

    @cached_property
    def _passages(self) -> tuple[list[StoredPassage], Vectors]:
        with self._store.reading():
            passages, vectors = self._database.passages()
            place = {paper_id: i for i, paper_id in enumerate(self.papers)}
            known: Iterable[int] = range(len(passages))
            if self._is_being_changed:  # else there is a paper to every passage
                known = [i for i in known if passages[i].paper_id in place]
            order = sorted(known, key=lambda i: (place[passages[i].paper_id], passages[i].start))
            return [passages[i] for i in order], vectors[np.array(order, dtype=np.intp)]

    @property
    def passages(self) -> list[StoredPassage]:
        """All passages, in the order of their papers."""
        return self._passages[0]

    @property
    def vectors(self) -> Vectors:
        """The unit vectors of :attr:`passages`, in their order; shape (passages, dimensions)."""
        return self._passages[1]

    def check_dimensions(self, embedder: Embedder) -> None:
        """:raises IndexMismatch: if its vectors are of another length than the embedder's."""
        check_dimensions(self.recorded, embedder, self._settings, self._store.where)

    @cached_property
    def tokens(self) -> TokenStore:
        """The token vectors of the passages."""
        with self._store.reading():
            return self._store.tokens(self)

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The lexical index, made anew if the saved one is not of these papers."""
        folder = self._settings.index_dir / LEXICAL
        saved = LexicalIndex.load(folder, self.sha256)
        if saved is None:
            saved = LexicalIndex.of(list(self.papers.values()))
            if self._settings.store.url:
                with suppress(OSError):  # made again the next time
                    saved.save(folder, self.sha256)
        return saved
