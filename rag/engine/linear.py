"""Products of weights and activations: in bytes where the processor has instructions for it, else in half precision.

Bytes, "W8A8": each row of the weights and each token's activations have a scale of their own, and their products are
added up exactly, in integers (Yao et al., ZeroQuant, NeurIPS 2022). A row of the result depends on its own token alone,
whatever is multiplied beside it.
"""

from __future__ import annotations

from typing import Protocol

import torch

_MOST = 127
_UNSIGNED_MOST = 255
# oneDNN's fast path wants activations without a sign; it takes the shift out again.
_SHIFT = 128
# How much finer the second byte of an activation is than the first.
_FINER = 2 * _MOST
_ROWS = 8192


class Linear(Protocol):
    """Multiplies activations of shape (tokens, inputs) by weights of shape (outputs, inputs), in float32."""

    def __call__(self, activations: torch.Tensor) -> torch.Tensor: ...


class Int8Linear:
    """Weights of one byte.

    They are used as they lie in the file, which needs no loading, until it pays to lay them out in memory as oneDNN
    likes them: that takes as long as some hundred products, and makes each a quarter faster. The results are the same.
    """

    def __init__(
        self,
        weights: torch.Tensor,
        scales: torch.Tensor,
        bias: torch.Tensor | None = None,
        *,
        fine: bool = False,
        patience: int = 0,
    ):
        """:param weights: int8, shape (outputs, inputs). :param scales: float32, shape (outputs,).

        :param fine: whether activations get a second byte, for those of which a few are far larger than the rest.
        :param patience: after how many products the weights are laid out.
        """
        self._weights: torch.Tensor | None = weights
        self._packed: torch.Tensor | None = None
        self._scales = scales
        self._zeros = torch.zeros(len(scales), dtype=torch.int32)
        self._bias = bias
        self._fine = fine
        self._patience = patience

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        scales = activations.abs().amax(1, keepdim=True).clamp_min_(1e-9).div_(_MOST)
        exact = activations / scales
        whole = exact.round()
        if self._fine:
            rest = exact.sub_(whole).mul_(_FINER).round_()
            coarse, finer = self._products(torch.cat([whole, rest])).chunk(2)
            products = coarse.add_(finer, alpha=1 / _FINER).mul_(scales)
        else:
            products = self._products(whole).mul_(scales)
        return products if self._bias is None else products.add_(self._bias)

    def _products(self, whole: torch.Tensor) -> torch.Tensor:
        weights = self._weights
        if weights is not None:
            self._patience -= 1
            if self._patience >= 0:
                return torch._int_mm(whole.to(torch.int8), weights.t()).float().mul_(self._scales)
            self._packed = torch.ops.onednn.qlinear_prepack(weights, None)
            self._weights = None
        unsigned = whole.add_(_SHIFT).to(torch.uint8)
        products: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, _SHIFT, self._packed, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return products


class AsymmetricInt8Linear:
    """Weights of one byte, and activations of one: 0 is a token's smallest, 255 its largest.

    Half the error of :class:`Int8Linear` where activations lie to one side, as after GELU or a layer norm's bias.
    """

    def __init__(self, weights: torch.Tensor, bias: torch.Tensor):
        """:param weights: float32, shape (outputs, inputs). :param bias: float32, shape (outputs,)."""
        whole, self._scales = quantized(weights)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)
        self._zeros = torch.zeros(len(whole), dtype=torch.int32)
        # A token's activations are counted from its smallest, which each output then holds as often.
        self._sums = whole.sum(1) * self._scales
        self._bias = bias

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        lowest = activations.amin(1, keepdim=True)
        scales = (activations.amax(1, keepdim=True) - lowest).div_(_UNSIGNED_MOST).clamp_min_(1e-9)
        finer = scales.reciprocal()
        # Bytes with a sign are made several times faster than those without; turning the first bit makes up for it.
        signed = torch.addcmul(-lowest * finer - _SHIFT, activations, finer).round_().to(torch.int8)
        whole = signed.view(torch.uint8).bitwise_xor_(_SHIFT)
        products: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            whole, 1.0, 0, self._packed, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return products.mul_(scales).addcmul_(lowest, self._sums).add_(self._bias)


class HalfLinear:
    """Weights as they were published, or as near as the device computes fast."""

    def __init__(self, weights: torch.Tensor, bias: torch.Tensor | None = None):
        self._weights = weights
        self._bias = bias

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        products = torch.nn.functional.linear(activations.to(self._weights.dtype), self._weights).float()
        return products if self._bias is None else products.add_(self._bias)


def quantized(weights: torch.Tensor, factors: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights in one byte, shape (outputs, inputs), and the scales of their rows, shape (outputs,).

    :param factors: what the columns are multiplied by before, shape (inputs,).
    """
    whole = torch.empty(weights.shape, dtype=torch.int8)
    scales = torch.empty(len(weights))
    for rows in torch.arange(len(weights)).split(_ROWS):  # all at once would take four times the memory
        exact = weights[rows].float() if factors is None else weights[rows].float() * factors
        scales[rows] = exact.abs().amax(1).clamp_min_(1e-9).div_(_MOST)
        whole[rows] = exact.div_(scales[rows, None]).round_().to(torch.int8)
    return whole, scales


def multiplies_bytes() -> bool:
    """Whether this processor multiplies bytes fast: whether it has AVX-512 VNNI."""
    return bool(torch.cpu._is_vnni_supported())
