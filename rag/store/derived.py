"""Token vectors of an index that is on a server: kept here, under the words that were read, and made when asked for."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.embedding import DIMENSIONS, Embedder
from rag.errors import IndexMissing, StorageError
from rag.store.database import parts
from rag.tokens import FILE, TokenStore

_MANY = 64
"""Passages from which on the embedder for whole corpora is quicker, although it takes seconds to load."""
_PART = 128


class DerivedTokens(TokenStore):
    """Rows are found by the words of a passage, so none is ever of another paper or out of date.

    What is gone from the index stays until the folder is deleted.
    """

    def __init__(
        self,
        folder: Path,
        rebuild: str,
        texts: Callable[[str], Sequence[str]] = lambda _: (),
        embedder: Callable[[], Embedder] | None = None,
    ):
        """:param texts: what is embedded of a paper, passage by passage. :param embedder: gives what makes the rest."""
        self._texts, self._embedder = texts, embedder
        self._bringing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            super().__init__(folder, rebuild)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """The file is damaged, and all in it can be made again."""
        self.close()
        (self._folder / FILE).unlink()
        super().__init__(self._folder, self._rebuild)

    def place(self, paper_id: str, start: int, text: str) -> tuple[str, int]:
        """By the words."""
        return _key(text), 0

    def places(self) -> set[tuple[str, int]]:
        """None: rows of no paper are no sign that one was begun."""
        return set()

    def delete(self, paper_ids: Iterable[str]) -> None:
        """Nothing: others may have the same words."""

    def bring(self, paper_ids: Sequence[str]) -> None:
        """Make what is missing. :raises StorageError: if it can't be kept."""
        texts = {_key(text): text for paper_id in paper_ids for text in self._texts(paper_id)}
        with self._bringing:
            try:
                self._make(texts)
            except sqlite3.OperationalError as error:
                raise StorageError(f"{self._folder / FILE} can't be written ({error}): make room.") from error
            except sqlite3.DatabaseError:
                self._begin_anew()
                self._make(texts)

    def _make(self, texts: Mapping[str, str]) -> None:
        known: set[str] = set()
        for part in parts(list(texts), _PART):
            asked = f"SELECT paper_id FROM tokens WHERE paper_id IN ({','.join('?' * len(part))})"
            known.update(row[0] for row in self._database.execute(asked, part))
        missing = [key for key in texts if key not in known]
        if missing and self._embedder is not None:
            embedder = self._embedder().in_bulk() if len(missing) >= _MANY else self._embedder()
            for part in parts(missing, _PART):
                _, read = embedder.with_tokens([texts[key] for key in part])
                self.write((key, 0, tokens) for key, tokens in zip(part, read, strict=True))

    def _stored(self, paper_id: str) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        self.bring([paper_id])
        try:
            return self._kept(paper_id)
        except IndexMissing:
            with self._bringing:
                self._begin_anew()
            self.bring([paper_id])
            return self._kept(paper_id)

    def _kept(self, paper_id: str) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        found = [super(DerivedTokens, self)._stored(_key(text)) for text in self._texts(paper_id)]
        ids = np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in found)])
        vectors = np.concatenate([np.zeros((0, DIMENSIONS), np.int8), *(vectors for _, vectors in found)])
        return ids, vectors


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
