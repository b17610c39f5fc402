"""A causal language model through transformers: greedy drafts with prompt-lookup decoding, and yes-or-no questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from rag.errors import ModelUnavailable
from rag.models import Weights
from rag.processor import avoid_broken_amx
from rag.settings import Generation

Message = dict[str, str]

_YES = ("Yes", " Yes", "yes", " yes", "YES")
_NO = ("No", " No", "no", " no", "NO")
# The logits of a longer reply would fill the memory.
_REPLY_TOKENS = 256


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model. ``weights`` says which one; ``generation`` how it writes."""

    weights: Weights
    generation: Generation
    model: Any
    tokenizer: Any

    @classmethod
    def load(
        cls, weights: Weights, generation: Generation, *, hub_cache: Path | None = None, offline: bool = False
    ) -> LanguageModel:
        """Load weights into memory (1.4 s for the default model on two cores).

        :param hub_cache: where weights that come straight from the hub are kept.
        :raises ModelUnavailable: if transformers can't load them, or they have no chat template.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from rag.quiet import quiet_transformers

        avoid_broken_amx()
        if generation.threads:
            torch.set_num_threads(generation.threads)
        local = offline or Path(weights.source).is_dir()
        where: dict[str, Any] = {"local_files_only": local, "cache_dir": hub_cache}
        with quiet_transformers():
            try:
                tokenizer = AutoTokenizer.from_pretrained(weights.source, **where)
                model = AutoModelForCausalLM.from_pretrained(weights.source, dtype=torch.bfloat16, **where)
            except Exception as error:  # transformers raises whatever the hub, safetensors or its config code raise
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                mend = (
                    f"type `rag models remove {weights.name}` and `rag models pull {weights.name}` to fetch it anew"
                    if weights.pinned
                    else "check the folder or the hub id, or use a model that `rag models` lists"
                )
                raise ModelUnavailable(f"The model {weights.name} can't be loaded ({reason}): {mend}.") from error
        if not tokenizer.chat_template:
            raise ModelUnavailable(
                f"The model {weights.name} has no chat template: name one that was tuned to follow instructions."
            )
        model.eval()
        return cls(weights, generation, model, tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ready for the model's turn.

        Only the template's own marks become special tokens; ``<|im_end|>`` in a question or an
        abstract is tokenised as the text that it is.
        """
        try:
            return self._encode(messages)
        except TemplateError:  # some templates know no system role
            first, *others = messages
            merged = {"role": "user", "content": f"{first['content']}\n\n{others[0]['content']}"}
            return self._encode([merged, *others[1:]])

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        marks = [f"\ue000{i}\ue001" for i in range(len(messages))]
        framed = [{**message, "content": mark} for message, mark in zip(messages, marks, strict=True)]
        rest: str = self.tokenizer.apply_chat_template(framed, tokenize=False, add_generation_prompt=True)
        ids: list[int] = []
        for mark, message in zip(marks, messages, strict=True):
            frame, _, rest = rest.partition(mark)
            ids += self.tokenizer(frame, add_special_tokens=False)["input_ids"]
            ids += self.tokenizer(message["content"], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        ids += self.tokenizer(rest, add_special_tokens=False)["input_ids"]
        return ids

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The model's reply, piece by piece as it is written; greedy, so that it repeats.

        Ends at the model's own end, at ``max_tokens`` (by default what the settings say), after ``max_seconds``, or
        soon after ``stopped()`` is true.
        """
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        deadline = time.monotonic() + self.generation.max_seconds
        abandoned = threading.Event()

        class Stop(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                over = abandoned.is_set() or stopped() or time.monotonic() > deadline
                return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

        ids = torch.tensor([self.encode(messages)])
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        failures: list[BaseException] = []

        def write() -> None:
            try:
                with torch.inference_mode():
                    self.model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        do_sample=False,
                        max_new_tokens=max_tokens or self.generation.max_tokens,
                        prompt_lookup_num_tokens=self.generation.prompt_lookup_tokens or None,
                        pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
                        stopping_criteria=StoppingCriteriaList([Stop()]),
                        streamer=streamer,
                    )
            except BaseException as error:  # handed to the reader, who would otherwise wait for ever
                failures.append(error)
                streamer.end()

        thread = threading.Thread(target=write, name="papertrail-draft", daemon=True)
        thread.start()
        try:
            for piece in streamer:
                if piece:
                    yield piece
        finally:
            abandoned.set()
            thread.join()
        if failures:
            raise failures[0]

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """For each question the probability of "Yes" against "No" as the first word of the reply, in [0, 1]."""
        import torch

        yes, no = self._first_tokens(_YES), self._first_tokens(_NO)
        answers = []
        with torch.inference_mode():
            for messages in conversations:
                ids = torch.tensor([self.encode(messages)])
                logits = self.model(input_ids=ids, logits_to_keep=1, use_cache=False).logits[0, -1].float()
                difference = torch.logsumexp(logits[yes], 0) - torch.logsumexp(logits[no], 0)
                answers.append(float(torch.sigmoid(difference)))
        return answers

    def log_likelihoods(self, conversations: Sequence[Sequence[Message]], reply: str) -> list[float]:
        """How likely the model finds one reply to each conversation: mean log-probability of its tokens, at most 0.

        Of a long reply the first 256 tokens count.
        """
        import torch

        said = self.tokenizer(reply, add_special_tokens=False, split_special_tokens=True)["input_ids"][:_REPLY_TOKENS]
        target = torch.tensor(said)
        means = []
        with torch.inference_mode():
            for messages in conversations:
                ids = torch.tensor([[*self.encode(messages), *said]])
                logits = self.model(input_ids=ids, logits_to_keep=len(said) + 1, use_cache=False).logits[0, :-1]
                means.append(-float(torch.nn.functional.cross_entropy(logits.float(), target)))
        return means

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        return sorted({self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words})
