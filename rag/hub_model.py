"""Any causal language model that transformers loads: drafts with prompt-lookup decoding, and readings of a prompt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rag.chat import Chat, Message, reserve_marks
from rag.llm import NO, REPLY_TOKENS, YES, Floats
from rag.models import Weights
from rag.processor import avoid_broken_amx
from rag.settings import Generation

T = TypeVar("T")

# How many prompts are read at once.
_BATCH = 8
# What transformers calls the bar that it counts the weights with.
_WEIGHTS_BAR = "Loading weights"


@dataclass(frozen=True)
class HubModel:
    """A loaded model. ``weights`` says which one; ``generation`` how it writes."""

    weights: Weights
    generation: Generation
    model: Any
    tokenizer: Any

    @classmethod
    def load(
        cls,
        weights: Weights,
        generation: Generation,
        *,
        hub_cache: Path | None = None,
        offline: bool = False,
        progress: Callable[[float, float | None], None] = lambda *_: None,
    ) -> HubModel:
        """Load weights into memory, on the GPU if there is one.

        :param progress: told how many of the weights are loaded, as far as transformers counts them.
        :raises Exception: whatever transformers raises if it can't.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from rag.quiet import quiet_transformers

        avoid_broken_amx()
        if generation.threads:
            torch.set_num_threads(generation.threads)
        local = offline or Path(weights.source).is_dir()
        where: dict[str, Any] = {"local_files_only": local, "cache_dir": hub_cache, "trust_remote_code": False}
        with quiet_transformers(), _weights_counted(progress):
            tokenizer = AutoTokenizer.from_pretrained(weights.source, **where)
            if tokenizer.is_fast:
                reserve_marks(tokenizer.backend_tokenizer)
            model = AutoModelForCausalLM.from_pretrained(
                weights.source, dtype=torch.bfloat16, use_safetensors=True, **where
            )
        return cls(weights, generation, model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer)

    @property
    def has_template(self) -> bool:
        """Whether it was tuned to follow instructions."""
        return bool(self.tokenizer.chat_template)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ready for the model's turn."""
        return Chat(self._rendered, self._tokenized).encode(messages)

    def _rendered(self, messages: Sequence[Message]) -> str:
        return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))

    def _tokenized(self, text: str, plain: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
        return ids

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The model's reply, piece by piece as it is written; greedy, so that it repeats.

        :param begin: how the reply begins; the model goes on from there. It is the first piece.

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

        begun = self._tokenized(begin, True) if begin else []
        ids = torch.tensor([[*self.encode(messages), *begun]], device=self.model.device)
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
            if begin:
                yield begin
            for piece in streamer:
                if piece:
                    yield piece
        finally:
            abandoned.set()
            thread.join()
        if failures:
            raise failures[0]

    def states(self, conversations: Sequence[Sequence[Message]], asked: Sequence[str], layer: int) -> Floats:
        """:raises NotImplementedError: there are probes for catalogue models only, which the engine runs."""
        raise NotImplementedError(f"{self.weights.name} has no probes")

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """For each question the log-odds of "Yes" against "No" as the first word of the reply."""
        import torch

        yes, no = self._first_tokens(YES), self._first_tokens(NO)
        answers = []
        for out, row, length in self._run(conversations):
            logits = out.logits[row, length - 1].float()
            answers.append(float(torch.logsumexp(logits[yes], 0) - torch.logsumexp(logits[no], 0)))
        return answers

    def _run(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[Any, int, int]]:
        """What the model gives out for each conversation: the output, its row there, and how many tokens it has."""
        import torch

        device = self.model.device
        for batch in _batched([self.encode(messages) for messages in conversations], _BATCH):
            width = max(map(len, batch))
            # Rows are filled up on the right, where causal attention doesn't look.
            with torch.inference_mode():
                out = self.model(
                    torch.tensor([[*one, *[0] * (width - len(one))] for one in batch], device=device),
                    attention_mask=torch.tensor(
                        [[1] * len(one) + [0] * (width - len(one)) for one in batch], device=device
                    ),
                    use_cache=False,
                )
            yield from ((out, row, len(one)) for row, one in enumerate(batch))

    def log_likelihoods(self, conversations: Sequence[Sequence[Message]], reply: str) -> list[float]:
        """How likely the model finds one reply to each conversation: mean log-probability of its tokens, at most 0.

        Of a long reply the first 256 tokens count.
        """
        import torch

        said = self.tokenizer(reply, add_special_tokens=False, split_special_tokens=True)["input_ids"][:REPLY_TOKENS]
        target = torch.tensor(said, device=self.model.device)
        means = []
        with torch.inference_mode():
            for messages in conversations:
                ids = torch.tensor([[*self.encode(messages), *said]], device=self.model.device)
                logits = self.model(input_ids=ids, logits_to_keep=len(said) + 1, use_cache=False).logits[0, :-1]
                means.append(-float(torch.nn.functional.cross_entropy(logits.float(), target)))
        return means

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        return sorted({self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words})


@contextmanager
def _weights_counted(progress: Callable[[float, float | None], None]) -> Iterator[None]:
    """Report the loaded weights to ``progress``, beside the bar of transformers, which is off."""
    from transformers.utils import logging as hf_logging

    def counted(weights: Any) -> Iterator[Any]:
        for done, weight in enumerate(weights):
            progress(done, len(weights))
            yield weight
        progress(len(weights), len(weights))

    def bar(make: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args and isinstance(args[0], Sized) and options.get("desc") == _WEIGHTS_BAR:
            args = (counted(args[0]), *args[1:])
        return make(*args, **options)

    hook = getattr(hf_logging, "set_tqdm_hook", lambda _: None)  # without it or such a bar, nothing is counted
    before = hook(bar)
    try:
        yield
    finally:
        hook(before)


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in runs of at most ``size``."""
    return (items[i : i + size] for i in range(0, len(items), size))
