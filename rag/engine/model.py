"""A Qwen2 model that answers from what it has read before as far as it can: drafts, hidden states, log-odds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rag.chat import Message
from rag.engine.lookup import Lookup
from rag.engine.network import Network, Shape
from rag.engine.prefixes import BLOCK, Prefixes, Reading
from rag.engine.tokenizer import FolderTokenizer
from rag.engine.weights import load
from rag.llm import NO, REPLY_TOKENS, YES, Floats
from rag.models import Weights
from rag.processor import avoid_broken_amx
from rag.progress import Progress, silent
from rag.settings import Generation

# Enough for the abstracts of a question and of its follow-up.
_KEPT_BYTES = 384 << 20


@dataclass(frozen=True)
class EngineModel:
    """A loaded model. ``weights`` says which one; ``generation`` how it writes."""

    weights: Weights
    generation: Generation
    network: Network
    tokenizer: FolderTokenizer
    ends: frozenset[int]
    """The tokens that end a reply."""
    prefixes: Prefixes

    @classmethod
    def load(cls, weights: Weights, generation: Generation, shape: Shape, progress: Progress = silent) -> EngineModel:
        """Load a folder whose network has this shape.

        :raises OSError, ValueError, KeyError, SafetensorError: if a file is missing or damaged.
        """
        avoid_broken_amx()
        if generation.threads:
            torch.set_num_threads(generation.threads)
        folder = Path(weights.source)
        tokenizer = FolderTokenizer(folder)
        sample = tokenizer.ids((Path(__file__).parent / "sample.txt").read_text(encoding="utf-8"))
        network = load(
            folder,
            shape,
            sample,
            keep=weights.pinned,
            progress=partial(progress, f"Fitting {weights.name} to this processor{', once' if weights.pinned else ''}"),
        )
        ends = frozenset(id_ for id_ in (tokenizer.end, *_ends(folder)) if id_ is not None)
        return cls(weights, generation, network, tokenizer, ends, Prefixes(_KEPT_BYTES))

    @property
    def has_template(self) -> bool:
        """Whether it was tuned to follow instructions."""
        return bool(self.tokenizer.template)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ready for the model's turn."""
        return self.tokenizer.chat.encode(messages)

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        """The model's reply, piece by piece; see :class:`rag.llm.LanguageModel`."""
        deadline = time.monotonic() + self.generation.max_seconds
        most, guessed = max_tokens or self.generation.max_tokens, self.generation.prompt_lookup_tokens
        if begin:
            yield begin
        ids = [*self.encode(messages), *(self.tokenizer.ids(begin) if begin else ())]
        reading = self._read(ids, self.network.shape.layers, _whole_blocks(ids), most + guessed + 1)
        for _ in reading.steps():
            if stopped() or time.monotonic() > deadline:
                return
        lookup, shown = Lookup(ids), ""
        written: list[int] = []
        new = self._best(reading.hidden[-1:])
        while True:
            taken = list(self._until_end(new))[: most - len(written)]
            lookup.add(taken)
            written += taken
            text = self.tokenizer.text(written)
            over = len(taken) < len(new) or len(written) == most
            if over or not text.endswith("\ufffd"):  # else a character is not whole yet
                if len(text) > len(shown):
                    yield text[len(shown) :]
                shown = text
            if over or stopped() or time.monotonic() > deadline:
                return
            new = self._next(reading, len(ids) + len(written) - 1, written[-1], lookup.guess(guessed))

    def _next(self, reading: Reading, place: int, last: int, guess: Sequence[int]) -> list[int]:
        """The tokens that follow: those of the guess that the network would write too, and one more.

        :param place: of the last token, which the network hasn't seen yet.
        """
        hidden = self.network.run(
            self.network.embedded([last, *guess]), reading.past, place, range(self.network.shape.layers)
        )
        best = self._best(hidden)
        right = next((i for i, (one, other) in enumerate(zip(guess, best, strict=False)) if one != other), len(guess))
        return best[: right + 1]

    def _best(self, hidden: torch.Tensor) -> list[int]:
        best: list[int] = self.network.logits(hidden).argmax(1).tolist()
        return best

    def _until_end(self, ids: Sequence[int]) -> Iterator[int]:
        for id_ in ids:
            if id_ in self.ends:
                return
            yield id_

    def states(self, conversations: Sequence[Sequence[Message]], asked: Sequence[str], layer: int) -> Floats:
        """Hidden states of each conversation before a reply; see :class:`rag.llm.LanguageModel`."""
        rows = []
        for messages, part in zip(conversations, asked, strict=True):
            start, end = self.span(messages, part)
            reading = self._read(self.encode(messages), layer, start).all()
            hidden = reading.hidden
            rows.append(torch.cat([hidden[-1], hidden[: end - start].mean(0)]).cpu().numpy())
        return np.stack(rows)

    def span(self, messages: Sequence[Message], part: str) -> tuple[int, int]:
        """From which token to which a part of the last message stands, its last occurrence."""
        content = self.tokenizer.chat.suited(messages)[-1]["content"]
        start = content.rindex(part)
        inside = [
            i
            for i, (first, last) in enumerate(self.tokenizer.offsets(content))
            if first < start + len(part) and last > start
        ]
        _, begin = self.tokenizer.chat.encode_from(messages)
        return begin + inside[0], begin + inside[-1] + 1

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """Log-odds of "Yes" against "No"; see :class:`rag.llm.LanguageModel`."""
        yes, no = (sorted({self.tokenizer.ids(word)[0] for word in words}) for words in (YES, NO))
        odds = []
        for messages in conversations:
            ids = self.encode(messages)
            reading = self._read(ids, self.network.shape.layers, _whole_blocks(ids)).all()
            logits = self.network.logits(reading.hidden[-1:])[0]
            odds.append(float(torch.logsumexp(logits[yes], 0) - torch.logsumexp(logits[no], 0)))
        return odds

    def log_likelihoods(self, conversations: Sequence[Sequence[Message]], reply: str) -> list[float]:
        """How likely the model finds one reply to each conversation; see :class:`rag.llm.LanguageModel`."""
        said = self.tokenizer.ids(reply)[:REPLY_TOKENS]
        target = torch.tensor(said)
        means = []
        for messages in conversations:
            reading = self._read([*self.encode(messages), *said], self.network.shape.layers, 0).all()
            logits = self.network.logits(reading.hidden[-len(said) - 1 : -1]).cpu()
            means.append(-float(torch.nn.functional.cross_entropy(logits, target)))
        return means

    def _read(self, ids: Sequence[int], layers: int, shared: int, room: int = 0) -> Reading:
        return Reading(self.network, self.prefixes, ids, layers=layers, shared=shared, room=room)


def _whole_blocks(ids: Sequence[int]) -> int:
    """How many tokens of a prompt are worth keeping: whole blocks, less the last token, whose state is needed."""
    return (len(ids) - 1) // BLOCK * BLOCK


def _ends(folder: Path) -> set[int | None]:
    """The tokens that end a reply, as far as the folder says."""
    try:
        named = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    except FileNotFoundError:
        return set()
    return set(named) if isinstance(named, list) else {named}
