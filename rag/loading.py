"""Models in memory, loaded when they are first needed and shared by all who answer over one index."""

from __future__ import annotations

import threading
import time

from rag.catalogue import ModelSpec
from rag.entailment import Entailment
from rag.errors import ModelUnavailable
from rag.llm import LanguageModel, load_model
from rag.memory import check_memory
from rag.models import ModelStore
from rag.progress import Progress
from rag.settings import Generation, Llm, Settings

# Seconds in which nobody asks again for a model that couldn't be had: each question would wait for the network.
_REMEMBERED = 60.0


class LoadedModels:
    """The language model and the checker that were used last: two of a kind may not fit into memory."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._model: tuple[tuple[str | Llm, Generation], LanguageModel] | None = None
        self._checker: tuple[str, Entailment] | None = None
        self._failures: dict[str | Llm, tuple[float, ModelUnavailable]] = {}

    def failed(self, settings: Settings) -> bool:
        """Whether the model that is set could not be had a moment ago."""
        then, _ = self._failures.get(settings.writer, (-_REMEMBERED, None))
        return time.monotonic() - then < _REMEMBERED

    def model(self, settings: Settings, progress: Progress) -> LanguageModel:
        """The language model that is set, fetched and converted if need be, or on its server.

        :raises ModelUnavailable: if it can't be had, now or a minute ago.
        :raises StorageError: if there is no room for it.
        """
        wanted = settings.writer, settings.generation
        with self._loading:
            if self._model is None or self._model[0] != wanted:
                if self.failed(settings):
                    raise self._failures[settings.writer][1]
                self._model = None  # makes room
                try:
                    made = self._made(settings, progress)
                except ModelUnavailable as error:
                    self._failures[settings.writer] = time.monotonic(), error
                    raise
                self._model = wanted, made
            return self._model[1]

    @staticmethod
    def _made(settings: Settings, progress: Progress) -> LanguageModel:
        if settings.llm.url:
            from rag.remote_model import RemoteModel

            return RemoteModel.load(settings, progress)
        store = ModelStore.of(settings)
        spec = store.identify(settings.model)
        if isinstance(spec, ModelSpec):
            check_memory(spec, is_ready=store.ready(spec) is not None)
        return load_model(
            store.resolve(settings.model, progress),
            settings.generation,
            hub_cache=settings.models_dir,
            offline=settings.offline,
            progress=progress,
        )

    def checker(self, settings: Settings) -> Entailment | None:
        """The entailment model that checks in the language model's place, if one is set.

        :raises ModelUnavailable: if it can't be had.
        """
        name = settings.grounding.checker
        if not name:
            return None
        with self._loading:
            if self._checker is None or self._checker[0] != name:
                made = Entailment.load(name, hub_cache=settings.models_dir, offline=settings.offline)
                self._checker = name, made
            return self._checker[1]
