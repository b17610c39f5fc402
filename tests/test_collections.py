"""Several named indexes side by side, in folders and on a server."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.settings import load_settings
from tests.chromas import chroma_run
from tests.command import Run, is_one_error
from tests.works import about, write_page


@pytest.fixture
def own_chroma(tmp_path: Path) -> Iterator[str]:
    """A server on which nothing is yet."""
    with chroma_run(tmp_path / "chroma") as url:
        yield url


@pytest.fixture(params=["folder", "server"])
def before(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed before each command. Nothing is there."""
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    for name in ("one", "two", "three"):
        write_page(tmp_path / "pages" / f"{name}.txt", [f"{name.title()}{i}" for i in range(3)])
    monkeypatch.setenv("RAG_CORPUS", str(tmp_path / "pages" / "three.txt"))
    return [] if request.param == "folder" else ["--store", request.getfixturevalue("own_chroma")]


def listed(run: Run, before: list[str]) -> dict[str, int]:
    told = run(*before, "collections", "--json")
    assert told.status == 0, told.err
    return {one["name"]: one["papers"] for one in json.loads(told.out)}


def test_each_has_papers_of_its_own(run: Run, before: list[str], tmp_path: Path) -> None:
    assert listed(run, before) == {}
    for name in ("one", "two"):
        assert run(*before, "--collection", name, "ingest", str(tmp_path / "pages" / f"{name}.txt")).status == 0
    assert run(*before, "ingest").status == 0
    assert listed(run, before) == {"one": 3, "papers": 3, "two": 3}
    shown = run(*before, "collections").out
    assert [line.split()[:3] for line in shown.splitlines()] == [[n, "3", "papers,"] for n in ("one", "papers", "two")]
    for name in ("one", "two"):
        answer = run(*before, "--collection", name, "ask", f"What does {name.title()}1 sort?")
        assert about(f"{name.title()}1").split(".")[0] in answer.out
        assert len(run(*before, "--collection", name, "papers").out.splitlines()) == 3
    (tmp_path / "pages" / "one.txt").unlink()
    assert run(*before, "--collection", "two", "ingest", str(tmp_path / "pages")).status == 0
    assert listed(run, before) == {"one": 3, "papers": 3, "two": 6}


def test_one_is_removed_and_the_others_stay(run: Run, before: list[str], tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(*before, "--collection", name, "ingest", str(tmp_path / "pages" / f"{name}.txt"))
    run(*before, "ingest")
    unasked = run(*before, "collections", "remove", "one")
    assert (unasked.status, is_one_error(unasked)) == (2, True)
    assert "--yes" in unasked.err
    folder = load_settings(collection="one", store={"url": before[1]} if before else None).index_dir.parent
    assert folder.is_dir()
    assert run(*before, "collections", "remove", "one", "--yes").out == "one removed\n"
    assert not folder.exists()
    assert listed(run, before) == {"papers": 3, "two": 3}
    gone = run(*before, "--collection", "one", "ask", "What does One1 sort?")
    assert (gone.status, is_one_error(gone)) == (2, True)
    assert "There is no collection one" in gone.err
    assert run(*before, "collections", "remove", "papers", "--yes").status == 0
    assert listed(run, before) == {"two": 3}
    again = run(*before, "collections", "remove", "papers", "--yes")
    assert (again.status, is_one_error(again)) == (2, True)
    assert run(*before, "--collection", "one", "ingest", str(tmp_path / "pages" / "two.txt")).out.startswith(
        "3 papers: 3 added"
    )


@pytest.mark.parametrize("name", ["Mine", "a/b", "..", "", "a b", "x" * 41, "-x", "é", "a.b"])
def test_a_name_that_can_be_none_is_refused(name: str, run: Run) -> None:
    told = run("--collection", name, "papers")
    assert (told.status, is_one_error(told)) == (2, True)
    assert "small letters" in told.err
    told = run("collections", "remove", "--yes", "--", name)
    assert (told.status, is_one_error(told)) == (2, True)


def test_the_index_of_before_is_where_it_was(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    write_page(tmp_path / "page.txt", ["System1"])
    assert run("ingest", str(tmp_path / "page.txt")).status == 0
    assert (tmp_path / "data" / "index" / "chroma.sqlite3").is_file()
    assert sorted(os.listdir(tmp_path / "data")) == [".index.lock", "index"]


def test_a_damaged_one_is_listed_with_what_to_type(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    write_page(tmp_path / "page.txt", ["System1"])
    run("--collection", "mine", "ingest", str(tmp_path / "page.txt"))
    (tmp_path / "data" / "collections" / "mine" / "index" / "chroma.sqlite3").write_bytes(b"damaged " * 1000)
    assert "`rag --collection mine ingest --rebuild`" in run("collections").out
    assert run("--collection", "mine", "ingest", "--rebuild", str(tmp_path / "page.txt")).status == 0
    assert listed(run, []) == {"mine": 1}
