from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest

from rag.embedding import Embedder, unit
from rag.engine import linear
from rag.papers import Paper
from rag.readers import read_corpus
from rag.resources import resource

ODD = ["", "  \n", "A", "of the and", "naïve café 日本語 😀", "\x00 x²", "pruning " * 600, "UPPER case, then lower."]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    papers: list[Paper] = read_corpus(resource("seeds"))
    return [*ODD, *(f"{paper.title}\n{paper.abstract}" for paper in papers[::12])]


@pytest.fixture(scope="module")
def reference(embedder: Embedder, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What sentence-transformers makes of the same weights, text by text, so that nothing is padded."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedder.folder), device="cpu")
    return [model.encode([text], output_value=None, convert_to_numpy=False)[0] for text in texts]


def test_vectors_are_those_of_sentence_transformers(
    embedder: Embedder, texts: list[str], reference: list[dict[str, Any]]
) -> None:
    ours, tokens = embedder.with_tokens(texts)
    theirs = unit(np.stack([read["sentence_embedding"].numpy() for read in reference]))
    assert np.abs(ours - theirs).max() < 1e-5
    for made, read in zip(tokens, reference, strict=True):
        ids, vectors = read["input_ids"].numpy(), unit(read["token_embeddings"].numpy())
        kept = [at for at, id_ in enumerate(ids) if embedder._telling[id_]]
        assert made.ids.tolist() == ids[kept].tolist()
        assert np.abs(made.vectors - vectors[kept]).max(initial=0.0) < 1e-5


@pytest.mark.parametrize("in_bytes", [False, True])
def test_vectors_in_bulk_are_the_same_or_in_bytes_as_good_as_the_same(
    in_bytes: bool, embedder: Embedder, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_bytes and not linear.multiplies_bytes():
        pytest.skip("this processor multiplies no bytes fast")
    monkeypatch.setattr(linear, "multiplies_bytes", lambda: in_bytes)
    exact, exact_tokens = embedder.with_tokens(texts)
    made, tokens = embedder.in_bulk().with_tokens(texts)
    assert [read.ids.tolist() for read in tokens] == [read.ids.tolist() for read in exact_tokens]
    pairs = [(made, exact), *((a.vectors, b.vectors) for a, b in zip(tokens, exact_tokens, strict=True))]
    alike = np.concatenate([(ours * theirs).sum(axis=1) for ours, theirs in pairs])
    assert alike.min() > (0.99 if in_bytes else 1 - 1e-5)
    assert alike.mean() > (0.998 if in_bytes else 1 - 1e-6)


def test_a_text_is_the_same_alone_and_among_others(embedder: Embedder, texts: list[str]) -> None:
    together = embedder(texts)
    assert all(np.abs(embedder([text])[0] - vector).max() < 1e-6 for text, vector in zip(texts, together, strict=True))


def test_no_text_and_text_that_is_too_long(embedder: Embedder) -> None:
    for made in (embedder, embedder.in_bulk()):
        assert made([]).shape == (0, 384)
        assert made.with_tokens([])[1] == []
        assert made(["word " * 254])[0] == pytest.approx(made(["word " * 9000])[0], abs=1e-6)
    assert len(list(chain(*embedder.with_tokens(["word " * 9000])[1][0].ids[:, None]))) == 254


def test_pieces_that_say_nothing_are_left_out(embedder: Embedder) -> None:
    _, (tokens,) = embedder.with_tokens(["What is the pruning, of layers?"])
    pieces = [embedder._tokenizer.id_to_token(id_) for id_ in tokens.ids.tolist()]
    assert "".join(pieces).replace("##", "") == "pruninglayers"
