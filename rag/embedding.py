"""Sentence embeddings through LlamaIndex's Hugging Face wrapper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag.catalogue import CATALOGUE, EMBEDDER
from rag.models import ModelStore
from rag.processor import avoid_broken_amx
from rag.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Embedder:
    """Turns text into unit vectors. ``name`` and ``sha256`` say with which weights."""

    name: str
    sha256: str
    model: HuggingFaceEmbedding

    @classmethod
    def load(cls, store: ModelStore, progress: Progress = silent) -> Embedder:
        """The catalogue's embedder, fetched if need be. :raises ModelUnavailable: if it can't be had."""
        spec = CATALOGUE[EMBEDDER]
        folder = store.pull(spec, progress)
        progress(f"Loading {spec.name}")
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        from rag.quiet import quiet_transformers

        avoid_broken_amx()
        with quiet_transformers():
            model = HuggingFaceEmbedding(model_name=str(folder), device="cpu", normalize=True)
        return cls(spec.name, spec.sha256, model)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), 384). Text past 256 tokens is not seen."""
        if not texts:
            return np.zeros((0, 384), dtype=np.float32)
        return np.asarray(self.model.get_text_embedding_batch(list(texts)), dtype=np.float32)
