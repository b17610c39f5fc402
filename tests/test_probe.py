from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rag import probe
from rag.catalogue import CATALOGUE, GENERATOR
from rag.probe import Probe, load_probes, save_probes
from rag.prompts import Prompt

CLASSES = ("stated", "contradicted", "not_stated")
# As sklearn leaves them: a transposed view, whose memory doesn't lie row after row.
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3).T / 10


def made(weight: np.ndarray = WEIGHT) -> Probe:
    return Probe(CLASSES, 18, "a" * 64, weight, np.array([0.1, 0.0, -0.1], dtype=np.float32))


@given(arrays(np.float32, (5, 4), elements=st.floats(-1e3, 1e3, width=32)))
@settings(max_examples=50)
def test_probabilities_sum_to_one(states: np.ndarray) -> None:
    shares = made().probabilities(states)
    assert shares.shape == (5, 3)
    assert np.all(shares >= 0)
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_a_probe_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe_file", lambda model: tmp_path / f"{model}.safetensors")
    save_probes(tmp_path / "mine.safetensors", "b" * 64, {"states": made()})
    read = load_probes("mine", "b" * 64)["states"]
    states = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    assert np.array_equal(read.probabilities(states), made().probabilities(states))
    assert (read.classes, read.layer, read.prompt_sha256) == (CLASSES, 18, "a" * 64)


def test_probes_belong_to_the_weights_that_they_were_fitted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe_file", lambda model: tmp_path / f"{model}.safetensors")
    save_probes(tmp_path / "mine.safetensors", "b" * 64, {"states": made()})
    for name, sha256 in (("mine", "c" * 64), ("mine", None), ("other", "b" * 64)):
        assert load_probes(name, sha256) == {}


def test_the_shipped_probes_fit_the_default_model_and_todays_prompts() -> None:
    probes = load_probes(GENERATOR, CATALOGUE[GENERATOR].sha256)
    assert {name: p.classes for name, p in probes.items()} == {
        "states": CLASSES,
        "answers": ("answers", "corrects", "silent"),
    }
    for name, fitted in probes.items():
        assert fitted.prompt_sha256 == Prompt.load(name).sha256, "python -m eval.fit"
        assert fitted.weight.shape == (3, 3072)
