from pathlib import Path

import numpy as np
import pytest

from rag.embedding import DIMENSIONS, Embedder, Tokens, unit
from rag.tokens import LateInteraction, TokenStore


def random_tokens(count: int, seed: int) -> Tokens:
    made = np.random.default_rng(seed)
    return Tokens(made.integers(1000, 2000, count).astype(np.int32), unit(made.normal(size=(count, DIMENSIONS))))


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    store = TokenStore(tmp_path)
    store.write([("a", 0, random_tokens(5, 1)), ("a", 90, random_tokens(3, 2)), ("b", 0, random_tokens(4, 3))])
    return store


def test_tokens_come_back_passage_after_passage_nearly_unchanged(store: TokenStore) -> None:
    read = store.read("a")
    written = [random_tokens(5, 1), random_tokens(3, 2)]
    assert read.ids.tolist() == [id_ for tokens in written for id_ in tokens.ids.tolist()]
    cosines = (read.vectors * np.concatenate([tokens.vectors for tokens in written])).sum(axis=1)
    assert cosines.min() > 0.999
    assert np.linalg.norm(read.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_what_is_written_again_replaces_and_what_is_deleted_is_gone(store: TokenStore) -> None:
    store.write([("a", 0, random_tokens(2, 9))])
    assert len(store.read("a").ids) == 2 + 3
    store.delete(["a", "unknown"])
    assert len(store.read("a").ids) == 0
    assert len(store.read("b").ids) == 4


def test_it_outlives_its_process(store: TokenStore, tmp_path: Path) -> None:
    store.close()
    again = TokenStore(tmp_path)
    assert len(again.read("b").ids) == 4
    again.close()


def by_hand(question: Tokens, paper: Tokens, papers: list[Tokens]) -> float:
    held = np.array([sum(id_ in tokens.ids for tokens in papers) for id_ in question.ids])
    rarity = np.log(1 + (len(papers) - held + 0.5) / (held + 0.5))
    best = [max(float(asked @ other) for other in paper.vectors) for asked in question.vectors]
    return float(np.dot(rarity / rarity.sum(), best))


def test_scores_are_those_of_the_formula_whether_resident_or_not(store: TokenStore) -> None:
    question = Tokens(np.array([1200, 5], np.int32), random_tokens(2, 7).vectors)
    papers = [store.read("a"), store.read("b")]
    expected = [by_hand(question, paper, papers) for paper in papers]
    assert LateInteraction(store, ["a", "b"]).scores(question, ["a", "b"]) == pytest.approx(expected, abs=1e-5)
    alone = LateInteraction(store, ["b"]).scores(question, ["a", "b"])
    assert alone == pytest.approx([by_hand(question, paper, papers[1:]) for paper in papers], abs=1e-5)


def test_a_question_without_words_and_a_paper_without_tokens_score_nothing(store: TokenStore) -> None:
    nothing = random_tokens(0, 1)
    late = LateInteraction(store, ["a", "empty"])
    assert late.scores(nothing, ["a", "b"]).tolist() == [0, 0]
    assert late.scores(random_tokens(2, 4), ["empty"]).tolist() == [-1]
    assert LateInteraction(store, []).scores(random_tokens(2, 4), ["a"]).shape == (1,)


def test_the_embedder_gives_the_same_vectors_with_and_without_tokens(embedder: Embedder) -> None:
    texts = ["Pruning of layers, gently.", "A", "of the and", "日本", "pruning " * 600]
    vectors, tokens = embedder.with_tokens(texts)
    assert vectors == pytest.approx(embedder(texts), abs=1e-5)
    assert [len(read.ids) > 0 for read in tokens] == [True, False, False, True, True]
    assert all(read.vectors.shape == (len(read.ids), DIMENSIONS) for read in tokens)
    assert np.linalg.norm(tokens[0].vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_token_is_read_in_its_context(embedder: Embedder) -> None:
    _, (river, money) = embedder.with_tokens(["a bank by the river", "a bank lends money"])
    same = river.ids[0] == money.ids[0]
    assert same
    assert 0.3 < float(river.vectors[0] @ money.vectors[0]) < 0.95
