"""The language model as transformers has it, in bfloat16 and greedy: what the peers write with, and nothing of ours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rag.chat import Message
from rag.models import ModelStore
from rag.processor import avoid_broken_amx
from rag.quiet import quiet_transformers
from rag.settings import Settings


@dataclass(frozen=True)
class Written:
    """A reply: how many tokens it has, and the seconds until its first one and until its end."""

    tokens: int
    first: float
    total: float


class Transformer:
    """The model that is set. Loaded when it is first needed, so that all who are given one share one copy."""

    def __init__(self, settings: Settings):
        self._settings = settings

    @cached_property
    def _source(self) -> str:
        return ModelStore.of(self._settings).resolve(self._settings.model).source

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer alone, which needs no weights."""
        from transformers import AutoTokenizer

        with quiet_transformers():
            return AutoTokenizer.from_pretrained(self._source, trust_remote_code=False)

    @cached_property
    def model(self) -> Any:
        """The model, where there is a GPU on it."""
        avoid_broken_amx()  # before torch multiplies anything
        import torch
        from transformers import AutoModelForCausalLM

        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                self._source, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False
            )
        return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def encode(self, messages: Sequence[Message], begin: str = "") -> list[int]:
        """Token ids of a conversation, the model's turn opened. :param begin: how its reply begins."""
        text = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], *self.tokens(begin)]

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        return ids

    def write(self, ids: Sequence[int], max_tokens: int) -> Written:
        """Reply to a prompt as ``generate`` does by itself: token by token, no drafts, to the model's own end."""
        import torch

        prompt = torch.tensor([list(ids)], device=self.model.device)
        moments = _Moments()
        begun = time.perf_counter()
        with torch.inference_mode():
            whole = self.model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=max_tokens,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
                streamer=moments,
            )
        total = time.perf_counter() - begun
        return Written(whole.shape[1] - len(ids), moments.seen[1] - begun, total)


class _Moments:
    """Notes when tokens come: first the prompt, then each token. It is what ``generate`` calls a streamer."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def put(self, value: Any) -> None:
        self.seen.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is left to be done."""
