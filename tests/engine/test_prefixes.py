"""What is kept of a prompt changes how long the next one takes, and nothing else."""

from pathlib import Path

import pytest
import torch

from rag.engine.model import EngineModel
from rag.engine.network import Network
from rag.engine.prefixes import BLOCK, Prefixes, Reading
from rag.models import ModelStore
from rag.settings import Generation
from tests.test_llm import load


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> EngineModel:
    return load(tiny_model)


def ids(count: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 250, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


class Counting:
    """The network, and how many tokens went through how many layers of it."""

    def __init__(self, network: Network):
        self._network = network
        self.shape = network.shape
        self.past = network.past
        self.embedded = network.embedded
        self.work = 0

    def run(self, hidden: torch.Tensor, past: torch.Tensor, start: int, layers: range) -> torch.Tensor:
        self.work += len(hidden) * len(layers)
        return self._network.run(hidden, past, start, layers)


def read(
    network: object, prefixes: Prefixes, tokens: list[int], layers: int = 2, shared: int | None = None
) -> torch.Tensor:
    shared = (len(tokens) - 1) // BLOCK * BLOCK if shared is None else shared
    return Reading(network, prefixes, tokens, layers=layers, shared=shared).all().hidden  # type: ignore[arg-type]


def test_a_prompt_gives_the_same_numbers_whatever_was_read_before(model: EngineModel) -> None:
    tokens = ids(3 * BLOCK + 10)
    alone = read(model.network, Prefixes(1 << 30), tokens)
    for before in (tokens[: BLOCK + 3], tokens[: 2 * BLOCK] + ids(70, 1), tokens):
        for layers in (1, 2):
            prefixes = Prefixes(1 << 30)
            read(model.network, prefixes, before, layers)
            assert torch.equal(read(model.network, prefixes, tokens), alone)


def test_block_by_block_is_as_all_at_once(model: EngineModel) -> None:
    tokens = ids(2 * BLOCK + 5)
    network = model.network
    whole = network.run(network.embedded(tokens), network.past(len(tokens)), 0, range(2))
    assert torch.allclose(read(network, Prefixes(1 << 30), tokens), whole[2 * BLOCK :], atol=1e-2)


def test_only_what_is_new_is_read(model: EngineModel) -> None:
    counting, prefixes, tokens = Counting(model.network), Prefixes(1 << 30), ids(3 * BLOCK + 10)
    read(counting, prefixes, tokens, 1)
    assert counting.work == len(tokens)
    read(counting, prefixes, tokens, 1)
    assert counting.work == len(tokens) + 10
    read(counting, prefixes, tokens, 2)  # the lower layer has read all blocks but the last
    assert counting.work == 2 * len(tokens) + 10 + 10
    read(counting, prefixes, tokens[: 2 * BLOCK] + ids(5, 1), 2)
    assert counting.work == 2 * len(tokens) + 10 + 10 + 2 * 5


def test_what_claims_share_need_not_end_with_a_block(model: EngineModel) -> None:
    counting, prefixes, shared = Counting(model.network), Prefixes(1 << 30), ids(BLOCK + 30)
    first, second = (shared + ids(12, seed) for seed in (1, 2))
    read(counting, prefixes, first, shared=len(shared))
    found = read(counting, prefixes, second, shared=len(shared))
    assert counting.work == 2 * (len(shared) + 12 + 12)
    assert torch.equal(found, read(model.network, Prefixes(1 << 30), second, shared=len(shared)))
    assert found.shape == (12, model.network.shape.width)


def test_what_was_longest_unused_goes_first(model: EngineModel) -> None:
    one = Prefixes(1 << 30)
    read(model.network, one, ids(BLOCK + 1))
    room = Prefixes(2 * one._bytes)
    first, second, third = (ids(BLOCK + 1, seed) for seed in range(3))
    for tokens in (first, second, first, third):
        read(model.network, room, tokens)
    kept = [room.get(tuple(tokens[:BLOCK])) is not None for tokens in (first, second, third)]
    assert kept == [True, False, True]
    nothing = Prefixes(0)
    read(model.network, nothing, first)
    assert nothing._bytes == 0


def test_bytes_are_made_once_and_only_for_models_of_the_catalogue(
    tiny_spec: tuple[object, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag.engine.network import Shape

    spec, weights = tiny_spec
    store = ModelStore(tmp_path, weights_dir=weights, offline=True)
    monkeypatch.setattr("rag.models.CATALOGUE", {"tiny": spec})
    pinned = store.resolve("tiny")
    shape = Shape.of(Path(pinned.source))
    assert shape is not None
    said: list[str] = []

    def made() -> EngineModel:
        return EngineModel.load(pinned, Generation(max_tokens=16), shape, lambda task, *_: said.append(task))

    kept = Path(pinned.source) / "int8.safetensors"
    first = "".join(made().stream([{"role": "user", "content": "Say a thing."}]))
    assert kept.is_file()
    assert len(said) == 1
    assert "".join(made().stream([{"role": "user", "content": "Say a thing."}])) == first
    assert len(said) == 1
    kept.write_bytes(kept.read_bytes()[:5000])  # torn
    assert "".join(made().stream([{"role": "user", "content": "Say a thing."}])) == first
    assert len(said) == 2
    own = load(Path(pinned.source))
    assert not own.weights.pinned
