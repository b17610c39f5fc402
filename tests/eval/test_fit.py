from collections import Counter

import numpy as np
import pytest

from eval.data import load_claims, load_questions, normal, seed_papers
from eval.fit import CLASSES, Example, fit, load_examples
from rag.prompts import Prompt

SEVERAL = ("list", "compare")
"""Questions about several papers stand there once for each."""
LABELS = {
    "claims": {
        "stated": {"paraphrase", "two-sentences", "near-verbatim"},
        "contradicted": {"changed-number", "swapped-name", "negation", "reversed"},
        "not_stated": {"not-in-abstract", "overclaim"},
    },
    "questions": {
        "answers": {"what-does", "fact", "how-why", "described", "yes-no", *SEVERAL},
        "corrects": {"false-premise"},
        "silent": {"missing-attribute", "other-system", "near-topic", *SEVERAL},
    },
}


@pytest.mark.parametrize("name", LABELS)
def test_the_examples_are_sound(name: str) -> None:
    examples, papers = load_examples(name), seed_papers()
    assert len(examples) >= 1000
    assert not [text for text, count in Counter((normal(e.text), e.paper_id) for e in examples).items() if count > 1]
    assert {e.paper_id for e in examples} == papers.keys()
    for example in examples:
        assert example.kind in LABELS[name][example.label], example.id
        assert all(quote in papers[example.paper_id].abstract for quote in example.evidence), example.id
        assert example.evidence or example.label in ("not_stated", "silent") or example.kind in SEVERAL, example.id


def test_no_test_question_or_claim_is_among_the_examples() -> None:
    asked = {normal(example.text) for name in LABELS for example in load_examples(name)}
    held = [question.question for question in load_questions() if question.split == "test"]
    held += [claim.claim for claim in load_claims() if claim.split == "test"]
    assert not asked & set(map(normal, held))


def test_a_fitted_probe_tells_what_can_be_told_and_its_figure_is_of_papers_left_out() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(CLASSES["states"], 300)
    examples = [
        Example(id=str(i), paper_id=f"{i % 40:016x}", kind="", label=label, text="word " * (3 + i % 9), evidence=())
        for i, label in enumerate(labels)
    ]
    noise = random.standard_normal((300, 16)).astype(np.float32)
    telling = noise.copy()
    telling[:, 0] += 5 * (labels == "stated")
    prompt = Prompt.load("states")
    told, blind = (fit(examples, rows, CLASSES["states"], 18, prompt) for rows in (telling, noise))
    assert told.auroc.value is not None
    assert blind.auroc.value is not None
    assert told.auroc.value > 0.95 > 0.65 > blind.auroc.value
    shares = told.probe.probabilities(telling)
    assert ((shares[:, 0] > 0.5) == (labels == "stated")).mean() > 0.9
