"""A causal language model through transformers: greedy drafts with prompt-lookup decoding, and readings of a prompt."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray

from rag.errors import ModelUnavailable
from rag.models import Weights
from rag.processor import avoid_broken_amx
from rag.progress import Progress, silent
from rag.settings import Generation

Message = dict[str, str]
T = TypeVar("T")
Floats = NDArray[np.float32]

_YES = ("Yes", " Yes", "yes", " yes", "YES")
_NO = ("No", " No", "no", " no", "NO")
# The logits of a longer reply would fill the memory.
_REPLY_TOKENS = 256
# How many prompts are read at once.
_BATCH = 8
# What transformers calls the bar that it counts the weights with.
_WEIGHTS_BAR = "Loading weights"


@dataclass(frozen=True)
class LanguageModel:
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
        progress: Progress = silent,
    ) -> LanguageModel:
        """Load weights into memory (1.4 s for the default model on two cores).

        :param hub_cache: where weights that come straight from the hub are kept.
        :param progress: told how many of the weights are loaded, as far as transformers counts them.
        :raises ModelUnavailable: if transformers can't load them, or they have no chat template.
        """
        loading = partial(progress, f"Loading {weights.name}")
        loading()
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from rag.quiet import quiet_transformers

        avoid_broken_amx()
        if generation.threads:
            torch.set_num_threads(generation.threads)
        local = offline or Path(weights.source).is_dir()
        where: dict[str, Any] = {"local_files_only": local, "cache_dir": hub_cache}
        with quiet_transformers(), _weights_counted(loading):
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
        return self._encode(self._suited(messages))[0]

    def _suited(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The conversation as the template takes it: some know no system role."""
        try:
            self._frame(messages)
        except TemplateError:
            first, *others = messages
            return [{"role": "user", "content": f"{first['content']}\n\n{others[0]['content']}"}, *others[1:]]
        return messages

    def _frame(self, messages: Sequence[Message]) -> tuple[str, list[str]]:
        """The template around marks that stand for the messages, and these marks."""
        marks = [f"\ue000{i}\ue001" for i in range(len(messages))]
        framed = [{**message, "content": mark} for message, mark in zip(messages, marks, strict=True)]
        frame: str = self.tokenizer.apply_chat_template(framed, tokenize=False, add_generation_prompt=True)
        return frame, marks

    def _encode(self, messages: Sequence[Message]) -> tuple[list[int], int]:
        """Token ids of a conversation, and at which of them the last message begins."""
        rest, marks = self._frame(messages)
        ids: list[int] = []
        begin = 0
        for mark, message in zip(marks, messages, strict=True):
            frame, _, rest = rest.partition(mark)
            ids += self.tokenizer(frame, add_special_tokens=False)["input_ids"]
            begin = len(ids)
            ids += self.tokenizer(message["content"], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        ids += self.tokenizer(rest, add_special_tokens=False)["input_ids"]
        return ids, begin

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

        begun = self.tokenizer(begin, add_special_tokens=False)["input_ids"] if begin else []
        ids = torch.tensor([[*self.encode(messages), *begun]])
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
        """Hidden states of each conversation before a reply, shape (conversations, 2 * width).

        First that of the last token, then the mean over what is asked about. What all conversations begin with is read
        once, and the rest in batches: many questions about one abstract cost little more than one. In half precision
        the last digits depend on what is read together.

        :param asked: for each conversation a part of its last message, such as a claim.
        :param layer: after which of the model's layers, from 1; those above it are not run.
        """
        spans = [self._span(messages, part) for messages, part in zip(conversations, asked, strict=True)]
        most = min(start for start, _ in spans)
        rows = []
        read = self._run(self._cut(layer), conversations, most)
        for (out, row, shared, length), (start, end) in zip(read, spans, strict=True):
            states = out.last_hidden_state[row].float()
            mean = states[start - shared : end - shared].mean(0)
            rows.append(np.concatenate([states[length - 1].numpy(), mean.numpy()]))
        return np.stack(rows)

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """For each question the log-odds of "Yes" against "No" as the first word of the reply."""
        import torch

        yes, no = self._first_tokens(_YES), self._first_tokens(_NO)
        answers = []
        for out, row, _, length in self._run(self.model, conversations):
            logits = out.logits[row, length - 1].float()
            answers.append(float(torch.logsumexp(logits[yes], 0) - torch.logsumexp(logits[no], 0)))
        return answers

    def _run(
        self, model: Any, conversations: Sequence[Sequence[Message]], most: int | None = None
    ) -> Iterator[tuple[Any, int, int, int]]:
        """What a model gives out for each conversation: the output, its row there, and how many tokens went before it.

        :param most: the most tokens that may be read for all together.
        """
        import torch
        from transformers import DynamicCache

        ids = [self.encode(messages) for messages in conversations]
        shared = _shared(ids) if len(ids) > 1 else 0
        shared = shared if most is None else min(shared, most)
        for batch in _batched([one[shared:] for one in ids], _BATCH):
            width = max(map(len, batch))
            with torch.inference_mode():
                cache = None
                if shared:
                    cache = DynamicCache(config=model.config)
                    model(torch.tensor([ids[0][:shared]]), past_key_values=cache, use_cache=True)
                    cache.batch_repeat_interleave(len(batch))
                # Rows are filled up on the right, where causal attention doesn't look.
                out = model(
                    torch.tensor([[*one, *[0] * (width - len(one))] for one in batch]),
                    attention_mask=torch.tensor(
                        [[1] * (shared + len(one)) + [0] * (width - len(one)) for one in batch]
                    ),
                    past_key_values=cache,
                    use_cache=cache is not None,
                )
            yield from ((out, row, shared, len(one)) for row, one in enumerate(batch))

    def _span(self, messages: Sequence[Message], part: str) -> tuple[int, int]:
        """From which token to which a part of the last message stands, its last occurrence."""
        messages = self._suited(messages)
        content = messages[-1]["content"]
        start = content.rindex(part)
        offsets = self.tokenizer(
            content, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )["offset_mapping"]
        inside = [i for i, (first, last) in enumerate(offsets) if first < start + len(part) and last > start]
        _, begin = self._encode(messages)
        return begin + inside[0], begin + inside[-1] + 1

    def _cut(self, layer: int) -> Any:
        """The model without its upper layers and its head; it shares the weights."""
        import torch

        base = self.model.base_model
        shallow = copy.copy(base)
        shallow._modules = dict(base._modules)
        shallow.layers, shallow.norm = base.layers[:layer], torch.nn.Identity()
        shallow.config = copy.copy(base.config)
        shallow.config.num_hidden_layers = layer
        return shallow

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


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all of these begin with; at least one of each is left."""
    least = min(map(len, sequences)) - 1
    first = sequences[0]
    return next((i for i in range(least) if any(one[i] != first[i] for one in sequences)), least)


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in runs of at most ``size``."""
    return (items[i : i + size] for i in range(0, len(items), size))
