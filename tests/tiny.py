"""A Qwen2 with random weights, a few hundred kilobytes, as a GGUF file: for machinery, never for quality."""

import hashlib
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

_HIDDEN, _FEED, _HEADS, _KV_HEADS, _LAYERS = 64, 128, 4, 2, 2
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_gguf(folder: Path) -> tuple[Path, str]:
    """Write ``tiny.gguf``; returns its path and SHA-256. The same bytes each time."""
    path = folder / "tiny.gguf"
    tokens = [*_byte_characters(), "th", *_SPECIAL]
    end = len(tokens) - 1
    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(4096)
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - len(_SPECIAL)) + [3] * len(_SPECIAL))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(end - 2)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end - 2)
    writer.add_chat_template(_TEMPLATE)
    for name, tensor in _tensors(len(tokens)).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def _tensors(vocabulary: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return (0.5 * random.standard_normal(shape)).astype(np.float32)

    keys = _HIDDEN // _HEADS * _KV_HEADS
    tensors = {"token_embd.weight": matrix(vocabulary, _HIDDEN), "output.weight": matrix(vocabulary, _HIDDEN)}
    tensors["output_norm.weight"] = np.ones(_HIDDEN, np.float32)
    for i in range(_LAYERS):
        tensors |= {
            f"blk.{i}.attn_norm.weight": np.ones(_HIDDEN, np.float32),
            f"blk.{i}.ffn_norm.weight": np.ones(_HIDDEN, np.float32),
            f"blk.{i}.attn_q.weight": matrix(_HIDDEN, _HIDDEN),
            f"blk.{i}.attn_q.bias": matrix(_HIDDEN),
            f"blk.{i}.attn_k.weight": matrix(keys, _HIDDEN),
            f"blk.{i}.attn_k.bias": matrix(keys),
            f"blk.{i}.attn_v.weight": matrix(keys, _HIDDEN),
            f"blk.{i}.attn_v.bias": matrix(keys),
            f"blk.{i}.attn_output.weight": matrix(_HIDDEN, _HIDDEN),
            f"blk.{i}.ffn_gate.weight": matrix(_FEED, _HIDDEN),
            f"blk.{i}.ffn_up.weight": matrix(_FEED, _HIDDEN),
            f"blk.{i}.ffn_down.weight": matrix(_HIDDEN, _FEED),
        }
    return tensors


def _byte_characters() -> list[str]:
    """The 256 characters that byte-level BPE writes bytes with (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
