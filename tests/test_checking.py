from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.checking import Checker
from rag.embedding import Embedder
from rag.evidence import Evidence
from rag.facts import unbacked_names, unbacked_numbers
from rag.prompts import Prompt
from rag.reading import Belief, Reader, Text
from tests.abstracts import PAPERS, QUUX, ZORB
from tests.says import Says

PROMPTS = (Prompt.load("answers"), Prompt.load("states"))


def checker(belief: float = 0.99) -> Checker:
    """One whose model believes everything (or nothing): what is left are the exact checks."""
    return Checker(Reader(Says(claims=belief), *PROMPTS))  # type: ignore[arg-type]


def support(sentence: str, embedder: Embedder, belief: float = 0.99) -> float:
    return checker(belief).supports([(sentence, Evidence(PAPERS, embedder).attribute(sentence))])[0]


@pytest.mark.parametrize(
    "sentence",
    [
        "Zorb sorts 1,300 marbles a second.",
        "Quux boils 40 litres of water in 25 seconds.",
        "XQ-7 sorts 1,200 marbles a second.",
        "Zorb sorts 1,200 marbles a second and uses LoRA.",
    ],
)
def test_a_figure_or_name_that_is_not_in_the_quotes_is_never_supported(sentence: str, embedder: Embedder) -> None:
    assert support(sentence, embedder) < 0.5


@pytest.mark.parametrize(
    "sentence", ["Zorb sorts 1200 marbles per second.", "The kettle boils 2.5 litres in 40 seconds."]
)
def test_support_follows_the_model_where_figures_and_names_agree(sentence: str, embedder: Embedder) -> None:
    assert support(sentence, embedder, 0.99) > 0.5 > support(sentence, embedder, 0.01)


def test_a_figure_of_the_neighbouring_abstract_backs_nothing(embedder: Embedder) -> None:
    assert support("Zorb sorts marbles for 40 hours.", embedder) < 0.5


def test_no_quotes_no_support() -> None:
    assert checker().supports([("Anything.", ())]) == [0.0]


_WORDS = [*(ZORB + " " + QUUX).split(), "1,300", "7%", "GPT-9", "XLoRA", "not", "2.5", "40"]


@given(st.lists(st.sampled_from(_WORDS), min_size=3, max_size=15), st.floats(0.01, 0.99))
@settings(max_examples=150, deadline=None)
def test_support_is_a_share_and_never_above_the_ceiling_with_a_foreign_figure_or_name(
    words: list[str], belief: float
) -> None:
    claim, text = " ".join(words), Text.of(PAPERS[0])
    (verdict,) = checker(belief).verdicts([(claim, text)])
    assert 0 <= verdict.support <= 1
    held = f"{text.title}\n{text.body}"
    if unbacked_numbers(claim, held) or unbacked_names(claim, held):
        assert verdict.support <= 0.1
        assert verdict.why != "stated"
    assert (verdict.why == "stated") is (verdict.support >= 0.5)


class Dedicated:
    """An entailment model that has made up its mind."""

    def __init__(self, belief: Belief):
        self._belief = belief

    def beliefs(self, claims: Sequence[tuple[str, Text]]) -> list[Belief]:
        return [self._belief] * len(claims)


@pytest.mark.parametrize(
    ("belief", "why"),
    [
        (Belief(0.9, 0.05, 0.05), "stated"),
        (Belief(0.1, 0.8, 0.1), "contradicted"),
        (Belief(0.1, 0.1, 0.8), "not_stated"),
    ],
)
def test_a_dedicated_checker_takes_the_models_place(belief: Belief, why: str) -> None:
    own = Checker(Reader(Says(claims=0.01), *PROMPTS), Dedicated(belief))  # type: ignore[arg-type]
    (verdict,) = own.verdicts([("Zorb is free.", Text.of(PAPERS[0]))])
    assert (verdict.support, verdict.why) == (belief.stated, why)
