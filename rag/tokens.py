"""Token vectors of the passages, kept beside the Chroma database in one SQLite file, and how well they match.

The match is late interaction (Khattab and Zaharia, ColBERT, SIGIR 2020): every token of the question finds its
most similar token in the paper, and the similarities are averaged, rare tokens counting more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.embedding import DIMENSIONS, Tokens, Vectors, unit
from rag.errors import IndexMissing

FILE = "tokens.sqlite3"
_MOST = 127
_NO_VECTORS = np.zeros((0, DIMENSIONS), np.float32)


class TokenStore:
    """Token vectors by passage, one byte a dimension: a cosine moves by less than 0.01."""

    def __init__(self, folder: Path, rebuild: str = "`rag ingest --rebuild`"):
        """:param rebuild: what to type if the file is damaged."""
        # Read and written by one thread at a time, but not always by the one that opened it.
        self._folder = folder
        self._rebuild = rebuild
        self._database = sqlite3.connect(folder / FILE, timeout=60, check_same_thread=False)
        try:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS tokens (paper_id TEXT, start INTEGER, ids BLOB, vectors BLOB,"
                " PRIMARY KEY (paper_id, start))"
            )
        except BaseException:
            self._database.close()
            raise

    def place(self, paper_id: str, start: int, text: str) -> tuple[str, int]:
        """Where the tokens of a passage are written. :param text: what was embedded of it."""
        return paper_id, start

    def places(self) -> set[tuple[str, int]]:
        """Which passages there are: paper and start."""
        return set(self._database.execute("SELECT paper_id, start FROM tokens"))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def write(self, rows: Iterable[tuple[str, int, Tokens]]) -> None:
        """Keep the tokens of passages: their :meth:`place` and the tokens. All or none."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)",
                (
                    (paper_id, start, tokens.ids.astype(np.int32).tobytes(), _bytes(tokens.vectors))
                    for paper_id, start, tokens in rows
                ),
            )

    def delete(self, paper_ids: Iterable[str]) -> None:
        """Forget papers."""
        with self._database:
            self._database.executemany("DELETE FROM tokens WHERE paper_id = ?", ((id_,) for id_ in paper_ids))

    def bring(self, paper_ids: Sequence[str]) -> None:
        """Have the tokens of papers at hand, before they are read one by one. They are, where ingest wrote them."""

    def read(self, paper_id: str) -> Tokens:
        """The tokens of a paper, passage after passage. :raises IndexMissing: if the file is damaged."""
        ids, vectors = self._stored(paper_id)
        return Tokens(ids, unit(vectors.astype(np.float32)))

    def best(self, question: Vectors, paper_id: str) -> Vectors:
        """The best cosine of each of a question's token vectors, shape (n, 384), with a token of a paper; shape (n,).

        :raises IndexMissing: if the file is damaged.
        """
        vectors = self._stored(paper_id)[1].astype(np.float32)
        # Products first: there are fewer of them to scale than there are numbers in the vectors.
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        best: Vectors = (question @ vectors.T / np.maximum(lengths, 1e-9)).max(axis=1, initial=-1.0)
        return best

    def _stored(self, paper_id: str) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        question = "SELECT ids, vectors FROM tokens WHERE paper_id = ? ORDER BY start"
        try:
            rows = self._database.execute(question, (paper_id,)).fetchall()
            ids = np.frombuffer(b"".join(row[0] for row in rows), np.int32)
            return ids, np.frombuffer(b"".join(row[1] for row in rows), np.int8).reshape(len(ids), DIMENSIONS)
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            raise IndexMissing(f"The index in {self._folder} can't be read ({error}): type {self._rebuild}.") from error


def _bytes(vectors: Vectors) -> bytes:
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    whole: NDArray[np.int8] = np.rint(vectors / largest * _MOST).astype(np.int8)
    return whole.tobytes()


class LateInteraction:
    """Scores papers by their tokens. Those of ``resident`` papers stay in memory, the others are read when needed."""

    def __init__(self, store: TokenStore, resident: Sequence[str]):
        self._store = store
        store.bring(resident)
        read = {paper_id: tokens for paper_id in resident if len((tokens := store.read(paper_id)).ids)}
        self._place = {paper_id: i for i, paper_id in enumerate(read)}
        self._starts = np.cumsum([0, *(len(tokens.ids) for tokens in read.values())])[:-1]
        self._vectors = np.concatenate([_NO_VECTORS, *(tokens.vectors for tokens in read.values())])
        self._holding = Counter(token for tokens in read.values() for token in set(tokens.ids.tolist()))

    def scores(self, question: Tokens, paper_ids: Sequence[str]) -> NDArray[np.float64]:
        """Mean over the question's tokens of their best cosine in each paper, in [-1, 1].

        A token counts as much as it is rare among the resident papers: by its inverse document frequency, as in BM25.
        """
        if not len(question.ids):
            return np.zeros(len(paper_ids))
        held = np.array([self._holding[token] for token in question.ids.tolist()], dtype=np.float32)
        rarity = np.log1p((len(self._place) - held + 0.5) / (held + 0.5))
        shares = rarity / rarity.sum()
        self._store.bring([paper_id for paper_id in paper_ids if paper_id not in self._place])
        resident = np.zeros(0)
        if self._place:
            resident = shares @ np.maximum.reduceat(question.vectors @ self._vectors.T, self._starts, axis=1)
        return np.array(
            [
                resident[self._place[paper_id]]
                if paper_id in self._place
                else shares @ self._store.best(question.vectors, paper_id)
                for paper_id in paper_ids
            ],
            dtype=np.float64,
        )
