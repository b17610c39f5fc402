"""Sentence and token embeddings through sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag.catalogue import CATALOGUE, EMBEDDER
from rag.models import ModelStore
from rag.processor import avoid_broken_amx
from rag.progress import Progress, silent
from rag.text import STOP_WORDS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]

DIMENSIONS = 384


@dataclass(frozen=True)
class Tokens:
    """The word pieces of a text as the embedder reads them in their context.

    Its own marks, punctuation and words that say nothing are read but left out.
    """

    ids: NDArray[np.int32]
    """Places in the embedder's vocabulary, shape (n,)."""
    vectors: Vectors
    """Unit vectors, shape (n, 384)."""


@dataclass(frozen=True)
class Embedder:
    """Turns text into unit vectors. ``name`` and ``sha256`` say with which weights."""

    name: str
    sha256: str
    model: SentenceTransformer

    @classmethod
    def load(cls, store: ModelStore, progress: Progress = silent) -> Embedder:
        """The catalogue's embedder, fetched if need be. :raises ModelUnavailable: if it can't be had."""
        spec = CATALOGUE[EMBEDDER]
        folder = store.pull(spec, progress)
        progress(f"Loading {spec.name}")
        from sentence_transformers import SentenceTransformer

        from rag.quiet import quiet_transformers

        avoid_broken_amx()
        with quiet_transformers():
            model = SentenceTransformer(str(folder), device="cpu")
        return cls(spec.name, spec.sha256, model)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), 384). Text past 256 tokens is not seen."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        vectors = self.model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    def with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """The vectors of the texts, as when called, and those of their tokens, from one pass through the model."""
        if not texts:
            return self(texts), []
        encoded: Any = self.model.encode(
            list(texts), output_value=None, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=False
        )
        tokens = []
        for text in encoded:
            # Vectors are cut to the text, ids are padded to the longest text of its batch.
            vectors = unit(text["token_embeddings"].numpy())
            ids = text["input_ids"].numpy()[: len(vectors)].astype(np.int32)
            kept = np.array([self._says_something(id_) for id_ in ids.tolist()], dtype=bool)
            tokens.append(Tokens(ids[kept], vectors[kept]))
        return unit(np.stack([text["sentence_embedding"].numpy() for text in encoded])), tokens

    def _says_something(self, id_: int) -> bool:
        piece = self._pieces[id_]
        return piece.startswith("##") or (piece.isalnum() and piece not in STOP_WORDS)

    @cached_property
    def _pieces(self) -> list[str]:
        tokenizer = self.model.tokenizer
        pieces: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        return pieces


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Vectors scaled to length one, along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
