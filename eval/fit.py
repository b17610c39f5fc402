"""Fits the probes in ``rag/probes/``: ``python -m eval.fit``, about forty minutes on two cores.

They are fitted on ``training/`` and on the development part of the gold; the test parts are never read here. Claims
that are true tend to be longer than false ones: each example is weighted so that length says nothing (inverse
propensity weights, Rosenbaum and Rubin, Biometrika 1983).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from rag.assistant import Assistant
from rag.engine.network import Shape
from rag.errors import UsageError
from rag.probe import Probe, probe_file, save_probes
from rag.prompts import Prompt
from rag.reading import Text
from rag.settings import load_settings

from .data import HERE, load_claims, load_questions
from .intervals import Estimate, auroc

LAYER = 18 / 28
"""Where the states are taken, as a share of the model's layers: of all tried it told best."""
STRENGTH = 0.005
"""Inverse strength of the L2 penalty."""
HALVES = {"answers": 1, "states": 2}
"""Whether a probe reads the state of the last token alone, or beside it the mean over what is asked about."""
CLASSES = {"answers": ("answers", "corrects", "silent"), "states": ("stated", "contradicted", "not_stated")}
_CONTRADICT = {"changed-number", "swapped-name", "negation", "reversed"}
_FOLDS = 5


Label = Literal["stated", "contradicted", "not_stated", "answers", "corrects", "silent"]


class Example(BaseModel):
    """A line of ``training/``: a claim or a question, and what the abstract does to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    paper_id: str
    kind: str
    label: Label
    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """A probe, and how well its like does on papers that it wasn't fitted on."""

    probe: Probe
    auroc: Estimate
    """Of the first class against the others, cross-validated over papers."""


def load_examples(name: str) -> list[Example]:
    """The lines of ``training/<name>.jsonl``, ``name`` being "claims" or "questions"."""
    lines = (HERE / "training" / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [Example.model_validate_json(line) for line in lines if line]


def claims() -> list[Example]:
    """Claims to fit on. Beside another paper than their own they are told without having been fitted on."""
    examples = load_examples("claims")
    dev = [
        Example(
            id=claim.id,
            paper_id=claim.paper_id,
            kind=claim.kind,
            label="stated" if claim.supported else "contradicted" if claim.kind in _CONTRADICT else "not_stated",
            text=claim.claim,
            evidence=(),
        )
        for claim in load_claims()
        if claim.split == "dev"
    ]
    return [*examples, *dev]


def questions(assistant: Assistant) -> list[Example]:
    """Questions to fit on. Those about one paper are set before the nearest other too, which doesn't answer them."""
    examples = load_examples("questions")
    moved = [_elsewhere(assistant, e, "silent") for e in examples if e.kind not in ("list", "compare")]
    dev: list[Example] = []
    for question in load_questions():
        if question.split != "dev" or question.kind == "compare":  # of a comparison an abstract answers a part
            continue
        near = [paper.paper_id for paper in assistant.retriever.search(question.question, 6).papers]
        says: Label = "corrects" if question.kind == "false-premise" else "answers"
        others = [id_ for id_ in near if id_ not in question.papers][: 1 if question.papers else 3]
        labelled: list[tuple[str, Label]] = [(id_, says) for id_ in question.papers] + [
            (id_, "silent") for id_ in others
        ]
        dev += [
            Example(id=question.id, paper_id=id_, kind=question.kind, label=label, text=question.question, evidence=())
            for id_, label in labelled
        ]
    return [*examples, *moved, *dev]


def _elsewhere(assistant: Assistant, example: Example, label: Label) -> Example:
    found = assistant.retriever.search(example.text, 2).papers
    other = next(paper for paper in found if paper.paper_id != example.paper_id)
    return example.model_copy(update={"paper_id": other.paper_id, "label": label, "evidence": ()})


def states(assistant: Assistant, examples: Sequence[Example], prompt: Prompt, layer: int) -> NDArray[np.float32]:
    """The states that the probe reads, shape (examples, 2 * width); each abstract is read once."""
    field = "claim" if prompt == Prompt.load("states") else "question"
    by_paper: defaultdict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        by_paper[example.paper_id].append(i)
    rows: dict[int, NDArray[np.float32]] = {}
    for done, (paper_id, places) in enumerate(by_paper.items()):
        text = Text.of(assistant.index.papers[paper_id])
        asked = [text.fill(prompt, **{field: examples[i].text}) for i in places]
        rows |= dict(zip(places, assistant.model.states(asked, [examples[i].text for i in places], layer), strict=True))
        print(f"\r{done + 1} of {len(by_paper)} papers", end="", file=sys.stderr)
    return np.stack([rows[i] for i in range(len(examples))])


def fit(
    examples: Sequence[Example],
    rows: NDArray[np.float32],
    classes: tuple[str, ...],
    layer: int,
    prompt: Prompt,
    halves: int = 2,
) -> Fitted:
    """Multinomial logistic regressions on the state of the last token and on the mean of what is asked, summed.

    Their scales are folded into the weights. The sum is too sure of itself: it is divided by the number that makes the
    cross-validated probabilities likeliest (temperature scaling: Guo et al., On Calibration of Modern Neural Networks,
    ICML 2017).
    """
    labels = np.array([classes.index(example.label) for example in examples])
    weights = _without_length(examples, labels == 0)
    folds = np.array([int(example.paper_id, 16) % _FOLDS for example in examples])
    logits = np.zeros((len(examples), len(classes)))
    for fold in range(_FOLDS):
        inside = folds != fold
        weight, bias = _regressions(rows[inside], labels[inside], weights[inside], halves)
        logits[~inside] = rows[~inside] @ weight.T + bias
    temperature = min(np.arange(0.5, 4, 0.05), key=lambda t: _surprise(logits / t, labels, weights))
    weight, bias = (part / temperature for part in _regressions(rows, labels, weights, halves))
    probe = Probe(classes, layer, prompt.sha256, weight.astype(np.float32), bias.astype(np.float32))
    scores = logits[:, 0] - np.logaddexp.reduce(logits[:, 1:], axis=1)
    return Fitted(probe, auroc(scores.tolist(), (labels == 0).tolist()))


def _regressions(
    rows: NDArray[np.float32], labels: NDArray[np.int_], weights: NDArray[np.float64], halves: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A regression for each half of the columns that is used; what they say is added up, the rest weighs nothing."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = (rows - mean) / spread
    width = rows.shape[1] // 2
    weight, bias = np.zeros((labels.max() + 1, 2 * width)), np.zeros(labels.max() + 1)
    for half in (slice(width), slice(width, None))[:halves]:
        model = LogisticRegression(C=STRENGTH, max_iter=3000).fit(standard[:, half], labels, sample_weight=weights)
        weight[:, half] = model.coef_ / spread[half]
        bias += model.intercept_
    return weight, bias - weight @ mean


def _surprise(logits: NDArray[np.float64], labels: NDArray[np.int_], weights: NDArray[np.float64]) -> float:
    """Mean negative log-likelihood."""
    likelihoods = logits[np.arange(len(labels)), labels] - np.logaddexp.reduce(logits, axis=1)
    return -float(np.average(likelihoods, weights=weights))


def _without_length(examples: Sequence[Example], first: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights under which the number of words doesn't tell the first class from the others."""
    from sklearn.linear_model import LogisticRegression

    length = np.array([len(example.text.split()) for example in examples], dtype=float)
    known = np.stack([length, length**2 / 20], axis=1)
    chance = LogisticRegression(max_iter=1000).fit(known, first).predict_proba(known)[:, 1]
    share = first.mean()
    weights: NDArray[np.float64] = np.where(first, share / chance, (1 - share) / (1 - chance))
    return np.clip(weights, 0.25, 4.0)


def main() -> None:
    """Fit both probes for the model that is set, and write them where the package looks for them."""
    assistant = Assistant(load_settings())
    model = assistant.model
    shape = Shape.of(Path(model.weights.source))
    if shape is None:
        raise UsageError(f"{model.weights.name} is no model that probes can be fitted for: name another as RAG_MODEL.")
    layer = round(LAYER * shape.layers)
    probes = {}
    for name, examples in (("states", claims()), ("answers", questions(assistant))):
        prompt = Prompt.load(name)
        fitted = fit(examples, states(assistant, examples, prompt, layer), CLASSES[name], layer, prompt, HALVES[name])
        probes[name] = fitted.probe
        print(f"\n{name}: {len(examples)} examples, AUROC {fitted.auroc.value:.3f} on papers left out")
    path: Path = probe_file(model.weights.name)
    save_probes(path, str(model.weights.sha256), probes)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
