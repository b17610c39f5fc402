"""MiniLM in torch, for whole corpora: no padding, and 8-bit products where the processor has instructions for them.

The matrices hold the word pieces of many texts one after the other; attention takes the texts of one length together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from rag.minilm import DIMENSIONS, EPSILON, HEADS, LAYERS, Floats, Ids
from rag.processor import avoid_broken_amx

if TYPE_CHECKING:
    import torch

Linear = Callable[["torch.Tensor"], "torch.Tensor"]

# Word pieces in one matrix: its widest float32 one then stays in the processor's second cache.
_PIECES = 1024
_MOST = 127
_FINER = 254  # steps of the second byte in one of the first
_LEAST_GELU = 0.17  # GELU never gives less than minus this


@dataclass(frozen=True)
class _Layer:
    mixes: Linear
    """384 to queries, keys and values, 3 × 384."""
    attended: Linear
    first_norm: tuple[torch.Tensor, torch.Tensor]
    widens: Linear
    narrows: Linear
    second_norm: tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class TorchMiniLM:
    """The network; a :class:`rag.minilm.Network`."""

    words: torch.Tensor
    places: torch.Tensor
    norm: tuple[torch.Tensor, torch.Tensor]
    layers: tuple[_Layer, ...]

    @classmethod
    def of(cls, weights: Mapping[str, Floats]) -> TorchMiniLM:
        """Made from the weights by their names in the file: on the GPU if there is one."""
        avoid_broken_amx()
        import torch

        on_gpu = torch.cuda.is_available()
        # Without these instructions the 8-bit products saturate, or are slower than float32.
        eight_bits = not on_gpu and torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()

        def tensor(name: str) -> torch.Tensor:
            return torch.from_numpy(np.array(weights[name])).to("cuda" if on_gpu else "cpu")

        def norm(prefix: str) -> tuple[torch.Tensor, torch.Tensor]:
            return tensor(f"{prefix}LayerNorm.weight"), tensor(f"{prefix}LayerNorm.bias")

        def linear(*names: str, fed: str) -> Linear:
            weight, bias = (torch.cat([tensor(f"{name}.{part}") for name in names]) for part in ("weight", "bias"))
            return _eight_bits(weight, bias, fed) if eight_bits else lambda x: torch.nn.functional.linear(x, weight, bias)

        def layer(at: str) -> _Layer:
            return _Layer(
                linear(*(f"{at}attention.self.{part}" for part in ("query", "key", "value")), fed="normed"),
                linear(f"{at}attention.output.dense", fed="mixed"),
                norm(f"{at}attention.output."),
                linear(f"{at}intermediate.dense", fed="normed"),
                linear(f"{at}output.dense", fed="gelu"),
                norm(f"{at}output."),
            )

        return cls(
            tensor("embeddings.word_embeddings.weight"),
            tensor("embeddings.position_embeddings.weight") + tensor("embeddings.token_type_embeddings.weight")[0],
            norm("embeddings."),
            tuple(layer(f"encoder.layer.{i}.") for i in range(LAYERS)),
        )

    def __call__(self, texts: Sequence[Ids]) -> list[Floats]:
        """As :class:`rag.minilm.Network` says."""
        import torch

        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: dict[int, Floats] = {}
        with torch.inference_mode():
            for part in _parts(by_length, texts):
                lengths = [len(texts[i]) for i in part]
                states = self._states([texts[i] for i in part]).cpu().numpy()
                found |= zip(part, np.split(states, np.cumsum(lengths)[:-1]), strict=True)
        return [found[i] for i in range(len(texts))]

    def _states(self, texts: Sequence[Ids]) -> torch.Tensor:
        """The last layer's vectors of texts in order of their length, one after the other."""
        import torch
        from torch.nn.functional import gelu, layer_norm

        def normed(states: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return layer_norm(states, (DIMENSIONS,), *norm, EPSILON)

        ids = torch.from_numpy(np.concatenate(texts)).to(self.words.device)
        places = torch.from_numpy(np.concatenate([np.arange(len(text)) for text in texts])).to(self.words.device)
        runs = [(length, len(list(run))) for length, run in groupby(map(len, texts))]
        states = normed(self.words[ids] + self.places[places], self.norm)
        for layer in self.layers:
            states = normed(layer.attended(_attention(layer.mixes(states), runs)).add_(states), layer.first_norm)
            states = normed(layer.narrows(gelu(layer.widens(states))).add_(states), layer.second_norm)
        return states


def _parts(by_length: Sequence[int], texts: Sequence[Ids]) -> Iterator[list[int]]:
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
    """:param mixed: queries, keys and values, shape (pieces, 3 × 384). :param runs: texts: their length and how many."""
    import torch

    found = []
    for part, (length, count) in zip(mixed.split([n * count for n, count in runs]), runs, strict=True):
        queries, keys, values = part.view(count, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
        found.append(attended.transpose(1, 2).reshape(-1, DIMENSIONS))
    return torch.cat(found)


def _eight_bits(weight: torch.Tensor, bias: torch.Tensor, fed: str) -> Linear:
    """A linear layer whose products are of bytes: each row of the weight and of the input in steps of its own.

    :param fed: what it reads. What a layer norm gives has few values far out, which would leave one byte too few steps
        for the others: it is read as two. What GELU gives is nearly positive: zero needs no place in the middle.
    """
    import torch

    steps = weight.abs().amax(1) / _MOST
    whole = torch.round(weight / steps[:, None]).to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(whole, None)
    zeros = torch.zeros(len(whole), dtype=torch.int32)

    def products(bytes_: torch.Tensor, zero: int) -> torch.Tensor:
        found: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            bytes_, 1.0, zero, packed, steps, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return found

    # oneDNN is fast where the input is unsigned: a signed byte is moved up by 128. Half a step more rounds.
    def one_byte(x: torch.Tensor) -> torch.Tensor:
        step = _largest(x).div_(_MOST)
        return torch.addcmul(bias, products((x / step).add_(128.5).to(torch.uint8), 128), step)

    def two_bytes(x: torch.Tensor) -> torch.Tensor:
        step = _largest(x).div_(_MOST)
        whole_steps = (x / step).add_(128.5)
        first = whole_steps.to(torch.uint8)
        second = whole_steps.sub_(first).sub_(0.5).mul_(_FINER).add_(128.5).to(torch.uint8)
        coarse, fine = products(torch.cat([first, second]), 128).chunk(2)
        return torch.addcmul(bias, coarse.add_(fine, alpha=1 / _FINER), step)

    moved_bias = bias - _LEAST_GELU * (whole.float() * steps[:, None]).sum(1)

    def moved_byte(x: torch.Tensor) -> torch.Tensor:
        step = x.amax(1, keepdim=True).add_(_LEAST_GELU).div_(2 * _MOST + 1)
        return torch.addcmul(moved_bias, products(((x + _LEAST_GELU) / step).add_(0.5).to(torch.uint8), 0), step)

    return {"mixed": one_byte, "normed": two_bytes, "gelu": moved_byte}[fed]


def _largest(x: torch.Tensor) -> torch.Tensor:
    """The largest size in each row, shape (rows, 1)."""
    import torch

    least, most = torch.aminmax(x, dim=1, keepdim=True)
    return torch.maximum(most, -least)
