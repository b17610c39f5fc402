"""From what other programs export to papers that are listed and found: the real command, over an index of its own."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import Run, is_one_error
from tests.readers.test_formats import EACH, SAMPLES

ENTRY = '{{"title": "Zorb {0}", "abstract": "Zorb {0} is a tool for marbles. It sorts them by their sound."}}\n'


@pytest.fixture(autouse=True)
def index_of_its_own(indexed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))


def listed(run: Run) -> dict[str, dict[str, Any]]:
    return {paper["title"]: paper for paper in json.loads(run("papers", "--json").out)}


def test_a_library_of_every_format_is_ingested_listed_and_found(run: Run, tmp_path: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(SAMPLES, library / "exports")
    (library / "dump.json.gz").write_bytes(gzip.compress((library / "exports" / EACH[0]).read_bytes()))
    (library / "paper.pdf").write_bytes(b"%PDF-1.4")
    result = run("ingest", str(library))
    assert result.status == 0
    assert result.out == "38 papers: 38 added, 0 replaced, 0 removed, 0 unchanged.\n"
    told = [line for line in result.err.splitlines() if not line.endswith("…")]
    assert told[-1] == (
        "Left out: 5 entries or files not read; 7 entries without an abstract; 1 file of other kinds (paper.pdf)."
    )
    assert [line.split(": ")[0].removeprefix(f"{library}/exports/") for line in told[:-1]] == [
        "csl.json, record 3",
        "fields.tsv, line 3",
        "papers.jsonl, line 5",
        "papers.jsonl, line 6",
        "zotero.bib, line 71",
    ]
    papers = listed(run)
    assert len(papers) == 38
    sieve = papers["On the sieve that was never built"]
    assert [source["file"].removeprefix(f"{library}/") for source in sieve["sources"]] == [
        "dump.json.gz",
        f"exports/{EACH[0]}",
    ]
    for question, title, authors, date, url in [
        ("Which sieve sorts DNA strands?", "Sieves for DNA: Sorting in vitro",
         ["Ada Lovelace", "Kurt Gödel", "Johannes van der Waals", "Sieve Consortium"], "2021-04",
         "https://doi.org/10.1000/sieves.2021_04"),
        ("Can marbles be told apart by their sound?", "Sorting Marbles by Sound",
         ["Ann Hypatia", "Juana Inés de la Cruz", "Henry Ford Jr."], "2019-03-14", "https://doi.org/10.1000/marbles.7"),
        ("Who built the lightest lamp?", "On the lamp that was never built",
         ["C. Balázs", "E. L. Berger Jr.", "Sieve Collaboration"], "2014-04-09", "https://arxiv.org/abs/1404.0099"),
        ("Do germs survive boiling in kettles?", "Kettles against Escherichia coli: a trial of 10³ cups.",
         ["Florence Nightingale", "M Seacole Jr", "Kettle Trial Group"], "2020-03-05",
         "https://doi.org/10.1000/aim.2020.001"),
        ("When does a heavy kettle collapse?", "Limits of Kettles", ["S. Chandrasekhar"], "2024-01-30",
         "https://arxiv.org/abs/2401.05678"),
    ]:  # fmt: skip
        paper = papers[title]
        assert (paper["authors"], paper["date"], paper["url"]) == (authors, date, url)
        found = json.loads(run("search", "--json", "-n", "3", question).out)["passages"]
        assert title in [passage["title"] for passage in found], question
    by = run("papers", "--author", "Noether", "--since", "1921")
    assert "Kettles, Again" in by.out
    assert "Invariants" not in by.out
    assert "fields.csv record 3" in run("papers", "Limits of Kettles").out
    again = run("ingest", str(library))
    assert again.out == "38 papers: 0 added, 0 replaced, 0 removed, 38 unchanged.\n"


def test_where_nothing_can_be_read_the_index_stays_and_the_status_is_1(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "good.jsonl"
    page.write_text(ENTRY.format(1))
    assert run("ingest", str(page)).status == 0
    for name, content, said in [
        ("bad.bib", "Dear diary,", "bad.bib: it holds no entry"),
        ("bad.json", '[{"title": "T"}, {"title": "U"}]', "There is no abstract in 2 entries: export them with"),
        (
            "bad.jsonl",
            "{\n{\n",
            "line 1: it is not JSON: mend it or take it out. Nothing else could be read either: 1 more",
        ),
    ]:
        (tmp_path / name).write_text(content)
        result = run("ingest", str(tmp_path / name))
        assert (result.status, is_one_error(result)) == (1, True)
        assert said in result.err
    assert list(listed(run)) == ["Zorb 1"]


def test_what_is_gone_from_a_file_is_dropped_unless_the_file_was_cut_off(run: Run, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    whole = "".join(map(ENTRY.format, range(40)))
    (pages / "a.jsonl.gz").write_bytes(gzip.compress(whole.encode()))
    (pages / "b.jsonl").write_text(ENTRY.format("B"))
    assert run("ingest", str(pages)).out.startswith("41 papers: 41 added")
    (pages / "a.jsonl.gz").write_bytes(gzip.compress(whole.encode())[:-100])
    result = run("ingest", str(pages))
    assert (result.status, result.out) == (0, "41 papers: 0 added, 0 replaced, 0 removed, 41 unchanged.\n")
    assert "a.jsonl.gz: its packing is damaged" in result.err
    (pages / "a.jsonl.gz").write_bytes(gzip.compress(ENTRY.format(0).encode()))
    assert run("ingest", str(pages)).out == "2 papers: 0 added, 0 replaced, 39 removed, 2 unchanged.\n"


def test_a_corpus_that_is_read_by_itself_says_that_something_was_left_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpus.jsonl").write_text(f"{ENTRY.format(1)}{{\n")
    monkeypatch.setenv("RAG_CORPUS", str(tmp_path / "corpus.jsonl"))
    result = run("search", "marbles")
    assert result.status == 0
    assert "Left out: 1 entry or file not read. Type `rag ingest` to see why." in result.err
