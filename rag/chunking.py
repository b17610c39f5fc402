"""Cutting abstracts into passages with exact offsets."""

from __future__ import annotations

from dataclasses import dataclass

from rag.papers import Paper
from rag.text import group, sentence_spans


@dataclass(frozen=True)
class StoredPassage:
    """A passage as an index holds it: ``text == paper.abstract[start:end]``."""

    paper_id: str
    start: int
    end: int
    text: str


def passages_of(paper: Paper, characters: int) -> list[StoredPassage]:
    """Whole sentences in passages of about equal length, none longer than ``characters`` unless a sentence is."""
    return [
        StoredPassage(paper.paper_id, start, end, paper.abstract[start:end])
        for start, end in group(sentence_spans(paper.abstract), characters)
    ]
