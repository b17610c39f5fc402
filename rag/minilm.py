"""MiniLM in numpy: reads one question in milliseconds, without the seconds that importing torch takes.

BERT with six layers, 384 wide, twelve heads, layer norm after each step. All texts of a call are one matrix of word
pieces for whatever reads pieces one by one; only attention, which compares the pieces of a text, goes text by text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

DIMENSIONS, HEADS, LAYERS = 384, 12, 6
EPSILON = 1e-12  # of the layer norms
# erf(x) = 1 - (a1 t + ... + a5 t^5) exp(-x²), t = 1 / (1 + p x): Abramowitz and Stegun, 7.1.26; off by 1.5e-7 at most.
_ERF, _ERF_P = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592), 0.3275911


class Network(Protocol):
    """What turns word pieces into vectors."""

    def __call__(self, texts: Sequence[Ids]) -> list[Floats]:
        """:param texts: the ids of each text's pieces, its outer marks included, shape (n,) with n in [1, 512].

        :returns: each text's vectors as the last layer leaves them, shape (n, 384).
        """


def mapped(path: Path) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file, by name, mapped into memory: read from disk when they are used."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    whole = np.memmap(path, np.uint8, "r", offset=8 + size)
    return {
        name: np.ndarray(entry["shape"], np.dtype("<f4"), whole, entry["data_offsets"][0])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


@dataclass(frozen=True)
class NumpyMiniLM:
    """The network in float32; ``weights`` by their names in the file."""

    weights: Mapping[str, Floats]

    def __call__(self, texts: Sequence[Ids]) -> list[Floats]:
        """As :class:`Network` says."""
        # Threads that share such small products wait longer for each other than they save.
        with self._blas.limit(limits=1, user_api="blas"):
            return self._read(texts)

    @cached_property
    def _blas(self) -> ThreadpoolController:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()

    def _read(self, texts: Sequence[Ids]) -> list[Floats]:
        ends = np.cumsum([len(ids) for ids in texts])
        states = self._embedded(texts)
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            queries, keys, values = (
                self._linear(f"{at}attention.self.{part}", states) for part in ("query", "key", "value")
            )
            parts = zip(*(np.split(part, ends[:-1]) for part in (queries, keys, values)), strict=True)
            attended = np.concatenate([_attention(*part) for part in parts])
            states = self._norm(
                f"{at}attention.output.", self._linear(f"{at}attention.output.dense", attended) + states
            )
            wide = _gelu(self._linear(f"{at}intermediate.dense", states))
            states = self._norm(f"{at}output.", self._linear(f"{at}output.dense", wide) + states)
        return np.split(states, ends[:-1])

    def _embedded(self, texts: Sequence[Ids]) -> Floats:
        words, places, kinds = (
            self.weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        found = np.concatenate([words[ids] + places[: len(ids)] for ids in texts]) + kinds[0]
        return self._norm("embeddings.", found)

    def _linear(self, name: str, states: Floats) -> Floats:
        made: Floats = states @ self.weights[f"{name}.weight"].T
        made += self.weights[f"{name}.bias"]
        return made

    def _norm(self, prefix: str, states: Floats) -> Floats:
        states = states - states.mean(axis=1, keepdims=True)
        states /= np.sqrt(np.square(states).mean(axis=1, keepdims=True) + np.float32(EPSILON))
        states *= self.weights[f"{prefix}LayerNorm.weight"]
        states += self.weights[f"{prefix}LayerNorm.bias"]
        return states


def _attention(queries: Floats, keys: Floats, values: Floats) -> Floats:
    """Each piece of one text as a mixture of the values of all, head by head."""
    queries, keys, values = (part.reshape(len(part), HEADS, -1).swapaxes(0, 1) for part in (queries, keys, values))
    alike = queries @ keys.swapaxes(1, 2) / np.float32(math.sqrt(DIMENSIONS / HEADS))
    shares = np.exp(alike - alike.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    mixed: Floats = (shares @ values).swapaxes(0, 1).reshape(-1, DIMENSIONS)
    return mixed


def _gelu(states: Floats) -> Floats:
    size = np.abs(states) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(_ERF_P) * size)
    tail = np.zeros_like(t)
    for factor in _ERF:
        tail = (tail + np.float32(factor)) * t
    tail *= np.exp(-np.square(size))
    # x Φ(x), where Φ(-|x|) is half the tail and Φ(|x|) the rest.
    return states * np.where(states < 0, tail / 2, 1 - tail / 2)
