"""The peer: LlamaIndex's starter pipeline as its documentation has it, on the same pages and with the same weights.

Reader, default splitter, vector index on Chroma, query engine, ``HuggingFaceLLM``
(https://developers.llamaindex.ai/python/framework/getting_started/starter_example_local/). Nothing is tuned
for it and nothing against it; greedy decoding, so that it repeats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rag.answers import Seconds, copied_share
from rag.assistant import Assistant, default_corpus
from rag.catalogue import CATALOGUE, EMBEDDER
from rag.models import ModelStore
from rag.papers import Paper
from rag.quiet import quiet_transformers

from .data import Question
from .records import AnswerRecord
from .transformer import Transformer

_NEW_TOKENS = 256
_CONTEXT = 8192


class Starter:
    """Built when the first question is asked; holds its own index in memory."""

    name = "starter"

    def __init__(self, assistant: Assistant, transformer: Transformer | None = None):
        """:param transformer: the model to write with, where others hold it too."""
        self._assistant = assistant
        self._transformer = transformer or Transformer(assistant.settings)

    @cached_property
    def _engine(self) -> Any:
        import chromadb
        from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from llama_index.llms.huggingface import HuggingFaceLLM
        from llama_index.vector_stores.chroma import ChromaVectorStore

        settings = self._assistant.settings
        pages, _ = default_corpus(settings)
        documents = SimpleDirectoryReader(str(pages), required_exts=[".txt"]).load_data()
        collection = chromadb.EphemeralClient().create_collection("starter")
        storage = StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection))
        with quiet_transformers():
            embedder = HuggingFaceEmbedding(
                model_name=str(ModelStore.of(settings).pull(CATALOGUE[EMBEDDER])), device="cpu"
            )
        index = VectorStoreIndex.from_documents(documents, storage_context=storage, embed_model=embedder)
        model, tokenizer = self._transformer.model, self._transformer.tokenizer
        llm = HuggingFaceLLM(
            model=model,
            tokenizer=tokenizer,
            context_window=_CONTEXT,
            max_new_tokens=_NEW_TOKENS,
            generate_kwargs={"do_sample": False, "pad_token_id": tokenizer.pad_token_id},
        )
        return index.as_query_engine(llm=llm)

    def __call__(self, question: Question) -> AnswerRecord:
        engine = self._engine
        begun = time.perf_counter()
        response = engine.query(question.question)
        total = round(time.perf_counter() - begun, 3)
        answer = " ".join(str(response).split())
        indexed = self._assistant.papers
        spans = [
            (n.node.metadata["file_name"], n.node.start_char_idx, n.node.end_char_idx) for n in response.source_nodes
        ]
        shown = _papers_at(spans, indexed)
        return AnswerRecord.uncited(
            question.id,
            answer,
            papers=shown,
            copied=copied_share(answer, [self._assistant.index.papers[paper_id].abstract for paper_id in shown]),
            seconds=Seconds(generate=total, total=total),
        )


def _papers_at(spans: Sequence[tuple[str, int, int]], papers: Sequence[Paper]) -> tuple[str, ...]:
    """The papers whose place in their page overlaps one of these (file, start, end) spans, in the spans' order."""
    return tuple(
        dict.fromkeys(
            paper.paper_id
            for file, start, end in spans
            for paper in papers
            for source in paper.sources
            if source.file.rsplit("/", 1)[-1] == file and source.start < end and start < source.end
        )
    )
