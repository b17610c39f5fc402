"""What the model makes of an abstract: whether it answers a question, and whether it states a claim.

Asked for yes or no, small models miss swapped names, reversed causes and what merely sounds likely. Their hidden states
know better: a probe reads them. For a model without a probe the log-odds of yes against no stand in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rag.chat import Message
from rag.llm import LanguageModel
from rag.papers import Paper
from rag.probe import Probe, load_probes
from rag.prompts import Prompt
from rag.text import readable, shortened

# Log-odds of yes are far too sure of themselves; without a probe they are divided by this.
_TEMPERATURE = 2.0
LEANING = 0.8
"""Log-odds of yes from which on a model without a probe is believed that an abstract answers: models lean to yes. It
lies between the five answerable development questions (from 1.06) and the four others (to 0.59) that the default model
was asked without its probe."""


@dataclass(frozen=True)
class Text:
    """What is read: an abstract, or any other text, under its title."""

    title: str
    body: str

    @classmethod
    def of(cls, *papers: Paper) -> Text:
        """The abstracts of these papers, one after the other."""
        return cls("; ".join(p.title for p in papers), "\n\n".join(p.abstract for p in papers))

    def fill(self, prompt: Prompt, **values: str) -> list[Message]:
        """A prompt about this text."""
        return prompt.fill(title=shortened(readable(self.title)), abstract=shortened(readable(self.body)), **values)


@dataclass(frozen=True)
class Outlook:
    """Probabilities, which sum to 1, of what an abstract does to a question."""

    answers: float
    corrects: float
    """It contradicts what the question takes for granted."""
    silent: float


@dataclass(frozen=True)
class Belief:
    """Probabilities, which sum to 1, of what an abstract says about a claim."""

    stated: float
    contradicted: float
    not_stated: float


class Reader:
    """Reads abstracts with one model."""

    def __init__(self, model: LanguageModel, answers: Prompt, states: Prompt):
        """:param answers: the prompt that asks whether an abstract answers; ``states``, whether it states."""
        self._model = model
        self._answers = answers
        self._states = states

    def outlooks(self, question: str, texts: Sequence[Text]) -> list[Outlook]:
        """What each text does to a question."""
        asked = [text.fill(self._answers, question=question) for text in texts]
        return [Outlook(*row) for row in self._probabilities("answers", asked, [question] * len(asked))]

    def beliefs(self, claims: Sequence[tuple[str, Text]]) -> list[Belief]:
        """What is to be believed of each claim about a text; claims about one text are best asked together."""
        asked = [text.fill(self._states, claim=claim) for claim, text in claims]
        return [Belief(*row) for row in self._probabilities("states", asked, [claim for claim, _ in claims])]

    def _probabilities(
        self, name: str, conversations: Sequence[list[Message]], asked: Sequence[str]
    ) -> list[list[float]]:
        if not conversations:
            return []
        probe = self._probes.get(name)
        if probe is not None:
            rows: list[list[float]] = probe.probabilities(
                self._model.states(conversations, asked, probe.layer)
            ).tolist()
            return rows
        leaning = LEANING if name == "answers" else 0.0
        believed = [1 / (1 + math.exp((leaning - odds) / _TEMPERATURE)) for odds in self._model.yes(conversations)]
        return [[yes, 0.0, 1 - yes] for yes in believed]

    @cached_property
    def _probes(self) -> dict[str, Probe]:
        weights, prompts = self._model.weights, {"answers": self._answers, "states": self._states}
        probes = load_probes(weights.name, weights.sha256)
        return {name: probe for name, probe in probes.items() if probe.prompt_sha256 == prompts[name].sha256}
