"""Passages and questions embedded by an OpenAI-compatible server, which knows better models than a laptop runs.

Such a server gives one vector a text. What needs the vectors of tokens, or cosines whose scale is known, stays with the
embedder of the catalogue: late interaction, and how near sentences are to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from rag.embedding import Embedder, Tokens, Vectors, unit
from rag.errors import ModelUnavailable
from rag.model_server import ModelServer
from rag.settings import Settings

_PATH = "/embeddings"
_PART = 16
"""Texts of one request; several requests are under way at once."""
_LONGEST = 16_384
"""Numbers of a vector."""


@dataclass(frozen=True, kw_only=True)
class ServedEmbedder(Embedder):
    """The embedder of the catalogue, but for the vectors of whole passages and questions, which a server gives."""

    fitted: ClassVar[bool] = False

    server: ModelServer
    model: str
    """Its name on the server."""
    seconds: float
    """The most that vectors may take."""

    @classmethod
    def beside(cls, local: Embedder, settings: Settings) -> ServedEmbedder:
        """What ``settings.embed`` means. :raises ModelUnavailable: if its server gives no vectors."""
        made = cls(
            name=local.name,
            sha256=local.sha256,
            folder=local.folder,
            dimensions=0,
            server=ModelServer(settings.embed, offline=settings.offline),
            model=settings.embed.model or "",
            seconds=settings.generation.max_seconds,
        )
        return replace(made, dimensions=made._served(["How long is a vector?"]).shape[1])

    def with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        """The server's vectors of the texts, and those of their tokens.

        :raises ModelUnavailable: if the server gives none, or such of another length than before.
        """
        _, tokens = super().with_tokens(texts)
        return self._served(texts), tokens

    def _served(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        parts = [list(texts[i : i + _PART]) for i in range(0, len(texts), _PART)]
        bodies = [{"model": self.model, "input": part} for part in parts]
        replies = self.server.replies(_PATH, bodies, self.seconds)
        with self.server.understood():
            rows = [row for part, reply in zip(parts, replies, strict=True) for row in _rows(reply, len(part))]
            with np.errstate(over="ignore"):  # what is too large for a number is infinite
                vectors = np.array(rows, dtype=np.float32)
            if vectors.ndim != 2 or not 0 < vectors.shape[1] <= _LONGEST or not np.isfinite(vectors).all():
                raise ValueError("no vectors")
        if self.dimensions and vectors.shape[1] != self.dimensions:
            raise ModelUnavailable(
                f"The model {self.model} at {self.server.url} gives vectors of {vectors.shape[1]} numbers, and gave "
                f"such of {self.dimensions}: let its server run the model that it ran, or type `rag ingest --rebuild`."
            )
        return unit(vectors)


def _rows(reply: Mapping[str, Any], count: int) -> list[Any]:
    """The vectors of a reply, in the order of what was asked."""
    rows = {row["index"]: row["embedding"] for row in reply["data"]}
    return [rows[i] for i in range(count)]
