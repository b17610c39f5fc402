"""In the language model's place: fixed drafts, and a fixed belief in every claim and every abstract."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rag.models import Weights
from rag.reading import LEANING
from rag.text import sentence_spans

Message = dict[str, str]


class Says:
    """Writes its drafts in turn, the last one for ever; believes claims and abstracts as far as it is told."""

    weights = Weights("fake", "nowhere", None, pinned=False)

    def __init__(
        self,
        *drafts: str,
        claims: float | Callable[[str], float] = 0.99,
        answers: float | Callable[[str], float] = 0.99,
    ):
        """:param claims: belief in a claim, in (0, 1), or how it follows from the prompt; ``answers``, in an answer."""
        self._drafts = list(drafts) or [""]
        self._claims, self._answers = claims, answers
        self.asked: list[str] = []
        """The prompts of which a draft was wanted."""

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        self.asked.append(messages[-1]["content"])
        draft = begin + (self._drafts.pop(0) if len(self._drafts) > 1 else self._drafts[0])
        yield from (draft[i : i + 7] for i in range(0, len(draft), 7))

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        return [self._odds(messages[-1]["content"]) for messages in conversations]

    def _odds(self, prompt: str) -> float:
        belief = self._claims if "\nClaim: " in prompt else self._answers
        sure = belief(prompt) if callable(belief) else belief
        return float(2 * np.log(sure / (1 - sure))) + (0.0 if "\nClaim: " in prompt else LEANING)

    def log_likelihoods(self, conversations: Sequence[Any], reply: str) -> list[float]:
        return [0.0] * len(conversations)


class Typist(Says):
    """Copies the first sentences of the abstract before it, a few letters at a time."""

    def __init__(self, pause: float | Callable[[str], float] = 0.01, **believes: float):
        """:param pause: seconds before each piece, or how they follow from the prompt."""
        super().__init__(**believes)
        self.pause = pause

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        abstract = messages[-1]["content"].partition("Abstract: ")[2].partition("\n\n")[0]
        self._drafts = [" ".join(abstract[start:end] for start, end in sentence_spans(abstract)[:3])]
        for piece in super().stream(messages, stopped, begin=begin):
            if stopped():
                return
            time.sleep(self.pause(messages[-1]["content"]) if callable(self.pause) else self.pause)
            yield piece
