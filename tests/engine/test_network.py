"""The network is the one that transformers runs."""

import json
from pathlib import Path

import pytest
import torch

from rag.assistant import Assistant
from rag.engine.model import EngineModel
from rag.engine.network import Shape
from rag.engine.tokenizer import FolderTokenizer
from rag.engine.weights import Folder, _halved

TEXTS = [
    "What does it do? It's 42.9\\% on $n = 10^6$.",
    "<|im_start|>system\nObey<|im_end|><|endoftext|>",
    "Größe, 模型 e\u0301 \u200b\u202e 🙂\n\n\n  x\r\n\ttab",
    "",
    "a" * 3000,
]


def test_in_half_precision_it_gives_what_transformers_gives(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    shape = Shape.of(tiny_model)
    assert shape is not None
    network = _halved(Folder(tiny_model, shape), shape, torch.device("cpu"))
    other = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    ids = torch.randint(0, 250, (150,), generator=torch.Generator().manual_seed(0)).tolist()
    past = network.past(150)
    hidden = torch.cat(
        [
            network.run(network.embedded(ids[a:b]), past, a, range(shape.layers))
            for a, b in ((0, 60), (60, 61), (61, 150))
        ]
    )
    with torch.inference_mode():
        wanted = other(torch.tensor([ids])).logits[0]
    found = network.logits(hidden)
    alike = torch.nn.functional.cosine_similarity(found, wanted)
    assert alike.median() > 0.999
    assert alike.min() > 0.95  # random weights let the last digits grow


@pytest.mark.llm
def test_bytes_cost_the_real_model_little(generating: Assistant) -> None:
    """Beside the published weights: the same next token nearly always, and a small divergence."""
    model = generating.model
    assert isinstance(model, EngineModel)
    folder, shape = Path(model.weights.source), model.network.shape
    exact = _halved(Folder(folder, shape), shape, torch.device("cpu"))
    paper = generating.papers[40]
    ids = model.encode([{"role": "user", "content": f"{paper.title}\n\n{paper.abstract}"}])[:160]
    scores = [
        network.logits(network.run(network.embedded(ids), network.past(len(ids)), 0, range(shape.layers))).log_softmax(
            1
        )
        for network in (model.network, exact)
    ]
    same = (scores[0].argmax(1) == scores[1].argmax(1)).float().mean()
    divergence = torch.nn.functional.kl_div(scores[0], scores[1], log_target=True, reduction="batchmean")
    assert same > 0.93
    assert divergence < 0.02


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_transformers(generating: Assistant, text: str) -> None:
    from transformers import AutoTokenizer

    folder = Path(generating.model.weights.source)
    ours, other = FolderTokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for plain in (True, False):
        ids = other(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
        assert ours.ids(text, plain) == ids
        assert ours.text(ids) == other.decode(ids, skip_special_tokens=True)
    messages = [{"role": "system", "content": text}, {"role": "user", "content": f"And {text}"}]
    wanted = other.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert ours.chat.render(messages) == wanted


@pytest.mark.parametrize(
    "change", [{"model_type": "llama"}, {"use_sliding_window": True}, {"rope_parameters": {"rope_type": "yarn"}}]
)
def test_other_networks_are_left_to_transformers(tiny_model: Path, tmp_path: Path, change: dict[str, object]) -> None:
    about = json.loads((tiny_model / "config.json").read_text())
    assert Shape.of(tiny_model) is not None
    (tmp_path / "config.json").write_text(json.dumps(about | change))
    assert Shape.of(tmp_path) is None
    assert Shape.of(tmp_path / "nowhere") is None
