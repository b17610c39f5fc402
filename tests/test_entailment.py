from pathlib import Path

import pytest

from rag.entailment import Entailment
from rag.errors import ModelUnavailable
from rag.reading import Text
from tests.abstracts import PAPERS


def checker(folder: Path, *labels: str) -> Path:
    """A tiny random sequence classifier with these labels, saved as transformers does."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "zorb", "is", "free", "marbles", "."]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("labels", "supports", "denies"),
    [
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), 2, 0),
        (("entailment", "neutral", "contradiction"), 0, 2),
        (("not_entailment", "entailment"), 1, None),
        (("LABEL_0", "LABEL_1"), 1, None),
        (("SUPPORTS", "REFUTES", "NOT ENOUGH INFO"), 0, 1),
    ],
)
def test_the_label_that_means_supported_is_found(
    labels: tuple[str, ...], supports: int, denies: int | None, tmp_path: Path
) -> None:
    loaded = Entailment.load(str(checker(tmp_path, *labels)), offline=True)
    assert (loaded.supports, loaded.denies) == (supports, denies)
    (belief,) = loaded.beliefs([("Zorb is free.", Text.of(PAPERS[0]))])
    assert belief.stated + belief.contradicted + belief.not_stated == pytest.approx(1)


def test_one_that_means_nothing_of_the_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="labels cat, dog, bird"):
        Entailment.load(str(checker(tmp_path, "cat", "dog", "bird")), offline=True)


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"name another as grounding\.checker"):
        Entailment.load(str(tmp_path), offline=True)
