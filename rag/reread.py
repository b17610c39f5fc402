"""Where retrieval is unsure, the language model helps: it says the question in other words, and reads the best again.

Other words are English ones and the terms of the field. Papers are then ranked by query likelihood (Ponte and Croft, A
Language Modeling Approach to Information Retrieval, SIGIR 1998) as a language model estimates it (Sachan et al.,
Improving Passage Retrieval with Zero-Shot Question Generation, EMNLP 2022), added to the scores that they have.
"""

from __future__ import annotations

from collections.abc import Callable

from rag.lexical import LexicalIndex
from rag.llm import LanguageModel
from rag.prompts import Prompt
from rag.retrieval import Found
from rag.text import readable

# A question of whose words fewer are known is taken for one in another language, or for one full of slips.
_FAMILIAR = 0.35
_REWRITTEN_TOKENS = 48
# How much a nat for each token of the question counts against the fused scores; fitted like their weights.
_WEIGHT = 6.0


def is_foreign(question: str, lexical: LexicalIndex) -> bool:
    """Whether a question is not in the language of the abstracts."""
    return lexical.familiar(question) < _FAMILIAR


def rewrite(question: str, model: LanguageModel, prompt: Prompt, stopped: Callable[[], bool] = lambda: False) -> str:
    """The question in English and in the terms of the field."""
    written = "".join(model.stream(prompt.fill(question=question), stopped, max_tokens=_REWRITTEN_TOKENS))
    return " ".join(written.split()).strip('"“” ') or question


def reread(question: str, found: Found, count: int, model: LanguageModel, prompt: Prompt) -> Found:
    """The same papers with the best ``count`` in a better order: each is read by its title and nearest passage.

    From a model that can't tell likelihoods they come back as they are.
    """
    nearest = {passage.paper_id: passage.text for passage in reversed(found.passages)}
    papers = found.papers[:count]
    likelihoods = model.log_likelihoods(
        [prompt.fill(title=readable(paper.title), passage=readable(nearest[paper.paper_id])) for paper in papers],
        question,
    )
    if likelihoods is None:
        return found
    best = max(likelihoods)
    return found.reordered(
        [score + _WEIGHT * (likelihood - best) for score, likelihood in zip(found.scores, likelihoods, strict=False)]
    )
