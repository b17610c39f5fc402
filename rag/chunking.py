"""Cutting abstracts into passages with exact offsets."""

from __future__ import annotations

from dataclasses import dataclass

from rag.text import group, sentence_spans


@dataclass(frozen=True)
class StoredPassage:
    """A passage as an index holds it: ``text == paper.abstract[start:end]``."""

    paper_id: str
    start: int
    end: int
    text: str


def spans(abstract: str, characters: int) -> list[tuple[int, int]]:
    """Whole sentences in passages of about equal length, none longer than ``characters`` unless a sentence is."""
    return group(sentence_spans(abstract), characters)
