import time

import pytest

from rag.assistant import Assistant
from rag.metadata import Records
from rag.papers import Paper


def paper(paper_id: str, authors: tuple[str, ...], date: str | None, category: str | None = None) -> Paper:
    return Paper(
        paper_id=paper_id,
        title="",
        title_source="page",
        abstract="",
        authors=authors,
        date=date,
        category=category,
    )


PAPERS = [
    paper("a", ("Ada Wong", "José Núñez"), "2023-05-17", "CL"),
    paper("b", ("Ada Wong", "Li He"), "2024-02", "LG"),
    paper("c", ("Bo Wong",), "2022", "CL"),
    paper("d", (), None),
]
RECORDS = Records(PAPERS, common={"he", "list", "in", "by", "may"})


@pytest.mark.parametrize(
    ("question", "wished"),
    [
        ("papers by Ada Wong", ["ab"]),
        ("wong ada", ["ab"]),
        ("A. Wong", ["ab"]),
        ("anything by wong?", ["abc"]),
        ("Wong on diffusion", ["abc"]),
        ("What did Jose Nunez write?", ["a"]),
        ("papers by He", ["b"]),
        ("does he list them?", []),
        ("in 2023", ["a"]),
        ("published in May 2023", ["a"]),
        ("2024-02", ["b"]),
        ("since 2023", ["ab"]),
        ("before 2023", ["c"]),
        ("after 2023", ["b"]),
        ("by 2023", ["ac"]),
        ("papers from 2022 to 2023", ["ac"]),
        ("between 2023 and 2024", ["ab"]),
        ("2022–2023", ["ac"]),
        ("What’s an adapter? It’s this.", []),
        ("Kim bu modeli wong", []),
        ("the WMT 2023 shared task", []),
        ("a 2023.5 score, GPT-2023", []),
        ("cs.CL papers", ["ac"]),
        ("machine learning papers", ["b"]),
        ("machine learning", []),
        ("Ada Wong's CL papers since 2023", ["ab", "ab", "ac"]),
        ("", []),
    ],
)
def test_what_a_question_asks_of_the_record(question: str, wished: list[str]) -> None:
    assert ["".join(PAPERS[place].paper_id for place in wish.places) for wish in RECORDS.wishes(question)] == wished


def test_a_last_name_alone_is_less_certain() -> None:
    assert RECORDS.wishes("Wong")[0].certainty < RECORDS.wishes("ada wong")[0].certainty == 1


def test_a_year_in_passing_counts_little_and_is_no_sign_of_a_paper() -> None:
    (passing,) = RECORDS.wishes("Who was the winner of the world cup in Qatar in 2022, and why?")
    (asked,) = RECORDS.wishes("Which papers of 2022 are about diffusion models and their training?")
    assert passing.certainty < 0.5 < asked.certainty
    assert not passing.telling
    assert not asked.telling
    assert RECORDS.wishes("Ada Wong")[0].telling


def test_a_hostile_question_takes_no_time() -> None:
    begun = time.perf_counter()
    RECORDS.wishes("A" * 3900 + "! 2023")
    RECORDS.wishes("2023 " * 700)
    assert time.perf_counter() - begun < 2


def test_authors_years_and_categories_are_searched(extractive: Assistant) -> None:
    found = extractive.search("which 2023 papers by Zhendong Wang are about diffusion?", 3)
    papers = {paper.paper_id: paper for paper in extractive.papers}
    first = papers[found.passages[0].paper_id]
    assert first.has_author("Zhendong Wang")
    assert (first.date or "").startswith("2023")
    assert "iffusion" in first.title
    assert found.passages[0].why.record
    assert found.confidence > 0.5


def test_a_record_that_fits_less_comes_later(extractive: Assistant) -> None:
    papers = {paper.paper_id: paper for paper in extractive.papers}
    found = extractive.search("papers by Weizhu Chen from 2022", 15)
    fitting = [
        papers[id_].has_author("Weizhu Chen") and (papers[id_].date or "").startswith("2022")
        for id_ in dict.fromkeys(passage.paper_id for passage in found.passages)
    ]
    assert fitting == sorted(fitting, reverse=True)
    assert sum(fitting) >= 3
