"""``rag remove`` and ``rag export``."""

import json
import os
import pty
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.papers import paper_id
from rag.settings import load_settings
from tests.command import Run, is_one_error

RAG = [sys.executable, "-c", "from rag.cli import main; main()"]
ZORB = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip."
QUUX = "Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds."
BLIP = "Blip is a lamp that counts marbles. It counts 400 marbles a second."


@pytest.fixture
def pages(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of its own over two pages; both hold the second paper."""
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "a.txt").write_text(f"Abstract: {ZORB}\nAbstract: {QUUX}\n")
    (folder / "b.txt").write_text(f"Abstract: {QUUX}\nAbstract: {BLIP}\n")
    assert run("ingest", str(folder)).out.startswith("3 papers: 3 added")
    return folder


def indexed(run: Run) -> set[str]:
    return {paper["abstract"] for paper in json.loads(run("papers", "--json").out)}


# rag remove --------------------------------------------------------------------------------------------


def test_a_paper_goes_by_id_or_title_and_comes_back_when_its_file_is_read_again(run: Run, pages: Path) -> None:
    gone = run("remove", paper_id(ZORB)[:6])
    assert gone.status == 0
    assert gone.out == "2 papers: 0 added, 0 replaced, 1 removed, 2 unchanged.\n"
    assert f"comes back when it is read again in {pages}/a.txt." in " ".join(gone.err.split())
    assert indexed(run) == {QUUX, BLIP}
    assert run("ingest", str(pages)).out.startswith("3 papers: 1 added")
    title = next(p["title"] for p in json.loads(run("papers", "--json").out) if p["abstract"] == BLIP)
    assert run("remove", title.upper()).status == 0
    assert indexed(run) == {ZORB, QUUX}


def test_a_paper_goes_wherever_it_stands(run: Run, pages: Path) -> None:
    gone = run("remove", paper_id(QUUX))
    assert f"{pages}/a.txt, {pages}/b.txt" in " ".join(gone.err.split())
    assert indexed(run) == {ZORB, BLIP}


def test_what_was_read_from_a_file_goes_and_what_stands_elsewhere_too_stays(run: Run, pages: Path) -> None:
    gone = run("remove", "--source", f"{pages}/../pages/a.txt")
    assert gone.out == "2 papers: 0 added, 1 replaced, 1 removed, 1 unchanged.\n"
    assert indexed(run) == {QUUX, BLIP}
    (quux,) = [paper for paper in json.loads(run("papers", "--json").out) if paper["abstract"] == QUUX]
    assert [source["file"] for source in quux["sources"]] == [f"{pages}/b.txt"]


def test_a_folder_goes_with_all_its_files_even_after_they_are_deleted(run: Run, pages: Path) -> None:
    for file in pages.iterdir():
        file.unlink()
    pages.rmdir()
    assert run("remove", "--yes", "--source", f"{pages}/").out.startswith("0 papers: 0 added, 0 replaced, 3 removed")


def test_pages_that_have_another_name_go_by_that(run: Run, pages: Path, tmp_path: Path) -> None:
    """As the shipped ones have: ``seeds``."""
    other = tmp_path / "other.txt"
    other.write_text("Abstract: A quix is a smaller quux.\nAbstract: A quax is a larger one.\n")
    with closing(Assistant(load_settings())) as assistant:
        assistant.ingest([other], label="shipped")
    assert run("remove", "--yes", "--source", "shipped").out.startswith("3 papers: 0 added, 0 replaced, 2 removed")
    assert indexed(run) == {ZORB, QUUX, BLIP}


def test_the_last_paper_can_go_and_others_can_come(run: Run, pages: Path) -> None:
    ids = [paper_id(abstract) for abstract in (ZORB, QUUX, BLIP)]
    assert run("remove", "--yes", *ids).status == 0
    assert run("papers", "--json").out == "[]\n"
    assert run("papers").status == run("search", "marbles").status == run("ask", "What does Zorb do?").status == 3
    assert run("export").status == 3
    assert is_one_error(run("remove", ids[0]))
    assert run("ingest", str(pages)).out.startswith("3 papers: 3 added")


def test_more_than_one_is_only_removed_when_nobody_is_there_to_ask_if_it_was_meant(run: Run, pages: Path) -> None:
    refused = run("remove", paper_id(ZORB), paper_id(QUUX))
    assert refused.status == 2
    assert is_one_error(refused)
    assert "--yes" in refused.err
    assert len(indexed(run)) == 3


@pytest.mark.parametrize(("reply", "status", "left"), [("n", 1, 3), ("y", 0, 1)])
def test_whoever_is_there_is_asked(reply: str, status: int, left: int, run: Run, pages: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*RAG, "remove", paper_id(ZORB), paper_id(QUUX)], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.write(ours, f"{reply}\n".encode())
    out, err = process.communicate(timeout=300)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == status
    assert b"Remove these 2 papers? [y/N]" in out + err
    assert f"{paper_id(ZORB)[:8]}  " in err.decode()
    assert len(indexed(run)) == left


@pytest.mark.parametrize(
    "arguments", [["remove"], ["remove", "zzzzzzzz"], ["remove", "--source", "/nowhere.txt"], ["remove", "zz", "--yes"]]
)
def test_what_is_not_there_is_one_sentence_and_nothing_goes(arguments: list[str], run: Run, pages: Path) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert is_one_error(result)
    assert len(indexed(run)) == 3


@pytest.mark.parametrize("command", [["remove", "--source", "seeds"], ["export"]])
def test_without_an_index_none_is_made_and_nothing_else_stands_in(
    command: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path))
    missing = run(*command)
    assert missing.status == 1
    assert is_one_error(missing)
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "chroma.sqlite3").write_bytes(b"damaged")
    damaged = run(*command)
    assert damaged.status == 1
    assert is_one_error(damaged)


# rag export --------------------------------------------------------------------------------------------


def test_papers_are_written_to_a_new_file_or_to_standard_output(run: Run, pages: Path, tmp_path: Path) -> None:
    for ending in ("bib", "ris", "jsonl", "csv"):
        file = tmp_path / f"papers.{ending}"
        made = run("export", "--output", str(file))
        assert made.status == 0
        assert not made.out
        format_ = "bibtex" if ending == "bib" else ending
        assert run("export", "--format", format_).out.rstrip("\n") == file.read_text().rstrip("\n")
        assert "laboratories" in file.read_text()
        again = run("export", "--output", str(file))
        assert again.status == 2
        assert is_one_error(again)
    assert [json.loads(line)["abstract"] for line in run("export").out.splitlines()] == [ZORB, QUUX, BLIP]


def test_filters_choose_what_is_written(run: Run) -> None:
    listed = json.loads(run("papers", "--json", "--author", "Zhendong Wang", "--since", "2023").out)
    written = run("export", "--author", "Zhendong Wang", "--since", "2023")
    assert [json.loads(line)["paper_id"] for line in written.out.splitlines()] == [p["paper_id"] for p in listed]
    assert "left out" in run("export", "--since", "2020").err
    one = run("export", "--paper", listed[0]["paper_id"][:8], "--format", "bibtex")
    assert one.out.count("@misc{") == 1
    nobody = run("export", "--author", "Nobody Atall", "--output", "/nowhere/papers.bib")
    assert nobody.status == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--format", "pdf"],
        ["export", "--output", "papers.txt"],
        ["export", "--since", "soon"],
        ["export", "--paper", "zzzz"],
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(arguments: list[str], run: Run) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert is_one_error(result)


def test_a_reader_that_goes_away_ends_it_quietly(pages: Path) -> None:
    process = subprocess.Popen([*RAG, "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(300) == 0
