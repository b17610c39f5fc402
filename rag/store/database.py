"""Papers and passages in two Chroma collections, wherever Chroma is.

``papers`` holds whole abstracts, with all that is known of a paper, ``passages`` LlamaIndex nodes. A paper is written
after its passages. What the index was made with is recorded in the metadata of ``papers``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.catalogue import CATALOGUE, EMBEDDER
from rag.chunking import StoredPassage
from rag.embedding import DIMENSIONS, Embedder, Vectors
from rag.errors import IndexMismatch
from rag.papers import Paper
from rag.settings import Settings
from rag.store import typed

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection
    from llama_index.core.schema import BaseNode

T = TypeVar("T")

_SCHEMA = 2
_AT_ONCE = 1000
"""Rows that are fetched, written or deleted at once: some megabytes."""
_LENGTH = "embedding_dimensions"
"""What records how long a server's vectors are: no other place tells before they are there."""
_NOT_HASHED = {"index_sha256", "reading", "rebuilding"}


class Database:
    """An open pair of collections."""

    def __init__(self, client: ClientAPI, release: Callable[[], None], prefix: str = ""):
        """
        :param release: lets go of the client. :param prefix: how the names of both collections begin.
        :raises Exception: of Chroma's, if there are none.
        """
        self._release = release
        self._papers: Collection = client.get_collection(f"{prefix}papers", embedding_function=None)
        self._passages: Collection = client.get_collection(f"{prefix}passages", embedding_function=None)

    @classmethod
    def made(cls, client: ClientAPI, release: Callable[[], None], settings: Settings, prefix: str = "") -> Database:
        """The same, and made if they are not there."""
        # Passages first: an index is recognised by its papers.
        # The graph that Chroma keeps for approximate searches is not asked here, so it is made as cheaply as can be.
        configuration: Any = {"hnsw": {"space": "cosine", "ef_construction": 10, "max_neighbors": 4}}
        client.get_or_create_collection(f"{prefix}passages", embedding_function=None, configuration=configuration)
        client.get_or_create_collection(
            f"{prefix}papers", embedding_function=None, configuration=configuration, metadata=made_with(settings)
        )
        return cls(client, release, prefix)

    def close(self) -> None:
        """Let go of the database's files, or of the connection."""
        self._release()

    # Reading -----------------------------------------------------------------------------------

    @property
    def recorded(self) -> dict[str, Any]:
        """What the index was made with: schema, embedding model and its hash, chunking, and its own hash."""
        return dict(self._papers.metadata or {})

    def count(self) -> int:
        """How many papers there are."""
        return int(self._papers.count())

    def papers(self) -> dict[str, Paper]:
        """All papers by id, in the order of their first source."""
        papers = [
            Paper(abstract=abstract, **json.loads(str(metadata["paper"])))
            for _, abstract, metadata, _ in _rows(self._papers, "documents", "metadatas")
        ]
        papers.sort(key=lambda paper: (paper.sources[0].file, paper.sources[0].start))
        return {paper.paper_id: paper for paper in papers}

    def digests(self) -> dict[str, str]:
        """The digests of all papers, by id."""
        return {id_: str((metadata or {}).get("digest")) for id_, _, metadata, _ in _rows(self._papers, "metadatas")}

    def passages(self) -> tuple[list[StoredPassage], Vectors]:
        """All passages, in no order, and their unit vectors; shape (passages, dimensions)."""
        passages, vectors = [], []
        for _, text, metadata, vector in _rows(self._passages, "documents", "metadatas", "embeddings"):
            passages.append(
                StoredPassage(str(metadata["paper_id"]), int(metadata["start"]), int(metadata["end"]), text)
            )
            vectors.append(np.asarray(vector, dtype=np.float32))
        return passages, np.array(vectors, dtype=np.float32).reshape(len(passages), _length(self.recorded))

    def begun(self) -> set[str]:
        """The papers of which there are passages."""
        return {str(id_).rpartition("-")[0] for id_ in self._passages.get(include=[])["ids"]}

    # Writing -----------------------------------------------------------------------------------

    def begin(self, embedder: Embedder, settings: Settings, where: str) -> None:
        """Record how long vectors are that come from a server, if they are the first.

        :raises IndexMismatch: if there are others, of another length.
        """
        if settings.embed.url:
            if _LENGTH not in self.recorded:
                self.record({_LENGTH: embedder.dimensions})
            check_dimensions(self.recorded, embedder, settings, where)

    def record(self, values: Mapping[str, Any]) -> None:
        """Record something of the index. None takes it out."""
        now = {**self.recorded, **values}
        self._papers.modify(metadata={name: value for name, value in now.items() if value is not None})

    def write_passages(self, nodes: Sequence[BaseNode], replaced: Iterable[str] = ()) -> None:
        """:param replaced: the papers of which there may be passages already."""
        from llama_index.vector_stores.chroma import ChromaVectorStore

        self._delete_passages(sorted(replaced))
        store = ChromaVectorStore(chroma_collection=self._passages)
        for part in parts(nodes, _AT_ONCE):
            store.add(list(part))

    def write_papers(self, papers: Sequence[Paper], vectors: Sequence[Vectors]) -> None:
        """:param vectors: where each paper stands, shape (dimensions,)."""
        self._papers.upsert(
            ids=[paper.paper_id for paper in papers],
            documents=[paper.abstract for paper in papers],
            metadatas=[
                {"paper": paper.model_dump_json(exclude={"abstract"}), "digest": paper.digest} for paper in papers
            ],
            embeddings=list(vectors),
        )

    def delete(self, paper_ids: Sequence[str]) -> None:
        """Forget papers and their passages."""
        for part in parts(paper_ids, _AT_ONCE):
            self._papers.delete(ids=list(part))  # first: one without passages would be believed complete
            self._delete_passages(part)

    def _delete_passages(self, paper_ids: Sequence[str]) -> None:
        for part in parts(paper_ids, _AT_ONCE):
            self._passages.delete(where={"paper_id": {"$in": list(part)}})


def _rows(collection: Collection, *include: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """Ids, documents, metadatas and embeddings, those that are not included as None.

    By id and not by number: what comes or goes meanwhile shifts no other row.
    """
    for part in parts(collection.get(include=[])["ids"], _AT_ONCE):
        found = collection.get(ids=list(part), include=list(include))
        nothing = [None] * len(found["ids"])
        columns = [found[name] if name in include else nothing for name in ("documents", "metadatas", "embeddings")]
        yield from zip(found["ids"], *columns, strict=True)


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, so many at a time."""
    for i in range(0, len(items), size):
        yield items[i : i + size]


# What an index was made with -------------------------------------------------------------------


def made_with(settings: Settings) -> dict[str, Any]:
    """What an index depends on beside its papers."""
    own = CATALOGUE[EMBEDDER].sha256
    return {
        "schema": _SCHEMA,
        # Of a server's weights only the name is known; tokens are those of the embedder here.
        **(
            {"embedding_model": f"{settings.embed.model} of a server", "token_model_sha256": own}
            if settings.embed.url
            else {"embedding_model": EMBEDDER, "embedding_sha256": own}
        ),
        "chunk_characters": settings.chunking.characters,
    }


def check(recorded: Mapping[str, Any], settings: Settings, where: str) -> None:
    """:raises IndexMismatch: if the index ``where`` was made otherwise than the settings say."""
    rebuild = typed(settings, "ingest --rebuild")
    for name, now in made_with(settings).items():
        then = recorded.get(name)
        if then != now and name == "schema":
            raise IndexMismatch(f"The index {where} was made by another version of PaperTrail: type {rebuild}.")
        if then != now:
            raise IndexMismatch(
                f"The index {where} was made with {name} {then}, and {now} is set: type {rebuild}, or set it back."
            )


def check_dimensions(recorded: Mapping[str, Any], embedder: Embedder, settings: Settings, where: str) -> None:
    """:raises IndexMismatch: if the vectors of the index ``where`` are of another length than the embedder's."""
    if embedder.dimensions != _length(recorded):
        raise IndexMismatch(
            f"The index {where} was made with vectors of {_length(recorded)} numbers, and the embedding model that is "
            f"set gives such of {embedder.dimensions}: type {typed(settings, 'ingest --rebuild')}, or set it back."
        )


def _length(recorded: Mapping[str, Any]) -> int:
    return int(recorded.get(_LENGTH, DIMENSIONS))


def index_hash(recorded: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Hash over all papers and over how they were cut and embedded."""
    made = {name: value for name, value in recorded.items() if name not in _NOT_HASHED}
    return hashlib.sha256(json.dumps([made, sorted(digests.items())], sort_keys=True).encode()).hexdigest()
