"""Linear probes: what a model makes of a prompt shows in its hidden states more clearly than in its words.

A multinomial logistic regression on the hidden states of a prompt: that of its last token, and their mean over what is
asked about (Alain and Bengio, Understanding Intermediate Layers Using Linear Classifier Probes, 2016; for truth, Azaria
and Mitchell, The Internal State of an LLM Knows When It's Lying, Findings of EMNLP 2023). A probe belongs to one model,
to the words of one prompt and to a layer; ``eval/fit.py`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """Reads probabilities of classes from hidden states."""

    classes: tuple[str, ...]
    layer: int
    """After which layer of the model, from 1, the states are taken."""
    prompt_sha256: str
    """Of the prompt whose states it was fitted on."""
    weight: Floats
    """Shape (classes, width)."""
    bias: Floats
    """Shape (classes,)."""

    def probabilities(self, states: Floats) -> Floats:
        """The probability of each class, shape (states, classes), for states of shape (states, width)."""
        scores = states @ self.weight.T + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def probe_file(model: str) -> Path:
    """Where the probes of a catalogue model lie, or would. They ship with the package."""
    return Path(__file__).parent / "probes" / f"{Path(model).name}.safetensors"


def load_probes(model: str, sha256: str | None) -> dict[str, Probe]:
    """The probes of a model by the name of their prompt; none if there are none for these very weights."""
    from safetensors import safe_open

    path = probe_file(model)
    if sha256 is None or not path.is_file():
        return {}
    with safe_open(path, "numpy") as file:
        about = file.metadata()
        if about["model_sha256"] != sha256:
            return {}
        return {
            name: Probe(
                tuple(fields["classes"]),
                fields["layer"],
                fields["prompt_sha256"],
                file.get_tensor(f"{name}.weight"),
                file.get_tensor(f"{name}.bias"),
            )
            for name, fields in json.loads(about["probes"]).items()
        }


def save_probes(path: Path, model_sha256: str, probes: Mapping[str, Probe]) -> None:
    """Write the probes of a model into a file."""
    from safetensors.numpy import save_file

    about = {
        name: {"classes": probe.classes, "layer": probe.layer, "prompt_sha256": probe.prompt_sha256}
        for name, probe in probes.items()
    }
    # safetensors writes memory as it lies: a transposed array would be read back wrong.
    tensors = {
        f"{name}.{part}": np.ascontiguousarray(getattr(probe, part), dtype=np.float32)
        for name, probe in probes.items()
        for part in ("weight", "bias")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"model_sha256": model_sha256, "probes": json.dumps(about)})
