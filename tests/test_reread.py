from dataclasses import replace

import pytest

from rag.assistant import Assistant
from rag.prompts import Prompt
from rag.reread import is_foreign, reread, rewrite

ENGLISH = [
    "What does PDS do?",
    "AdaLoRA",
    "which work fixes the mismatch between training and sampling in text diffusion?",
    "I half remember a study where somebody pruned a network and it got better at hard questions",
    "?!",
]
FOREIGN = [
    "Wie funktioniert die spärliche Aufmerksamkeit bei sehr langen Texten?",
    "Quel article propose de choisir les données d'entraînement avec le contrôle optimal ?",
    "¿Qué modelo de lenguaje se entrena con proteínas?",
    "какая работа описывает языковую модель для белков?",
    "蛋白质语言模型是哪篇论文提出的？",
]


@pytest.mark.parametrize("question", ENGLISH)
def test_english_is_told(question: str, extractive: Assistant) -> None:
    assert not is_foreign(question, extractive.index.lexical)


@pytest.mark.parametrize("question", FOREIGN)
def test_other_languages_are_told(question: str, extractive: Assistant) -> None:
    assert is_foreign(question, extractive.index.lexical)


def test_in_extractive_mode_no_model_helps(extractive: Assistant) -> None:
    assert not extractive.can_reread
    assert extractive.search(FOREIGN[0]).seconds.reread is None


@pytest.mark.llm
def test_the_model_finds_what_other_words_and_languages_hide(generating: Assistant) -> None:
    assert generating.can_reread
    for question in FOREIGN[3:]:
        found = generating.search(question, 5)
        assert any("rotein" in passage.text for passage in found.passages)
        assert found.seconds.reread
    sure = generating.search("What does PDS do?", 5)
    assert sure.seconds.reread is None


@pytest.mark.llm
def test_reading_again_orders_the_best_and_leaves_the_rest(generating: Assistant) -> None:
    question = "Which data should a model be trained on, if theory of control may decide?"
    found = generating.retriever.search(question, 10)
    read = reread(question, found, 4, generating.model, Prompt.load("reread"))
    assert {paper.paper_id for paper in read.papers[:4]} == {paper.paper_id for paper in found.papers[:4]}
    assert read.papers[4:] == found.papers[4:]
    assert list(read.scores[:4]) == sorted(read.scores[:4], reverse=True)
    turned = found.reordered([float(i) for i in range(4)])
    again = reread(question, replace(turned, scores=(0.0,) * 10), 4, generating.model, Prompt.load("reread"))
    by_likelihood = {p.paper_id: s for p, s in zip(again.papers[:4], again.scores[:4], strict=True)}
    assert max(by_likelihood.values()) == 0
    assert "Optimal Control" in read.papers[0].title


@pytest.mark.llm
def test_likelihoods_do_not_depend_on_their_company(generating: Assistant) -> None:
    model, prompt = generating.model, Prompt.load("reread")
    said = [prompt.fill(title=f"Title {i}", passage="Layers are pruned. " * i) for i in (1, 8, 3)]
    together = model.log_likelihoods(said, "How are layers pruned?")
    alone = [model.log_likelihoods([one], "How are layers pruned?")[0] for one in said]
    assert together == pytest.approx(alone, abs=0.1)
    assert all(value < 0 for value in together)


@pytest.mark.llm
def test_a_question_is_put_into_one_line_of_english(generating: Assistant) -> None:
    english = rewrite(FOREIGN[0], generating.model, Prompt.load("rewrite"))
    assert "\n" not in english
    assert "attention" in english.casefold()
