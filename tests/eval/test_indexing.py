import json
from pathlib import Path

from eval.indexing import made_papers, main
from rag.papers import Paper
from rag.readers import read_corpus
from rag.resources import resource


def test_more_papers_are_made_of_the_shipped_ones_the_same_every_time() -> None:
    papers: list[Paper] = read_corpus(resource("seeds"))
    made = made_papers(300, papers)
    assert made[:255] == papers
    assert len({paper.paper_id for paper in made}) == 300
    assert made_papers(300, papers) == made
    assert made_papers(3, papers) == papers[:3]


def test_each_size_is_a_row(tmp_path: Path) -> None:
    main(["--papers", "3", "--papers", "5", "--output", str(tmp_path / "rows.json")])
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["papers"] for row in rows] == [3, 5]
    for row in rows:
        assert row["seconds"] > 0
        assert row["papers_per_second"] > 0
        assert 0 < row["query_ms_median"] <= row["query_ms_p95"]
        assert min(row["peak_mb"], row["search_peak_mb"], row["disk_mb"]) > 0
