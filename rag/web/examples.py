"""Questions to start with, made from what is indexed: about systems that papers name before their title's colon."""

from __future__ import annotations

import random

from rag.assistant import Assistant
from rag.names import is_name
from rag.papers import Paper
from rag.text import readable

_ASKED = ("What does {} do?", "How does {} work?", "What problem does {} solve?")
_ELSEWHERE = "What is the capital of France?"
_SURE = 0.9
"""Estimated probability that search finds the paper that is meant."""


def examples(assistant: Assistant) -> list[str]:
    """Up to three questions of which search is sure, and one that no paper answers. The same for the same index."""
    papers = assistant.papers
    random.Random(0).shuffle(papers)
    asked: list[str] = []
    for paper in papers:
        name = _name(paper)
        if not name or len(asked) == len(_ASKED):
            continue
        question = _ASKED[len(asked)].format(name)
        found = assistant.retriever.search(question, 1)
        if found.certainty >= _SURE and found.papers[0].paper_id == paper.paper_id:
            asked.append(question)
    return [*asked, _ELSEWHERE]


def _name(paper: Paper) -> str | None:
    """The one word before the colon of a title, if it is a name that the abstract uses too."""
    head, colon, _ = readable(paper.title).partition(":")
    return head if colon and is_name(head) and " " not in head and head in paper.abstract else None
