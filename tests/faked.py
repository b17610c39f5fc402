"""The real command with a fast typist in the model's place, for a process of its own."""

import faulthandler
import signal
from collections.abc import Callable, Iterator, Sequence

from rag import cli
from rag.loading import LoadedModels
from tests.says import Message, Typist

SLOWLY = "in every detail"
"""What makes a question one that is answered slowly."""


class Moody(Typist):
    """Takes a minute where it is asked for every detail."""

    def stream(
        self,
        messages: Sequence[Message],
        stopped: Callable[[], bool] = lambda: False,
        *,
        begin: str = "",
        max_tokens: int | None = None,
    ) -> Iterator[str]:
        self.pause = 1 if SLOWLY in messages[-1]["content"] else 0.001
        return super().stream(messages, stopped, begin=begin)


def main() -> None:
    faulthandler.register(signal.SIGUSR1)  # shows what all threads are at
    model = Moody()
    LoadedModels.model = lambda *_: model  # type: ignore[assignment, method-assign, return-value]
    cli.main()
