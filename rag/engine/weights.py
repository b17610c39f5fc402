"""A model's folder made into a network, in bytes where that is faster.

Bytes are made once and kept beside the published weights. A few channels of what goes into a product are far larger
than the others and would cost these their precision, so part of the size moves from the activations into the weights
(SmoothQuant, Xiao et al., ICML 2023); how large each channel gets is seen on a sample text. What goes into ``down`` has
its large values elsewhere in each token, and is computed with two bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rag.engine.linear import HalfLinear, Int8Linear, Linear, multiplies_bytes, quantized
from rag.engine.network import Layer, Network, Shape

Tensors = Callable[[str], torch.Tensor]

_FILE = "int8.safetensors"
_VERSION = "1"
_NORMAL = {"queries_keys_values": "input", "gate_up": "post_attention"}
"""The normalisations, by the parts that they go before."""
_PARTS = {
    "queries_keys_values": ("self_attn.q", "self_attn.k", "self_attn.v"),
    "attended": ("self_attn.o",),
    "gate_up": ("mlp.gate", "mlp.up"),
    "down": ("mlp.down",),
}
# A single question needs fewer products of each part than this.
_PATIENCE = 80
# No channel is taken for smaller than this.
_LEAST = 1e-5
# The exponent of SmoothQuant: how much of a channel's size moves into the weights.
_MOVED = 0.5


class Folder:
    """The published weights of one model."""

    def __init__(self, folder: Path, shape: Shape):
        """:raises OSError, SafetensorError: if there are none, or they are damaged."""
        self._shape = shape
        files = sorted(path for path in folder.glob("model*.safetensors"))
        if not files:
            raise FileNotFoundError(f"there are no safetensors in {folder.name}")
        opened: list[Any] = [safe_open(path, "pt") for path in files]
        self._where = {name: file for file in opened for name in file.keys()}  # noqa: SIM118

    def __call__(self, *names: str) -> torch.Tensor:
        """Tensors, one below the other. :raises KeyError: if one is missing."""
        found = [self._where[name].get_tensor(name) for name in names]
        return found[0] if len(found) == 1 else torch.cat(found)

    @property
    def embedding(self) -> torch.Tensor:
        return self("model.embed_tokens.weight")

    @property
    def head(self) -> torch.Tensor:
        return self.embedding if self._shape.tied else self("lm_head.weight")

    @property
    def last(self) -> torch.Tensor:
        return self("model.norm.weight").float()

    def part(self, layer: int, part: str) -> torch.Tensor:
        """The weights of a part of a layer."""
        return self(*(f"model.layers.{layer}.{name}_proj.weight" for name in _PARTS[part]))

    def bias(self, layer: int) -> torch.Tensor:
        """Of queries, keys and values."""
        return self(*(f"model.layers.{layer}.self_attn.{name}_proj.bias" for name in "qkv")).float()

    def normal(self, layer: int, part: str) -> torch.Tensor:
        """The weights of the normalisation before a part."""
        return self(f"model.layers.{layer}.{_NORMAL[part]}_layernorm.weight").float()


def load(folder: Path, shape: Shape, sample: Sequence[int], *, keep: bool, progress: Callable[[], None]) -> Network:
    """A network that is ready to run on this machine's best device.

    :param sample: token ids of some text, on which activations are measured.
    :param keep: whether bytes, which take half a minute to make, may be kept in the folder.
    :param progress: told before bytes are made.
    :raises OSError, SafetensorError, KeyError: if weights are missing or damaged.
    """
    published = Folder(folder, shape)
    if torch.cuda.is_available():
        return _halved(published, shape, torch.device("cuda"))
    if not multiplies_bytes():
        return _halved(published, shape, torch.device("cpu"))
    return _in_bytes(published, shape, _bytes(published, shape, sample, folder / _FILE if keep else None, progress))


def _bytes(
    published: Folder, shape: Shape, sample: Sequence[int], kept: Path | None, progress: Callable[[], None]
) -> Tensors:
    """The weights in bytes, from where they are kept or made anew."""
    if kept is None:
        progress()
        return _looked_up(_made(published, shape, sample))
    with suppress(OSError, SafetensorError, KeyError):
        return _opened(kept)
    progress()
    with suppress(OSError, SafetensorError), FileLock(kept.with_name(f".{kept.name}.lock")):
        with suppress(OSError, SafetensorError, KeyError):
            return _opened(kept)  # another process has made them meanwhile
        making = kept.with_name(f".making-{kept.name}")
        tensors = _made(published, shape, sample)
        try:
            save_file(tensors, making, {"version": _VERSION})
            os.replace(making, kept)
        except (OSError, SafetensorError):  # where nothing more can be written
            making.unlink(missing_ok=True)
            return _looked_up(tensors)
        return _opened(kept)
    return _looked_up(_made(published, shape, sample))  # where nothing can be written


def _halved(
    published: Folder, shape: Shape, device: torch.device, around: Callable[[str, Linear], Linear] = lambda _, it: it
) -> Network:
    """:param around: what stands in the place of a product, by its name."""

    def half(name: str, weights: torch.Tensor, bias: torch.Tensor | None = None) -> Linear:
        product = HalfLinear(weights.to(device, torch.bfloat16), None if bias is None else bias.to(device))
        return around(name, product)

    def normal(layer: int, part: str) -> torch.Tensor:
        return published.normal(layer, part).to(device)

    layers = [
        Layer(
            normal(i, "queries_keys_values"),
            half(f"{i}.queries_keys_values", published.part(i, "queries_keys_values"), published.bias(i)),
            half(f"{i}.attended", published.part(i, "attended")),
            normal(i, "gate_up"),
            half(f"{i}.gate_up", published.part(i, "gate_up")),
            half(f"{i}.down", published.part(i, "down")),
        )
        for i in range(shape.layers)
    ]
    embedding, head = published.embedding.to(device), half("head", published.head)
    return Network(shape, embedding, layers, published.last.to(device), head)


def _in_bytes(published: Folder, shape: Shape, tensor: Tensors) -> Network:
    patience = count(_PATIENCE)  # one product after the other, so that no question waits for them all

    def whole(name: str, bias: torch.Tensor | None = None, *, fine: bool = False) -> Linear:
        return Int8Linear(tensor(f"{name}.weights"), tensor(f"{name}.scales"), bias, fine=fine, patience=next(patience))

    layers = [
        Layer(
            tensor(f"{i}.queries_keys_values.normal"),
            whole(f"{i}.queries_keys_values", published.bias(i)),
            whole(f"{i}.attended"),
            tensor(f"{i}.gate_up.normal"),
            whole(f"{i}.gate_up"),
            whole(f"{i}.down", fine=True),
        )
        for i in range(shape.layers)
    ]
    return Network(shape, published.embedding, layers, tensor("head.normal"), whole("head"))


@torch.inference_mode()
def _made(published: Folder, shape: Shape, sample: Sequence[int]) -> dict[str, torch.Tensor]:
    """All weights in bytes, and the weights of the normalisations before them that go with these."""
    largest = _largest(published, shape, sample)
    tensors: dict[str, torch.Tensor] = {}

    def make(name: str, weights: torch.Tensor, normal: torch.Tensor | None = None) -> None:
        moved = None
        if normal is not None:
            sizes = weights.abs().amax(0).float().clamp_min(_LEAST)
            moved = largest[name] ** _MOVED / sizes ** (1 - _MOVED)
            tensors[f"{name}.normal"] = normal / moved
        tensors[f"{name}.weights"], tensors[f"{name}.scales"] = quantized(weights, moved)

    for i in range(shape.layers):
        for part in _PARTS:
            make(f"{i}.{part}", published.part(i, part), published.normal(i, part) if part in _NORMAL else None)
    make("head", published.head, published.last)
    return tensors


def _largest(published: Folder, shape: Shape, sample: Sequence[int]) -> dict[str, torch.Tensor]:
    """How large each channel gets, on a sample, of what goes into each product."""
    largest: dict[str, torch.Tensor] = {}

    def watched(name: str, product: Linear) -> Linear:
        def watch(activations: torch.Tensor) -> torch.Tensor:
            largest[name] = activations.abs().amax(0).clamp_min(_LEAST)
            return product(activations)

        return watch

    network = _halved(published, shape, torch.device("cpu"), watched)
    network.logits(network.run(network.embedded(sample), network.past(len(sample)), 0, range(shape.layers)))
    return largest


def _looked_up(tensors: dict[str, torch.Tensor]) -> Tensors:
    return lambda name: tensors[name]


def _opened(path: Path) -> Tensors:
    file: Any = safe_open(path, "pt")
    if (file.metadata() or {}).get("version") != _VERSION:
        raise KeyError("version")
    return lambda name: file.get_tensor(name)
