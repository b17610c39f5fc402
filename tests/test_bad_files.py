"""Files that are no pages, no batches and no settings: refused in one sentence, and what there was stays."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import zipfile
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from rag.batch import MAX_BYTES
from rag.index import PaperIndex
from rag.settings import Settings
from tests.command import Run, is_one_error
from tests.readers.test_readers import PROSE

Maker = Callable[[Path], Path]
GOOD = f"A title\n\n{PROSE}\n"


def file(content: bytes | str, name: str = "page.txt") -> Maker:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def sparse(size: int, name: str = "page.txt") -> Maker:
    def make(folder: Path) -> Path:
        with (folder / name).open("wb") as made:
            made.truncate(size)
        return folder / name

    return make


def link(target: str, name: str = "link.txt") -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return make


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.txt")
    return folder / "pipe.txt"


def zipped(name: str) -> Maker:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("page.txt", GOOD)
        return folder / name

    return make


def folder_of(*makers: Maker) -> Maker:
    def make(folder: Path) -> Path:
        inner = folder / "pages"
        inner.mkdir()
        for maker in makers:
            maker(inner)
        return inner

    return make


def titled(content: bytes) -> Maker:
    return folder_of(file(GOOD), file(content, "titles.json"))


PAGES: dict[str, tuple[Maker, int, str]] = {
    "two gigabytes": (sparse(2 << 30), 1, "is larger than 256 MiB: split it"),
    "a million lines and more": (file("a\n" * 1_000_001), 1, "has more than 1,000,000 lines: split it"),
    "as many old ends of lines": (file("a\r" * 1_000_001), 1, "has more than 1,000,000 lines: split it"),
    "a line that is no abstract": (file(f"A title\n\n{'sorted ' * 2000}"), 1, "line 3: 13,999 characters are no abs"),
    "zip": (zipped("page.txt.zip"), 1, "is a binary file"),
    "zip with another name": (zipped("page.txt"), 1, "is a binary file"),
    "UTF-16": (file(GOOD.encode("utf-16")), 1, "is UTF-16 text: save it as UTF-8"),
    "UTF-16 without a mark": (file(GOOD.encode("utf-16-le")), 1, "is a binary file"),
    "Latin-1": (file(GOOD.replace("title", "größe").encode("latin-1")), 1, r"is not UTF-8 text \(line 1\)"),
    "broken UTF-8": (file(GOOD.encode() + b"\xe2\x80"), 1, r"is not UTF-8 text \(line 4\)"),
    "half a pair": (file(b"\xed\xa0\x80"), 1, "is not UTF-8 text"),
    "NUL": (file(GOOD + "\0"), 1, "is a binary file"),
    "nothing but invisible signs": (file("\u200b\n\ufeff\n"), 1, "holds no abstracts"),
    "pipe": (fifo, 2, "neither a file nor a folder is at"),
    "device": (lambda _: Path("/dev/zero"), 2, "neither a file nor a folder is at"),
    "circle of links": (link("link.txt"), 2, "leads nowhere"),
    "folder in a circle": (link("link.txt/link.txt"), 2, "leads nowhere"),
    "link to nothing": (link("nowhere"), 2, "There is nothing at"),
    "name that is too long": (lambda folder: folder / ("a" * 5000), 2, "leads nowhere"),
    "nobody's home": (lambda _: Path("~nobody-of-that-name/page.txt"), 2, "leads nowhere"),
    "name that is no text": (file(GOOD, os.fsdecode(b"\xff.txt")), 1, "is not UTF-8 and can't be kept: rename"),
    "folder of pipes and circles": (folder_of(fifo, link("link.txt")), 2, "There are no pages in"),
    "link out of the folder": (folder_of(link("/etc/passwd")), 1, "is a link to a file outside"),
    "titles out of the folder": (folder_of(file(GOOD), link("/etc/passwd", "titles.json")), 1, "is a link to a file"),
    "titles that are nested deeply": (titled(b"[" * 1_000_000), 1, "is not a list of titles"),
    "titles of another kind": (titled(b'{"title": 1}'), 1, "is not a list of titles"),
    "titles of half a pair": (titled(b'[{"title": "\\ud800", "begins": "We"}]'), 1, "is not a list of titles"),
    "title of many lines": (titled(json.dumps([{"title": "a " * 600, "begins": "We"}]).encode()), 1, "one line"),
    "two gigabytes of titles": (
        folder_of(file(GOOD), sparse(2 << 30, "titles.json")), 1, "is not a list of titles .it is larger than 64 MiB"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_what_is_no_page_is_refused_and_the_index_stays(name: str, run: Run, indexed: Settings, tmp_path: Path) -> None:
    make, status, reason = PAGES[name]
    result = run("ingest", str(make(tmp_path)))
    assert is_one_error(result), result.err
    assert result.status == status
    assert re.search(reason, " ".join(result.err.split()))
    index = PaperIndex.open(indexed)
    assert len(index.papers) == 255
    index.close()


def test_what_is_no_file_in_a_folder_is_passed_over(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    pages = folder_of(
        file("\ufeff" + GOOD), fifo, link("link.txt"), link("/dev/zero", "zero.txt"), link("page.txt", "again.txt")
    )(tmp_path)  # fmt: skip
    result = run("ingest", str(pages))
    assert (result.status, result.out) == (0, "1 papers: 1 added, 0 replaced, 0 removed, 0 unchanged.\n")


# Batches -----------------------------------------------------------------------------------------------

INPUTS: dict[str, tuple[Maker, str]] = {
    "two gigabytes": (sparse(2 << 30, "in.jsonl"), "is larger than 64 MiB: split it"),
    "no end": (lambda _: Path("/dev/zero"), "is larger than 64 MiB: split it"),
    "a million lines and more": (file("\n" * 1_000_001, "in.jsonl"), "has more than 1,000,000 lines: split it"),
    "UTF-16": (file('{"question": "ä"}'.encode("utf-16"), "in.jsonl"), "is not UTF-8 text"),
    "Latin-1": (file('{"question": "ä"}'.encode("latin-1"), "in.jsonl"), "is not UTF-8 text"),
    "folder": (lambda folder: folder, "can't be read (Is a directory)"),
    "circle of links": (link("in.jsonl", "in.jsonl"), "can't be read (Too many levels of symbolic links)"),
    "name that is too long": (lambda folder: folder / ("a" * 5000), "can't be read (File name too long)"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_batch_is_refused(name: str, run: Run, tmp_path: Path) -> None:
    make, reason = INPUTS[name]
    result = run("search", "--input", str(make(tmp_path)))
    assert is_one_error(result), result.err
    assert result.status == 2
    assert reason in " ".join(result.err.split())


def test_a_bad_line_of_any_kind_loses_no_other(run: Run, tmp_path: Path) -> None:
    good = '{"question": "What does PDS do?"}'
    lines = ["\ufeff" + good, "\0\0", "[" * 200_000, '{"question": "' + "a" * 5_000_000 + '"}',
             '{"question": "\\u0000"}', '{"question": "\\u202ea"}', '{"question": "\\ud800"}',
             '{"id": "\\ud800", "question": "PDS"}',
             '{"id": 1e400, "question": "PDS"}', '{"id": ' + "9" * 5000 + ', "question": "PDS"}',
             '{"question": "' + "\u0301\u0327" * 1900 + '"}', good]  # fmt: skip
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    result = run("search", "--input", str(path), "--output", str(tmp_path / "out.jsonl"))
    made = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert result.status == 1
    assert ["error" in line for line in made] == [False, *[True] * 6, False, True, True, False, False]
    assert all(line["error"]["code"] in ("bad_line", "usage") for line in made if "error" in line)


def test_a_pipe_is_a_batch(run: Run, tmp_path: Path) -> None:
    pipe = fifo(tmp_path)
    writer = threading.Thread(target=pipe.write_text, args=('{"question": "What does PDS do?"}\n',))
    writer.start()
    result = run("search", "--input", str(pipe))
    writer.join()
    assert (result.status, len(result.out.splitlines())) == (0, 1)


@pytest.mark.parametrize("data", [b"\xff\xfe{", b" " * (MAX_BYTES + 1)], ids=["no text", "too much"])
def test_standard_input_is_read_as_carefully(data: bytes, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))
    result = run("search", "--input", "-")
    assert (result.status, is_one_error(result)) == (2, True)


@pytest.mark.parametrize("make", [fifo, link("out.jsonl", "out.jsonl"), lambda folder: folder / ("a" * 5000)])
def test_an_output_is_a_file_or_is_refused(make: Maker, run: Run, tmp_path: Path) -> None:
    """A device would be replaced by a file, and a pipe would wait for ever."""
    questions = file('{"question": "What does PDS do?"}\n', "in.jsonl")(tmp_path)
    output = make(tmp_path)
    before = sorted(os.listdir(tmp_path))
    result = run("search", "--input", str(questions), "--output", str(output))
    assert (result.status, is_one_error(result)) == (1, True), result.err
    assert "name another --output" in " ".join(result.err.split())
    assert sorted(os.listdir(tmp_path)) == before


def test_a_text_to_check_against_has_an_end(run: Run, tmp_path: Path, tiny_model: Path) -> None:
    line = json.dumps({"claim": "It sorts.", "text": "It sorts gravel. " * 10_000})
    questions = file(line + "\n", "in.jsonl")(tmp_path)
    result = run("check", "--model", str(tiny_model), "--input", str(questions))
    assert "at most 100,000 are read" in json.loads(result.out)["error"]["message"]


# Settings ----------------------------------------------------------------------------------------------

SETTINGS: dict[str, Maker] = {
    "two gigabytes": sparse(2 << 30, "settings.toml"),
    "nested deeply": file("a = " + "[" * 100_000, "settings.toml"),
    "UTF-16": file('mode = "auto"'.encode("utf-16"), "settings.toml"),
    "Latin-1": file('model = "ä"'.encode("latin-1"), "settings.toml"),
    "NUL": file('mode = "auto"\0', "settings.toml"),
    "zip": zipped("settings.toml"),
    "a NUL in a folder's name": file('data_dir = "a\\u0000b"', "settings.toml"),
    "a folder's name that is too long": file(f'data_dir = "{"a" * 5000}"', "settings.toml"),
    "nobody's home": file('cache_dir = "~nobody-of-that-name"', "settings.toml"),
    "an escape sequence": file('"\\u001b[2J" = 1', "settings.toml"),
}


@pytest.fixture
def home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("RAG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    monkeypatch.setenv("RAG_OFFLINE", "true")
    return tmp_path


@pytest.mark.parametrize("name", SETTINGS)
def test_what_are_no_settings_is_refused(name: str, run: Run, home_of_its_own: Path) -> None:
    SETTINGS[name](home_of_its_own)
    result = run("papers")
    assert is_one_error(result), result.err
    assert result.status == 2
    assert "settings.toml" in "".join(result.err.split())
    assert "\x1b" not in result.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RAG_HOME", "~nobody-of-that-name"),
        ("RAG_HOME", "a" * 5000),
        ("RAG_RETRIEVAL", "[" * 100_000),
        ("RAG_DATA_DIR", "\udcff" * 3000),
        ("RAG_GENERATION__THREADS", "9" * 5000),
    ],
)
def test_what_is_no_setting_in_the_environment_is_refused(
    variable: str, value: str, run: Run, home_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    result = run("papers")
    assert is_one_error(result), result.err
    assert result.status == 2


@pytest.mark.parametrize("model", ["a" * 5000, "~nobody-of-that-name/x", "../" * 500, "\x1b[2J"])
def test_a_model_that_cannot_be_is_refused(model: str, run: Run) -> None:
    result = run("ask", "--mode", "auto", "--model", model, "What does PDS do?")
    assert (result.status, is_one_error(result)) == (2, True), result.err
    assert "\x1b" not in result.err
