"""A causal language model, whatever runs it: greedy drafts, and readings of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.chat import Message
from rag.errors import ModelUnavailable, reason_of
from rag.models import Weights, fetched_anew
from rag.progress import Progress, silent
from rag.settings import Generation

if TYPE_CHECKING:
    from rag.engine.model import EngineModel
    from rag.hub_model import HubModel

Floats = NDArray[np.float32]

YES = ("Yes", " Yes", "yes", " yes", "YES")
NO = ("No", " No", "no", " no", "NO")
REPLY_TOKENS = 256
"""So many tokens of a reply are weighed: the logits of a longer one would fill the memory."""


class LanguageModel(Protocol):
    """A loaded model."""

    @property
    def weights(self) -> Weights:
        """Which model it is."""
        ...

    @property
    def generation(self) -> Generation:
        """How it writes."""
        ...

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
        ...

    def states(self, conversations: Sequence[Sequence[Message]], asked: Sequence[str], layer: int) -> Floats:
        """Hidden states of each conversation before a reply, shape (conversations, 2 * width).

        First that of the last token, then the mean over what is asked about. What conversations begin with is read
        once: many questions about one abstract cost little more than one.

        :param asked: for each conversation a part of its last message, such as a claim.
        :param layer: after which of the model's layers, from 1; those above it are not run.
        """
        ...

    def yes(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """For each question the log-odds of "Yes" against "No" as the first word of the reply."""
        ...

    def log_likelihoods(self, conversations: Sequence[Sequence[Message]], reply: str) -> list[float] | None:
        """How likely the model finds one reply to each conversation: mean log-probability of its tokens, at most 0.

        Of a long reply the first 256 tokens count. None from a model that can't tell.
        """
        ...


def load_model(
    weights: Weights,
    generation: Generation,
    *,
    hub_cache: Path | None = None,
    offline: bool = False,
    progress: Progress = silent,
) -> LanguageModel:
    """Load weights into memory: into our own engine where it can run them, else through transformers.

    :param hub_cache: where weights that come straight from the hub are kept.
    :param progress: told how many of the weights are loaded, as far as they are counted.
    :raises ModelUnavailable: if they can't be loaded, or have no chat template.
    """
    loading = partial(progress, f"Loading {weights.name}")
    loading()
    from rag.engine.model import EngineModel
    from rag.engine.network import Shape

    folder = Path(weights.source)
    shape = Shape.of(folder)
    made: EngineModel | HubModel
    try:
        if shape is not None and (folder / "tokenizer.json").is_file():
            made = EngineModel.load(weights, generation, shape, progress)
        else:
            from rag.hub_model import HubModel

            made = HubModel.load(weights, generation, hub_cache=hub_cache, offline=offline, progress=loading)
    except ModelUnavailable:
        raise
    except Exception as error:  # whatever the hub, safetensors, tokenizers or transformers' config code raise
        mend = (
            fetched_anew(weights.name)
            if weights.pinned
            else "check the folder or the hub id, or use a model that `rag models` lists"
        )
        raise ModelUnavailable(f"The model {weights.name} can't be loaded ({reason_of(error)}): {mend}.") from error
    if not made.has_template:
        raise ModelUnavailable(
            f"The model {weights.name} has no chat template: name one that was tuned to follow instructions."
        )
    return made
