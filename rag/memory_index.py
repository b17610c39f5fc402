"""The papers without a database: what is left when no embedding model can be had. Lexical search works on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

from rag.chunking import StoredPassage, spans
from rag.lexical import LexicalIndex
from rag.papers import Paper


class MemoryIndex:
    """Stands in for :class:`rag.index.PaperIndex`; has no vectors, so nothing is near anything."""

    def __init__(self, papers: Sequence[Paper], characters: int):
        self.papers = {paper.paper_id: paper for paper in papers}
        self._characters = characters

    @cached_property
    def sha256(self) -> str:
        """Hash over all papers."""
        digests = sorted(paper.digest for paper in self.papers.values())
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    @cached_property
    def passages(self) -> list[StoredPassage]:
        """All passages, cut as the index cuts them."""
        return [
            StoredPassage(paper.paper_id, start, end, paper.abstract[start:end])
            for paper in self.papers.values()
            for start, end in spans(paper.abstract, self._characters)
        ]

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The lexical index."""
        return LexicalIndex.of(list(self.papers.values()))
