"""Sentence and token embeddings by all-MiniLM-L6-v2: a few texts through numpy, whole corpora through torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from rag import minilm
from rag.catalogue import CATALOGUE, EMBEDDER
from rag.errors import ModelUnavailable
from rag.minilm import Ids, Network, NumpyMiniLM, mapped
from rag.models import ModelStore, fetched_anew
from rag.progress import Progress, silent
from rag.settings import Settings
from rag.text import STOP_WORDS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]

DIMENSIONS = minilm.DIMENSIONS

_MOST_PIECES = 256


@dataclass(frozen=True)
class Tokens:
    """The word pieces of a text as the embedder reads them in their context.

    Its own marks, punctuation and words that say nothing are read but left out.
    """

    ids: Ids
    """Places in the embedder's vocabulary, shape (n,)."""
    vectors: Vectors
    """Unit vectors, shape (n, 384)."""


@dataclass(frozen=True)
class Embedder:
    """Turns text into unit vectors. ``name`` and ``sha256`` say with which weights, ``folder`` where they are.

    As it is loaded it starts at once: for questions. :meth:`in_bulk` gives the one for whole corpora.
    """

    name: str
    sha256: str
    folder: Path
    bulk: bool = False
    dimensions: int = DIMENSIONS
    """Of what :meth:`with_tokens` gives for a whole text."""

    fitted: ClassVar[bool] = True
    """Whether the thresholds of the search were fitted on its cosines."""

    @staticmethod
    def of(settings: Settings, progress: Progress = silent) -> Embedder:
        """What the settings say embeds: the catalogue's embedder, or beside it the model of a server.

        :raises ModelUnavailable: if one can't be had. :raises StorageError: if there is no room for the first.
        """
        local = Embedder.load(ModelStore.of(settings), progress)
        if not settings.embed.url:
            return local
        from rag.remote_embedding import ServedEmbedder

        return ServedEmbedder.beside(local, settings)

    @classmethod
    def load(cls, store: ModelStore, progress: Progress = silent) -> Embedder:
        """The catalogue's embedder, fetched if need be. :raises ModelUnavailable: if it can't be had, or is damaged."""
        spec = CATALOGUE[EMBEDDER]
        made = cls(spec.name, spec.sha256, store.pull(spec, progress))
        try:
            _ = made._network, made._tokenizer
        except Exception as error:  # numpy, json and tokenizers each raise their own
            raise ModelUnavailable(
                f"The model {spec.name} can't be loaded ({type(error).__name__}): {fetched_anew(spec.name)}."
            ) from error
        return made

    def in_bulk(self) -> Embedder:
        """The same vectors for many texts: several times faster, once torch is there."""
        return replace(self, bulk=True)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), 384). Text past 256 word pieces is not seen."""
        return self._read(texts)[0]

    def with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """The vectors of the texts, as when called, and those of their tokens, from one pass through the model."""
        vectors, pieces, states = self._read(texts)
        tokens = []
        for ids, read in zip(pieces, states, strict=True):
            kept = self._telling[ids]
            tokens.append(Tokens(ids[kept], unit(read[kept])))
        return vectors, tokens

    def _read(self, texts: Sequence[str]) -> tuple[Vectors, list[Ids], list[Vectors]]:
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32), [], []
        pieces = [np.array(read.ids, np.int32) for read in self._tokenizer.encode_batch(list(texts))]
        states = self._network(pieces)
        return unit(np.stack([read.mean(axis=0) for read in states])), pieces, states

    @cached_property
    def _network(self) -> Network:
        weights = mapped(self.folder / CATALOGUE[EMBEDDER].weights)
        if not self.bulk:
            return NumpyMiniLM(weights)
        from rag.minilm_torch import TorchMiniLM

        return TorchMiniLM.of(weights)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(_MOST_PIECES)
        tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text
        return tokenizer

    @cached_property
    def _telling(self) -> NDArray[np.bool_]:
        """Whether each piece of the vocabulary says something."""
        vocabulary = self._tokenizer.get_vocab()
        telling = np.zeros(1 + max(vocabulary.values()), dtype=bool)
        for piece, id_ in vocabulary.items():
            telling[id_] = piece.startswith("##") or (piece.isalnum() and piece not in STOP_WORDS)
        return telling


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Vectors scaled to length one, along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
