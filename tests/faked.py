"""The real command with a fast typist in the model's place, for a process of its own."""

import faulthandler
import signal

from rag import cli
from rag.loading import LoadedModels
from tests.says import Typist

SLOWLY = "in every detail"
"""What makes a question one that is answered slowly."""


def main() -> None:
    faulthandler.register(signal.SIGUSR1)  # shows what all threads are at
    model = Typist(lambda prompt: 1 if SLOWLY in prompt else 0.001)
    LoadedModels.model = lambda *_: model  # type: ignore[assignment, method-assign, return-value]
    cli.main()
