import pytest

from rag.names import NameTable
from rag.questions import kind_of, named
from tests.abstracts import PAPERS, paper

TITLED = paper("A study of grains under load. " * 5, "How Sand Remembers: Memory in Grains")
ALL = [*PAPERS, TITLED]


@pytest.mark.parametrize(
    ("question", "names", "kind"),
    [
        ("What does Zorb do?", 1, "what"),
        ("what is zorb", 1, "what"),
        ("Tell me about Zorb.", 1, "what"),
        ("How does Zorb sort marbles?", 1, "how"),
        ("Why is Zorb faster than Blip?", 1, "how"),
        ("How many marbles does Zorb sort?", 1, "fact"),
        ("How fast is Zorb?", 1, "fact"),
        ("Which colours can Zorb tell apart?", 1, "fact"),
        ("Is Zorb free?", 1, "yes-no"),
        ("Does Zorb need water?", 1, "yes-no"),
        ("Which paper sorts marbles?", 0, "described"),
        ("Somebody boiled water quickly: how?", 0, "described"),
        ("Which papers are about marbles?", 0, "list"),
        ("What studies treat sand?", 0, "list"),
        ("Which methods sort marbles without light?", 0, "list"),
        ("List all works on kettles.", 0, "list"),
        ("How do Zorb and Quux differ?", 2, "compare"),
        ("Is Zorb faster than Quux?", 2, "compare"),
        ("Zorb vs Quux", 2, "compare"),
    ],
)
def test_kinds(question: str, names: int, kind: str) -> None:
    assert kind_of(question, names) == kind


@pytest.mark.parametrize(
    ("question", "titles"),
    [
        ("What does zorb do?", ["Zorb: Sorting Marbles"]),
        ("Does Zorb sort what 'A kettle for science' boils?", ["A Kettle for Science", "Zorb: Sorting Marbles"]),
        ("In 'How Sand Remembers', what is studied?", ["How Sand Remembers: Memory in Grains"]),
        ("What did 'A kettle for science' boil?", ["A Kettle for Science"]),
        ("Who sorts marbles?", []),
        ("What is a kettle?", []),
    ],
)
def test_the_papers_that_a_question_names(question: str, titles: list[str]) -> None:
    assert sorted(p.title for p in named(question, ALL, NameTable.of(ALL))) == sorted(titles)


def test_small_words_that_join_to_a_name_name_nothing() -> None:
    others = [*ALL, paper("We introduce OFA, an oven for all. It bakes. " * 4, "OFA: An Oven for All")]
    assert named("What is the weight of a marble?", others, NameTable.of(others)) == []
    assert [p.title for p in named("What does OFA bake?", others, NameTable.of(others))] == ["OFA: An Oven for All"]
