"""What many prompts begin with is read once.

The question whether an abstract answers, the draft from it and the check of the draft begin with the same system text
and the same abstract. Prompts are read in blocks of tokens, and what was made of a block is kept for the next prompt
that begins with the same tokens (as in vLLM: Kwon et al., Efficient Memory Management for Large Language Model Serving
with PagedAttention, SOSP 2023); a block that only the lower layers have seen goes on from there. A block is computed
alone, whatever was kept, so that the same prompt always gives the same numbers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from rag.engine.network import Network

BLOCK = 64
"""So many tokens are read at once, at most."""


@dataclass(frozen=True)
class _Block:
    """What a network made of a block."""

    past: torch.Tensor
    """Keys and values of the layers that have seen it, shape (layers, 2, pair heads, tokens, head width)."""
    hidden: torch.Tensor | None
    """What the last of them gave out; None where it was the network's last."""

    @property
    def depth(self) -> int:
        return len(self.past)

    @property
    def bytes(self) -> int:
        return int(self.past.nbytes) + (0 if self.hidden is None else int(self.hidden.nbytes))


class Prefixes:
    """The blocks that were read last. Several threads may read at once."""

    def __init__(self, most_bytes: int):
        self._most = most_bytes
        self._kept: OrderedDict[tuple[int, ...], _Block] = OrderedDict()
        self._bytes = 0
        self._changing = threading.Lock()

    def get(self, beginning: tuple[int, ...]) -> _Block | None:
        """What was made of the last block of this beginning of a prompt."""
        with self._changing:
            if beginning in self._kept:
                self._kept.move_to_end(beginning)
            return self._kept.get(beginning)

    def put(self, beginning: tuple[int, ...], block: _Block) -> None:
        """Keep a block, and let go of those that were longest unused."""
        with self._changing:
            before = self._kept.pop(beginning, None)
            self._bytes += block.bytes - (before.bytes if before else 0)
            self._kept[beginning] = block
            while self._bytes > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.bytes


class Reading:
    """One prompt being read, up to some layer."""

    def __init__(
        self, network: Network, prefixes: Prefixes, ids: Sequence[int], *, layers: int, shared: int, room: int = 0
    ):
        """:param layers: how many of the network's layers read it.

        :param shared: how many of its tokens other prompts may begin with too; less than all.
        :param room: for how many further tokens there must be room.
        """
        self._network = network
        self._prefixes = prefixes
        self._ids = ids
        self._layers = layers
        self._shared = shared
        self.past = network.past(len(ids) + room)
        self._parts: list[torch.Tensor] = []

    @property
    def hidden(self) -> torch.Tensor:
        """What the last of the layers gave out for the tokens that are not shared, once all steps are done."""
        return torch.cat(self._parts)

    def all(self) -> Reading:
        """The same with all steps done."""
        for _ in self.steps():
            pass
        return self

    def steps(self) -> Iterator[None]:
        """Read a block at a time."""
        for start in range(0, self._shared, BLOCK):
            self._read_shared(start, min(start + BLOCK, self._shared))
            yield
        for start in range(self._shared, len(self._ids), BLOCK):
            self._parts.append(self._through(start, min(start + BLOCK, len(self._ids)), None, 0))
            yield

    def _read_shared(self, start: int, end: int) -> None:
        beginning = tuple(self._ids[:end])
        kept = self._prefixes.get(beginning)
        depth = 0 if kept is None else min(kept.depth, self._layers)
        if kept is not None:
            self.past[:depth, :, :, start:end] = kept.past[:depth]
        if depth < self._layers:
            hidden = self._through(start, end, kept.hidden if kept else None, depth)
            whole = self._layers == self._network.shape.layers
            past = self.past[: self._layers, :, :, start:end].clone()
            self._prefixes.put(beginning, _Block(past, None if whole else hidden))

    def _through(self, start: int, end: int, hidden: torch.Tensor | None, depth: int) -> torch.Tensor:
        if hidden is None:
            hidden = self._network.embedded(self._ids[start:end])
        return self._network.run(hidden, self.past, start, range(depth, self._layers))
