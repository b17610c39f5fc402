"""MiniLM in torch, for whole corpora: the pieces of many texts in one matrix, no padding, on the GPU if there is one.

Attention takes the texts of one length together. Where the processor multiplies bytes fast, products are of bytes: a
text's vector then has a cosine of 0.999 with the exact one, which is too little to change what is found. Elsewhere, and
on a GPU, they are of float32; bfloat16 is slower on processors without AMX.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from rag.minilm import DIMENSIONS, EPSILON, HEADS, LAYERS, Floats, Ids
from rag.processor import avoid_broken_amx

if TYPE_CHECKING:
    import torch

    from rag.engine.linear import Linear

# Word pieces in one matrix: its widest form stays in the processor's caches.
_PIECES = 1024
_PRODUCTS = ("attention.self.all", "attention.output.dense", "intermediate.dense", "output.dense")


@dataclass(frozen=True)
class TorchMiniLM:
    """The network; a :class:`rag.minilm.Network`."""

    weights: Mapping[str, torch.Tensor]
    """All others, by their names in the file."""
    products: Mapping[str, Linear]
    """With each matrix and its bias, by their name in the file; queries, keys and values are one."""
    cores: ThreadPoolExecutor
    """A thread for each. They stay: new ones would lay out their memory again, which takes a quarter of the time."""

    @classmethod
    def of(cls, weights: Mapping[str, Floats]) -> TorchMiniLM:
        """The network with these weights, by their names in the file; on the GPU if there is one."""
        avoid_broken_amx()
        import torch

        from rag.engine.linear import AsymmetricInt8Linear, multiplies_bytes

        device = "cuda" if torch.cuda.is_available() else "cpu"
        kept = {name: torch.from_numpy(np.array(weight)).to(device) for name, weight in weights.items()}
        for i in range(LAYERS):  # three products of one input are one
            at = f"encoder.layer.{i}.attention.self."
            for part in ("weight", "bias"):
                kept[f"{at}all.{part}"] = torch.cat(
                    [kept.pop(f"{at}{one}.{part}") for one in ("query", "key", "value")]
                )
        product = AsymmetricInt8Linear if device == "cpu" and multiplies_bytes() else _linear
        names = [f"encoder.layer.{i}.{part}" for i in range(LAYERS) for part in _PRODUCTS]
        products = {name: product(kept.pop(f"{name}.weight"), kept.pop(f"{name}.bias")) for name in names}
        return cls(kept, products, ThreadPoolExecutor(torch.get_num_threads()))

    def __call__(self, texts: Sequence[Ids]) -> list[Floats]:
        """As :class:`rag.minilm.Network` says."""
        import torch

        parts = list(_parts(sorted(range(len(texts)), key=lambda i: len(texts[i])), texts))
        found: dict[int, Floats] = {}
        threads = torch.get_num_threads()
        # A part on each core: threads that share a product wait for each other at its end, long if a core is taken.
        torch.set_num_threads(1)
        try:
            for part, read in zip(
                parts, self.cores.map(self._read, ([texts[i] for i in part] for part in parts)), strict=True
            ):
                found |= zip(part, read, strict=True)
        finally:
            torch.set_num_threads(threads)
        return [found[i] for i in range(len(texts))]

    def _read(self, texts: Sequence[Ids]) -> list[Floats]:
        """As when called, for texts in order of their length."""
        import torch

        with torch.inference_mode():
            return np.split(self._states(texts).cpu().numpy(), np.cumsum([len(ids) for ids in texts])[:-1])

    def _states(self, texts: Sequence[Ids]) -> torch.Tensor:
        """The last layer's vectors of texts in order of their length, one after the other; shape (pieces, 384)."""
        import torch
        from torch.nn.functional import gelu

        words, places, kinds = (
            self.weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        ids = torch.from_numpy(np.concatenate(texts)).to(words.device)
        at_place = torch.from_numpy(np.concatenate([np.arange(len(text)) for text in texts])).to(words.device)
        runs = [(length, len(list(run))) for length, run in groupby(map(len, texts))]
        states = self._norm("embeddings.", words[ids] + places[at_place] + kinds[0])
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            mixed, out, intermediate, dense = (self.products[at + part] for part in _PRODUCTS)
            attended = _attention(mixed(states), runs)
            states = self._norm(f"{at}attention.output.", out(attended) + states)
            states = self._norm(f"{at}output.", dense(gelu(intermediate(states))) + states)
        return states

    def _norm(self, prefix: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import layer_norm

        gain, bias = (self.weights[f"{prefix}LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(states, (DIMENSIONS,), gain, bias, EPSILON)


def _linear(weights: torch.Tensor, bias: torch.Tensor) -> Linear:
    from torch.nn.functional import linear

    return partial(linear, weight=weights, bias=bias)


def _parts(by_length: Sequence[int], texts: Sequence[Ids]) -> Iterator[list[int]]:
    """The places of the texts in runs of about ``_PIECES`` word pieces."""
    part: list[int] = []
    size = 0
    for i in by_length:
        if part and size + len(texts[i]) > _PIECES:
            yield part
            part, size = [], 0
        part.append(i)
        size += len(texts[i])
    if part:
        yield part


def _attention(mixed: torch.Tensor, runs: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Each text's pieces as mixtures of their values, head by head.

    :param mixed: queries, keys and values, shape (pieces, 3 × 384).
    :param runs: how long texts are and how many as long follow each other.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    found = []
    for part, (length, count) in zip(mixed.split([length * count for length, count in runs]), runs, strict=True):
        queries, keys, values = part.view(count, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(queries, keys, values)
        found.append(attended.transpose(1, 2).reshape(-1, DIMENSIONS))
    return torch.cat(found)
