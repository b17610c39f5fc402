"""``rag ingest --watch``, as a real process over a folder that changes."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.settings import Settings
from rag.watching import resting
from tests.command import Run, is_one_error
from tests.works import about

RAG = [sys.executable, "-c", "from rag.cli import main; main()"]
_PATIENCE = 300


class Watcher:
    """The command, and what it says."""

    def __init__(self, *places: Path, **environment: str):
        self._process = subprocess.Popen(
            [*RAG, "ingest", "--watch", *places],
            env=os.environ | environment | {"COLUMNS": "500"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if " papers: " in line or "bad.txt" in line or line.startswith(("Error: ", "Watching ")):
                self._said.put(line.strip())

    def says(self, *words: str) -> None:
        """The next thing that it says of an ingest must hold these words."""
        said = self._said.get(timeout=_PATIENCE)
        assert all(word in said for word in words), said

    def says_at_last(self, *words: str) -> None:
        """Sooner or later it must say something that holds these words."""
        said = self._said.get(timeout=_PATIENCE)
        while not all(word in said for word in words):
            said = self._said.get(timeout=_PATIENCE)

    def ended(self, by: int) -> int:
        """Its exit status after this signal; it must have nothing more to say."""
        self._process.send_signal(by)
        status = self._process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        assert self._said.empty(), self._said.get()
        return status

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def page(path: Path, *names: str) -> Path:
    path.write_text("".join(f"Abstract: {about(name)}\n" for name in names))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "library"
    made.mkdir()
    return made


@pytest.fixture
def watch(settings: Settings) -> Iterator[type[Watcher]]:
    started: list[Watcher] = []

    class Started(Watcher):
        def __init__(self, *places: Path, **environment: str):
            super().__init__(*places, **environment)
            started.append(self)

    yield Started
    for watcher in started:
        watcher.kill()


def test_what_comes_changes_and_goes_is_told_and_what_is_bad_is_named(watch: type[Watcher], folder: Path) -> None:
    home = folder / ".home"  # its own files are in what it watches
    page(folder / "a.txt", "Zorb", "Quux")
    watcher = watch(folder, RAG_DATA_DIR=str(home))
    watcher.says("2 papers: 2 added")
    watcher.says(f"Watching {folder}; Ctrl-C stops it.")
    page(folder / "b.txt", "Blip")
    watcher.says("3 papers: 1 added, 0 replaced, 0 removed, 2 unchanged")
    page(folder / ".hidden.txt", "Hid")
    page(folder / "b.txt", "Blip", "Blop")
    watcher.says("4 papers: 1 added, 0 replaced, 0 removed, 3 unchanged")
    (folder / "b.txt").rename(folder / "c.txt")
    watcher.says("4 papers: 0 added, 2 replaced, 0 removed, 2 unchanged")
    (folder / "bad.txt").write_bytes(b"\x89PNG\x00\x00")
    watcher.says_at_last("bad.txt", "binary")
    page(folder / "bad.txt", "Good")
    watcher.says_at_last("5 papers: 1 added")
    (folder / "c.txt").unlink()
    watcher.says("3 papers: 0 added, 0 replaced, 2 removed, 3 unchanged")
    assert watcher.ended(signal.SIGINT) == 0


def test_a_folder_may_go_away_and_come_back(watch: type[Watcher], folder: Path, tmp_path: Path) -> None:
    page(folder / "a.txt", "Zorb")
    file = page(tmp_path / "file.txt", "Quux")
    watcher = watch(folder, file, RAG_DATA_DIR=str(tmp_path / "data"))
    watcher.says("2 papers: 2 added")
    watcher.says("Watching ")
    folder.rename(tmp_path / "elsewhere")
    watcher.says("Error: There is nothing at", str(folder))
    shutil.copytree(tmp_path / "elsewhere", folder)
    watcher.says("2 papers: 0 added, 0 replaced, 0 removed, 2 unchanged")
    page(folder / "b.txt", "Blip")
    watcher.says("3 papers: 1 added")
    os.replace(page(tmp_path / "new.txt", "Quux", "Quix"), file)  # as editors save
    watcher.says("4 papers: 1 added")
    page(file, "Quix")
    watcher.says("3 papers: 0 added, 1 replaced, 1 removed")
    assert watcher.ended(signal.SIGTERM) == 0


def test_a_folder_may_be_empty_at_first(watch: type[Watcher], folder: Path, tmp_path: Path) -> None:
    watcher = watch(folder, RAG_DATA_DIR=str(tmp_path / "data"))
    watcher.says("Error: ", "no pages")
    watcher.says("Watching ")
    page(folder / "a.txt", "Zorb")
    watcher.says("1 papers: 1 added")
    assert watcher.ended(signal.SIGINT) == 0


def test_what_is_not_there_is_not_watched(run: Run, tmp_path: Path) -> None:
    result = run("ingest", "--watch", str(tmp_path / "nowhere"))
    assert result.status == 2
    assert is_one_error(result)


def test_an_index_of_other_settings_ends_it(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    run("ingest", str(page(folder / "a.txt", "Zorb")))
    monkeypatch.setenv("RAG_CHUNKING__CHARACTERS", "300")
    result = run("ingest", "--watch", str(folder))
    assert result.status == 1
    assert "--rebuild" in result.err


def test_hidden_files_and_those_of_the_caller_do_not_count(folder: Path) -> None:
    own = folder / "own"
    own.mkdir()
    told = resting([folder], [own])
    next(told)
    page(own / "a.txt", "Zorb")
    page(folder / ".a.txt", "Zorb")
    (folder / ".hidden").mkdir()
    page(folder / ".hidden" / "a.txt", "Zorb")
    threading.Timer(3, page, (folder / "a.txt", "Zorb")).start()
    begun = time.monotonic()
    next(told)
    assert time.monotonic() - begun >= 3


def test_what_is_being_written_is_told_when_it_is_at_rest_or_never_rests(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = resting([folder])
    next(told)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.1):
            page(folder / "a.txt", "Zorb")

    writer = threading.Thread(target=write)
    threading.Timer(3, stop.set).start()
    begun = time.monotonic()
    writer.start()
    next(told)
    assert stop.is_set()
    assert time.monotonic() - begun >= 3
    writer.join()
    monkeypatch.setattr("rag.watching._LONGEST", 2.0)
    stop.clear()
    writer = threading.Thread(target=write)
    writer.start()
    next(told)
    assert not stop.is_set()
    stop.set()
    writer.join()
