"""Passages as LlamaIndex holds them, so that it can open the index too. Only ingest imports it, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, Document, NodeRelationship, RelatedNodeInfo, TextNode

from rag.chunking import spans
from rag.papers import Paper


class PassageParser(NodeParser):
    """A node parser that cuts as :func:`rag.chunking.spans` does.

    A node's text is ``abstract[start:end]``; what is embedded is that text under the paper's title.
    """

    characters: int

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return [passage for node in nodes for passage in self._passages(node)]

    def _passages(self, node: BaseNode) -> list[BaseNode]:
        abstract = node.get_content()
        return [
            TextNode(
                id_=f"{node.node_id}-{start}",
                text=abstract[start:end],
                start_char_idx=start,
                end_char_idx=end,
                metadata={**node.metadata, "start": start, "end": end},
                excluded_embed_metadata_keys=["paper_id", "start", "end"],
                metadata_template="{value}",
                text_template="{metadata_str}\n{content}",
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=node.node_id)},
            )
            for start, end in spans(abstract, self.characters)
        ]


def as_document(paper: Paper) -> Document:
    """A paper as LlamaIndex holds it."""
    return Document(
        text=paper.abstract, id_=paper.paper_id, metadata={"paper_id": paper.paper_id, "title": paper.title}
    )
