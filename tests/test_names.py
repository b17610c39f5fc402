from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.assistant import Assistant
from rag.names import NameTable, definitions, is_name, key, mentioned_names, own_names
from rag.papers import Paper, Record, Source, papers_from


def paper(title: str, abstract: str) -> Paper:
    source = Source(file="a.txt", start=0, end=len(abstract), record=1)
    return papers_from([Record(source, abstract, title=title)])[0]


ZORBA = paper(
    "Zorba-2: Gentle Pruning of Layers",
    "We present Zorba-2, which prunes gently. Soft Layer Dropping (SLD) is first. It beats AdaFoo and is based on it.",
)
BASED = paper("A Study of Lists", "We study a method called BASED, a list of lists. It was compared with Zorba-2.")
MULTI = paper("Polyglot X5 Sentence Vectors", "The vectors are of three sizes. We propose QuietNet 1.5, a small one.")


@pytest.fixture(scope="module")
def table() -> NameTable:
    return NameTable.of([ZORBA, BASED, MULTI])


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Soft Layer Dropping (SLD) helps.", [("Soft Layer Dropping", "SLD")]),
        ("sparse low-rank adaptation (SoRA)", [("sparse low-rank adaptation", "SoRA")]),
        ("We use a model (see Section 2) and more (e.g., ten).", []),
        ("It is good (XYZ).", []),
        ("large language models (LLMs), masked modelling (MM)", [("masked modelling", "MM")]),
        ("(A)", []),
    ],
)
def test_long_forms_and_their_short_forms_are_paired(text: str, pairs: list[tuple[str, str]]) -> None:
    assert [pair for pair in definitions(text) if pair[1] != "LLMs"] == pairs


@given(st.text(max_size=200))
def test_any_text_can_be_looked_through(text: str) -> None:
    for long, short in definitions(text):
        assert long in " ".join(text.split())
        assert f"({short})" in text
    NameTable.of([ZORBA]).find(text)
    key(text)


def test_what_a_paper_calls_its_own_is_told_from_what_it_mentions() -> None:
    assert {"Zorba-2", "SLD", "Soft Layer Dropping"} <= own_names(ZORBA)
    assert "AdaFoo" not in own_names(ZORBA)
    assert "AdaFoo" in mentioned_names(ZORBA)
    assert "BASED" in own_names(BASED)


def test_figures_are_no_names() -> None:
    assert not any(map(is_name, ("2.17times", "7B", "100k", "3rd", "Large", "2,000-word", "the")))
    assert all(map(is_name, ("GPT-4", "mT5", "b1.58", "BERT", "QwQ")))


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What does Zorba-2 do?", "Zorba-2"),
        ("zorba 2", "Zorba-2"),
        ("ZORBA2?", "Zorba-2"),
        ("what is sld", "SLD"),
        ("soft-layer dropping", "Soft Layer Dropping"),
        ("tell me about quiet net 1.5", "QuietNet"),
        ("QuietNte", "QuietNet"),
        ("pX5", "pX5"),
        ("What is BASED?", "BASED"),
        ("what is based", "BASED"),
        ("zorba", "Zorba-2"),
    ],
)
def test_a_name_is_found_however_it_is_typed(question: str, name: str, table: NameTable) -> None:
    assert name in [match.name for match in table.find(question)]


@pytest.mark.parametrize(
    "question",
    [
        "Which methods are based on pruning of layers?",
        "What is Zorba-3?",
        "the capital of France",
        "?!",
        "list of lists",
    ],
)
def test_other_words_are_no_names(question: str, table: NameTable) -> None:
    assert [match for match in table.find(question) if match.certainty > 0.5] == []


def test_a_paper_that_owns_a_name_has_it_before_those_that_mention_it(table: NameTable) -> None:
    (match,) = [match for match in table.find("Zorba-2") if match.name == "Zorba-2"]
    assert dict(match.papers) == {ZORBA.paper_id: 1.0}
    (mentioned,) = table.find("AdaFoo")
    assert 0 < mentioned.papers[ZORBA.paper_id] < 1


def test_a_misspelt_name_is_less_certain(table: NameTable) -> None:
    right, wrong = (table.find(question)[0].certainty for question in ("QuietNet", "QuietNte"))
    assert right == 1 > wrong > 0


def test_a_saved_table_is_the_same(table: NameTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    assert NameTable.load(tmp_path) == table


# How people type names that the shipped pages hold, and the titles that they are of.
TYPED = {
    "PDS": "Data Selection via Optimal Control",
    "what is sora?": "Sparse Low-rank Adaptation",
    "mE5": "Multilingual E5",
    "BitNet b1.58": "1.58 Bits",
    "1.5 pints": "1.5-Pints",
    "pints": "1.5-Pints",
    "ada lora": "AdaLoRA",
    "periodic lora": "PeriodicLoRA",
}


@pytest.mark.parametrize(("question", "title"), TYPED.items())
def test_names_of_the_shipped_pages_lead_to_their_papers(question: str, title: str, extractive: Assistant) -> None:
    passages = extractive.search(question, 2).passages
    assert any(title in passage.title for passage in passages)
    assert title in passages[0].title or "BitNet" in passages[0].title
    assert passages[0].why.names
