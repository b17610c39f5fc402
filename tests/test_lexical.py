from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lexical import LexicalIndex, grams
from rag.papers import Paper, Record, Source, papers_from


def paper(title: str, abstract: str) -> Paper:
    source = Source(file="a.txt", start=0, end=len(abstract), record=1)
    return papers_from([Record(source, abstract, title=title)])[0]


PAPERS = [
    paper("Pruning", "Layers are pruned by their sensitivity. The hallucinations vanish."),
    paper("Growing", "Layers are grown by their gradient. The optimizers differ."),
    paper("Σ", "✓ ✗"),
]


@pytest.fixture(scope="module")
def index() -> LexicalIndex:
    return LexicalIndex.of(PAPERS)


def best(index: LexicalIndex, question: str) -> str:
    return index.paper_ids[int(np.argmax(index.scores(question)))]


def test_short_words_and_their_edges_are_kept() -> None:
    assert grams("PDS") == [" pds", "pds "]
    assert grams("an XY of the") == [" xy "]
    assert grams("layer") == [" lay", "laye", "ayer", "yer "]


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("pruned", 0),
        ("prunning sensitivty", 0),
        ("Halluzinationen", 0),
        ("gradients", 1),
        ("Optimizer", 1),
        ("grwoing gradeint", 1),
    ],
)
def test_slips_inflections_and_cognates_still_match(question: str, place: int, index: LexicalIndex) -> None:
    assert best(index, question) == PAPERS[place].paper_id


@pytest.mark.parametrize("question", ["", "the of and", "?!", "zzzz", "日本語"])
def test_a_question_that_shares_nothing_scores_nothing(question: str, index: LexicalIndex) -> None:
    assert index.scores(question).tolist() == [0, 0, 0]


@given(st.text(max_size=80))
def test_any_question_has_a_score_for_each_paper(question: str) -> None:
    scores = LexicalIndex.of(PAPERS[:2]).scores(question)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


def test_what_is_saved_is_read_again_only_for_the_same_papers(index: LexicalIndex, tmp_path: Path) -> None:
    folder = tmp_path / "lexical"
    index.save(folder, "abc")
    index.save(folder, "abc")  # in place of what is there
    again = LexicalIndex.load(folder, "abc")
    assert again is not None
    for question in ("pruned layers", "Optimizer"):
        assert again.scores(question).tolist() == index.scores(question).tolist()
    assert again.paper_ids == index.paper_ids
    assert again.names == index.names
    assert LexicalIndex.load(folder, "other") is None
    assert [path.name for path in tmp_path.iterdir()] == ["lexical"]


@pytest.mark.parametrize("damaged", ["made_of.json", "names.json", "params.index.json", "data.csc.index.npy"])
def test_a_damaged_file_is_not_believed(damaged: str, index: LexicalIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "lexical", "abc")
    (tmp_path / "lexical" / damaged).write_bytes(b"\x00garbage")
    assert LexicalIndex.load(tmp_path / "lexical", "abc") is None
    assert LexicalIndex.load(tmp_path / "nowhere", "abc") is None


def test_no_papers_are_no_error() -> None:
    assert LexicalIndex.of([]).scores("anything").shape == (0,)
