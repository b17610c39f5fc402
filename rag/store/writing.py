"""Cuts papers into passages, embeds these, and writes it all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from rag.embedding import Embedder
from rag.papers import Paper
from rag.store.database import Database
from rag.tokens import TokenStore

BATCH = 32
"""Papers that are written at once: what they take in memory is their tokens' vectors, half a megabyte each."""


def write(
    papers: Sequence[Paper],
    database: Database,
    tokens: TokenStore | None,
    *,
    embedder: Embedder,
    characters: int,
    there: Collection[str],
) -> None:
    """Write papers, each after its passages: one that is there under its digest is complete.

    :param tokens: where their token vectors go; None if they are made when they are asked for.
    :param characters: the most that a passage holds.
    :param there: the papers of which something is there already, whole or not.
    """
    from llama_index.core.schema import MetadataMode

    from rag.nodes import PassageParser, as_document

    nodes = PassageParser(characters=characters).get_nodes_from_documents([as_document(paper) for paper in papers])
    texts = [node.get_content(MetadataMode.EMBED) for node in nodes]
    vectors, read = embedder.with_tokens(texts)
    for node, vector in zip(nodes, vectors, strict=True):
        node.embedding = vector.tolist()
    replaced = [paper.paper_id for paper in papers if paper.paper_id in there]
    database.write_passages(nodes, replaced)
    if tokens is not None:
        tokens.delete(replaced)
        tokens.write(
            (*tokens.place(node.metadata["paper_id"], node.metadata["start"], text), own)
            for node, text, own in zip(nodes, texts, read, strict=True)
        )
    owners = np.array([node.metadata["paper_id"] for node in nodes])
    # A paper stands at the middle of its passages.
    database.write_papers(papers, [vectors[owners == paper.paper_id].mean(axis=0) for paper in papers])
