"""A dedicated checker: an entailment model (NLI, or trained for fact checking as MiniCheck) of the user's own.

Anything that transformers loads for sequence classification: with a label for entailment or support, or with two
labels, the second of which means supported (Tang et al., MiniCheck, EMNLP 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import ModelUnavailable, reason_of
from rag.reading import Belief, Text
from rag.text import readable

_SUPPORTS = ("entail", "support", "yes", "consistent")
_DENIES = ("contradict", "refute", "false")
_MAX_TOKENS = 512


@dataclass(frozen=True)
class Entailment:
    """A loaded entailment model."""

    model: Any
    tokenizer: Any
    supports: int
    """The place of the label that means supported; ``denies`` of the one that means contradicted, if there is one."""
    denies: int | None

    @classmethod
    def load(cls, name: str, *, hub_cache: Path | None = None, offline: bool = False) -> Entailment:
        """Load a hub id or a folder.

        :raises ModelUnavailable: if transformers can't load it, or none of its labels means supported.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from rag.quiet import quiet_transformers

        local = offline or Path(name).is_dir()
        where: dict[str, Any] = {"local_files_only": local, "cache_dir": hub_cache, "trust_remote_code": False}
        with quiet_transformers():
            try:
                tokenizer = AutoTokenizer.from_pretrained(name, **where)
                model = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True, **where)
            except Exception as error:  # transformers raises whatever the hub, safetensors or its config code raise
                reason = reason_of(error)
                raise ModelUnavailable(
                    f"The checker {name} can't be loaded ({reason}): name another as grounding.checker, or none."
                ) from error
        labels = [str(model.config.id2label[i]).lower() for i in range(model.config.num_labels)]
        supports = _place(labels, _SUPPORTS)
        if supports is None and len(labels) == 2:
            supports = 1
        if supports is None:
            raise ModelUnavailable(
                f"The checker {name} has the labels {', '.join(labels)}, none of which means entailment: name another."
            )
        model.eval()
        return cls(model, tokenizer, supports, _place(labels, _DENIES))

    def beliefs(self, claims: Sequence[tuple[str, Text]]) -> list[Belief]:
        """What is to be believed of each claim about a text."""
        import torch

        beliefs = []
        for claim, text in claims:
            pair = self.tokenizer(
                readable(f"{text.title}. {text.body}"),
                claim,
                truncation="only_first",
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                shares = self.model(**pair).logits[0].float().softmax(-1).tolist()
            stated = shares[self.supports]
            denied = 0.0 if self.denies is None else shares[self.denies]
            beliefs.append(Belief(stated, denied, max(0.0, 1 - stated - denied)))
        return beliefs


def _place(labels: Sequence[str], stems: Sequence[str]) -> int | None:
    """The first label that begins with one of the stems ("not_entailment" doesn't)."""
    return next((i for i, label in enumerate(labels) if label.startswith(tuple(stems))), None)
