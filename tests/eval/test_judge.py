import ast
from pathlib import Path

import pytest

import eval.judge
from eval.judge import Judge

TEXT = (
    "A method. We introduce Quill, a framework that prunes attention heads during training. It removes 40% of the "
    "heads of a 7B model without loss. Pruning raises throughput by 1,250 tokens per second. Earlier methods lowered "
    "accuracy."
)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.of([TEXT, "We study diffusion models for images.", "Large language models need much data."])


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("Quill prunes attention heads during training.", "Quill prunes embedding layers after deployment."),
        ("Quill removes 40% of the heads of a 7B model.", "Quill removes 60% of the heads of a 7B model."),
        ("Pruning raises throughput by 1250 tokens per second.", "Pruning raises throughput by 3000 tokens."),
        ("Quill prunes attention heads during training.", "Quill does not prune attention heads during training."),
        ("Earlier methods lowered accuracy.", "Earlier methods improved accuracy."),
        ("Quill is a framework that prunes heads.", "Paris is the capital of France."),
    ],
)
def test_what_the_text_states_scores_above_what_it_does_not(better: str, worse: str, judge: Judge) -> None:
    assert judge.score(better, TEXT) > judge.score(worse, TEXT) + 0.1


def test_the_texts_own_words_score_one_and_nothing_scores_nothing(judge: Judge) -> None:
    assert judge.score("It removes 40% of the heads of a 7B model without loss.", TEXT) == 1.0
    assert judge.score("It removes 40\\% of the {\\sc heads}.", TEXT) == 1.0
    assert judge.score("", TEXT) == 0.0
    assert judge.score("Anything at all.", "") == 0.0
    assert not judge.supported("Anything at all.", "")


def test_a_figure_is_the_same_however_it_is_written(judge: Judge) -> None:
    whole = judge.score("Quill gains 216K tokens.", "Quill gains 216,000 tokens.")
    assert whole > judge.score("Quill gains 216K tokens.", "Quill gains 216 tokens.")
    assert judge.score("It covers twelve models.", "It covers 12 models.") > 0.5


def test_it_shares_no_code_with_the_assistants_own_check() -> None:
    tree = ast.parse(Path(eval.judge.__file__).read_text())
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name in names if name.startswith(("rag", "eval"))]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
