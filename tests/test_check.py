"""``rag check`` with the real model: claims about an abstract, about the index and about texts of one's own."""

import json
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.errors import ModelUnavailable, UsageError
from rag.filters import Filters
from rag.settings import Settings
from tests.command import Run

TEXT = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip. It is free."
PDS = "Data Selection via Optimal Control for Language Models"


@pytest.mark.llm
@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("PDS formulates the selection of training data as an optimal control problem.", "stated"),
        ("PDS formulates the selection of training data as a reinforcement learning problem.", None),
        ("PDS was trained on 4,096 TPUs for three weeks.", "not_stated"),
    ],
)
def test_a_claim_against_its_abstract(claim: str, why: str | None, generating: Assistant) -> None:
    result = generating.check(claim, Filters(papers=(PDS,)))
    assert result.supported is (why == "stated")
    assert why is None or result.why == why
    assert result.title == PDS
    paper = generating.index.papers[str(result.paper_id)]
    assert paper.abstract[result.start : result.end] == result.quote != ""
    assert result.supported is (result.support >= result.threshold)
    assert result.model.pinned


@pytest.mark.llm
def test_a_claim_against_the_whole_index_finds_its_paper(generating: Assistant) -> None:
    result = generating.check("The Glot500-m model covers 511 languages, most of them low-resource.")
    assert result.supported
    assert "Glot500" in str(result.title)
    assert not generating.check("Kangaroos sleep through the winter in burrows of ice.").supported


@pytest.mark.llm
def test_lines_with_a_text_a_paper_or_neither(generating: Assistant, run: Run, tmp_path: Path) -> None:
    lines = [
        {"id": "a", "claim": "Zorb sorts 1,200 marbles each second.", "text": TEXT},
        {"id": "b", "claim": "Zorb sorts 1,300 marbles each second.", "text": TEXT},
        {"id": "c", "claim": "PDS selects pre-training data.", "paper_id": "a1de3e73"},
        {"id": "d", "claim": "PDS selects pre-training data."},
        {"id": "e", "claim": "Anything.", "text": ""},
        {"id": "f", "text": TEXT},
        {"id": "g", "claim": "Anything.", "text": 7},
    ]
    given, made = tmp_path / "claims.jsonl", tmp_path / "out.jsonl"
    given.write_text("\n".join(map(json.dumps, lines)))
    assert run("check", "--input", str(given), "--output", str(made)).status == 1  # some lines are no claims
    a, b, c, d, e, f, g = map(json.loads, made.read_text().splitlines())
    assert set(a) >= set("id claim support supported threshold paper_id quote start end why".split())
    assert (a["supported"], a["why"], a["paper_id"]) == (True, "stated", None)
    assert TEXT[a["start"] : a["end"]] == a["quote"]
    assert (b["supported"], b["support"] <= 0.1) == (False, True)
    assert c["paper_id"] == d["paper_id"]
    assert c["paper_id"].startswith("a1de3e73")
    assert [bad["error"]["code"] for bad in (e, f, g)] == ["usage", "bad_line", "bad_line"]
    before = made.read_text()
    run("check", "--input", str(given), "--output", str(made))
    assert [line for line in made.read_text().splitlines() if "error" not in line] == [
        line for line in before.splitlines() if "error" not in line
    ]


@pytest.mark.llm
def test_an_indexed_abstract_given_as_a_text_is_read_as_the_paper_is(generating: Assistant) -> None:
    paper = next(paper for paper in generating.papers if paper.title == PDS)
    claim = "PDS speeds up training twofold."
    by_text, by_paper = generating.check_text(claim, paper.abstract), generating.check(claim, Filters(papers=(PDS,)))
    assert (by_text.support, by_text.why, by_text.quote) == (by_paper.support, by_paper.why, by_paper.quote)
    assert by_text.paper_id is None


def test_without_a_model_there_is_no_check(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"cache_dir": tmp_path / "cache", "data_dir": tmp_path / "data"})
    with pytest.raises(ModelUnavailable, match="rag models pull"):
        Assistant(bare).check("PDS selects data.")


def test_an_empty_text_or_claim_is_a_usage_error(extractive: Assistant) -> None:
    for claim, text in (("", TEXT), ("Zorb is free.", " ")):
        with pytest.raises(UsageError, match="is empty"):
            extractive.check_text(claim, text)
