from pathlib import Path

import pytest

from eval.coverage import as_markdown, covered, shares_of
from eval.data import NamedSystem, load_labels, load_names, load_questions, normal, seed_papers
from eval.score import fitted_judge
from rag.assistant import Assistant
from rag.papers import Paper
from rag.text import readable


@pytest.fixture(scope="module")
def papers() -> dict[str, Paper]:
    return seed_papers()


def test_every_name_stands_in_its_paper_and_none_twice(papers: dict[str, Paper]) -> None:
    names = load_names()
    assert len(names) >= 160
    assert len({named.paper_id for named in names}) == len(names)
    for named in names:
        paper = papers[named.paper_id]
        held = normal(readable(f"{paper.title} {paper.abstract}"))
        assert normal(named.name) in held, named


def test_each_name_is_asked_about_and_judged(
    extractive: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = load_names()[:12]
    monkeypatch.setattr("eval.coverage.load_names", lambda: [*some, NamedSystem(paper_id="none", name="Quantum Cake")])
    rows = covered(extractive, tmp_path)
    assert [row.name for row in rows] == [*(named.name for named in some), "Quantum Cake"]
    assert not rows[-1].cited
    assert sum(row.cited for row in rows) >= 10
    assert all(row.supported for row in rows[:-1] if row.cited)
    assert shares_of(rows)["right paper cited"].n == 13
    lines = as_markdown(rows).splitlines()
    assert "Quantum Cake" in next(line for line in lines if "**no**" in line)
    (kept,) = tmp_path.glob("coverage-*.jsonl")
    before = kept.read_bytes()
    assert covered(extractive, tmp_path) == rows
    assert kept.read_bytes() == before


def test_the_hand_labels_are_many_and_of_both_kinds(papers: dict[str, Paper]) -> None:
    labels = load_labels()
    assert len(labels) >= 50
    assert sum(label.system == "assistant" for label in labels) >= 50
    assert {label.supported for label in labels} == {True, False}
    splits = {question.id: question.split for question in load_questions()}
    assert all(label.split == splits[label.question_id] for label in labels)
    assert all(set(label.paper_ids) <= papers.keys() for label in labels)
    assert 0 < fitted_judge(papers, labels).threshold < 1
