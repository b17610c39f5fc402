"""The Qwen2 network (Yang et al., Qwen2 Technical Report, 2024), read and run layer by layer.

Activations are float32 and have the shape (tokens, width); a sequence is one sequence, never a batch: what many prompts
share is read once, and the rest of each is long enough by itself to keep the processor busy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from rag.engine.linear import Linear


@dataclass(frozen=True)
class Shape:
    """The sizes of a network."""

    layers: int
    width: int
    heads: int
    pair_heads: int
    """Heads of keys and values; several heads of queries share one."""
    head_width: int
    epsilon: float
    theta: float
    """Base of the rotary position embedding."""
    tied: bool
    """Whether the head's weights are those of the embedding."""

    @classmethod
    def of(cls, folder: Path) -> Shape | None:
        """What a model's folder says; None if it is another network than this module runs."""
        try:
            about: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            rope = about.get("rope_parameters") or about.get("rope_scaling") or {}
            usual = (
                about["model_type"] == "qwen2"
                and about.get("hidden_act", "silu") == "silu"
                and not about.get("use_sliding_window")
                and rope.get("rope_type", "default") == "default"
            )
            return (
                cls(
                    layers=about["num_hidden_layers"],
                    width=about["hidden_size"],
                    heads=about["num_attention_heads"],
                    pair_heads=about["num_key_value_heads"],
                    head_width=about.get("head_dim") or about["hidden_size"] // about["num_attention_heads"],
                    epsilon=about["rms_norm_eps"],
                    theta=rope.get("rope_theta") or about["rope_theta"],
                    tied=about.get("tie_word_embeddings", False),
                )
                if usual
                else None
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True)
class Layer:
    """One layer: what its parts multiply by. Queries, keys and values are one product, and so are gate and up."""

    before_attention: torch.Tensor
    queries_keys_values: Linear
    attended: Linear
    before_gate: torch.Tensor
    gate_up: Linear
    down: Linear


class Network:
    """A network in memory."""

    def __init__(
        self, shape: Shape, embedding: torch.Tensor, layers: Sequence[Layer], last: torch.Tensor, head: Linear
    ):
        """:param embedding: shape (vocabulary, width). :param last: the weights of the last normalisation."""
        self.shape = shape
        self._embedding = embedding
        self._layers = layers
        self._last = last
        self._head = head
        self._turns = self._turned_until(0)

    def past(self, tokens: int) -> torch.Tensor:
        """Room for keys and values: shape (layers, 2, pair heads, tokens, head width)."""
        shape = self.shape
        return torch.empty(shape.layers, 2, shape.pair_heads, tokens, shape.head_width, device=self._embedding.device)

    @torch.inference_mode()
    def embedded(self, ids: Sequence[int]) -> torch.Tensor:
        """What goes into the first layer."""
        return self._embedding[torch.tensor(ids, device=self._embedding.device)].float()

    @torch.inference_mode()
    def run(self, hidden: torch.Tensor, past: torch.Tensor, start: int, layers: range) -> torch.Tensor:
        """Some tokens through some layers.

        :param hidden: what goes into the first of these layers, for consecutive tokens.
        :param past: keys and values, filled for all tokens before; those of these tokens are put in.
        :param start: the place of the first of these tokens.
        """
        shape, count = self.shape, len(hidden)
        end = start + count
        if len(self._turns[0]) < end:
            self._turns = self._turned_until(2 * end)
        turns = [part[start:end] for part in self._turns]
        mask = None
        if count > 1:
            mask = torch.full((count, end), float("-inf"), device=hidden.device).triu_(start + 1)
        for i in layers:
            layer = self._layers[i]
            keys, values = past[i, 0, :, :end], past[i, 1, :, :end]
            projected = layer.queries_keys_values(self._normal(hidden, layer.before_attention))
            query, key, value = projected.view(count, -1, shape.head_width).split(
                [shape.heads, shape.pair_heads, shape.pair_heads], 1
            )
            keys[:, start:] = _turned(key, *turns).transpose(0, 1)
            values[:, start:] = value.transpose(0, 1)
            attended = functional.scaled_dot_product_attention(
                _turned(query, *turns).transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, enable_gqa=True
            )
            hidden = hidden + layer.attended(attended[0].transpose(0, 1).reshape(count, -1))
            gate, up = layer.gate_up(self._normal(hidden, layer.before_gate)).chunk(2, 1)
            hidden = hidden + layer.down(functional.silu(gate).mul_(up))
        return hidden

    @torch.inference_mode()
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, shape (tokens, vocabulary), from what the last layer gave out."""
        return self._head(self._normal(hidden, self._last))

    def _normal(self, hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, (self.shape.width,), weights, self.shape.epsilon)

    def _turned_until(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the rotary position embedding, each of shape (tokens, 1, head width)."""
        device, half = self._embedding.device, torch.arange(0, self.shape.head_width, 2).float()
        frequencies = 1 / self.shape.theta ** (half / self.shape.head_width)
        angles = torch.outer(torch.arange(tokens).float(), frequencies).repeat(1, 2)[:, None]
        return angles.cos().to(device), angles.sin().to(device)


def _turned(vectors: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Vectors of shape (tokens, heads, head width) with their places turned into them (Su et al., RoFormer, 2021)."""
    first, second = vectors.chunk(2, -1)
    return vectors * cosines + torch.cat([-second, first], -1) * sines
