import pytest
import torch

from rag.engine.linear import AsymmetricInt8Linear, Int8Linear, multiplies_bytes, quantized

pytestmark = pytest.mark.skipif(not multiplies_bytes(), reason="this processor multiplies no bytes fast")


@pytest.fixture
def weights() -> torch.Tensor:
    return torch.randn(96, 64, generator=torch.Generator().manual_seed(0))


def spread(rows: int, generator: int = 1) -> torch.Tensor:
    """Activations of which a few are far larger than the rest."""
    values = torch.randn(rows, 64, generator=torch.Generator().manual_seed(generator))
    values[:, ::17] *= 40
    return values


def error(weights: torch.Tensor, activations: torch.Tensor, *, fine: bool) -> float:
    exact = activations @ weights.T
    return float((Int8Linear(*quantized(weights), fine=fine)(activations) - exact).norm() / exact.norm())


def test_bytes_are_near_the_exact_product_and_two_bytes_nearer(weights: torch.Tensor) -> None:
    coarse, fine = (error(weights, spread(20), fine=fine) for fine in (False, True))
    assert fine < 0.01 < 0.02
    assert fine < coarse < 0.05


def test_a_row_depends_on_its_own_token_alone(weights: torch.Tensor) -> None:
    product = Int8Linear(*quantized(weights), torch.ones(96), fine=True)
    rows = spread(70)
    assert torch.equal(product(rows)[13:14], product(rows[13:14]))


@pytest.mark.parametrize("fine", [False, True])
def test_weights_that_are_laid_out_give_the_same_to_the_last_bit(weights: torch.Tensor, fine: bool) -> None:
    product = Int8Linear(*quantized(weights), fine=fine, patience=2)
    first, second, third = (product(spread(9)) for _ in range(3))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert torch.equal(first, Int8Linear(*quantized(weights), fine=fine)(spread(9)))


def test_nothing_times_something_is_nothing(weights: torch.Tensor) -> None:
    assert torch.equal(Int8Linear(*quantized(weights))(torch.zeros(3, 64)), torch.zeros(3, 96))
    assert torch.equal(Int8Linear(*quantized(torch.zeros(8, 64)))(spread(3)), torch.zeros(3, 8))


def test_factors_go_into_the_columns(weights: torch.Tensor) -> None:
    factors = torch.rand(64, generator=torch.Generator().manual_seed(2)) + 0.5
    moved = quantized(weights, factors)
    wanted = quantized(weights * factors)
    assert torch.equal(moved[0], wanted[0])
    assert torch.equal(moved[1], wanted[1])


def test_activations_to_one_side_lose_less_when_counted_from_the_smallest(weights: torch.Tensor) -> None:
    rows, bias = torch.nn.functional.gelu(spread(70)) + 3, torch.arange(96.0)
    exact = rows @ weights.T + bias
    product = AsymmetricInt8Linear(weights, bias)
    lost, symmetric = (product(rows) - exact).norm(), (Int8Linear(*quantized(weights), bias)(rows) - exact).norm()
    assert lost < 0.01 * exact.norm()
    assert lost < 0.7 * symmetric
    assert torch.equal(product(rows)[13:14], product(rows[13:14]))
    assert torch.equal(product(torch.zeros(3, 64)), bias.expand(3, 96))
