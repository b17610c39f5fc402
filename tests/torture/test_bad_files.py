"""Memory and time that files take which are far too large, in the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rag.settings import Settings

_RAG = "from rag.cli import main; main()"
_MOST_MB, _MOST_SECONDS = 1800, 300
GIGABYTE = 1 << 30


def written(path: Path, piece: bytes, times: int) -> Path:
    with path.open("wb") as file:
        for _ in range(times):
            file.write(piece)
    return path


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def of_two_gigabytes(folder: Path) -> Path:
    return sparse(folder / "made.txt", 2 * GIGABYTE)


def of_one_line(folder: Path) -> Path:
    return written(folder / "made.txt", b"We sort gravel by its sound. " * 1000, 50 * 1024 * 1024 // 29_000)


def of_ten_million_lines(folder: Path) -> Path:
    return written(folder / "made.txt", b"a line\n" * 10_000, 1000)


def of_a_question(folder: Path) -> Path:
    path = folder / "made.txt"
    path.write_text(json.dumps({"question": "What does PDS do? " * (50 * 1024 * 1024 // 18)}))
    return path


def of_a_text(folder: Path) -> Path:
    path = folder / "made.txt"
    path.write_text(json.dumps({"claim": "It sorts.", "text": "It sorts. " * (5 * 1024 * 1024)}))
    return path


def nested(folder: Path) -> Path:
    return written(folder / "made.txt", b"[" * 1024 * 1024, 50)


def of_the_most_lines(folder: Path) -> Path:
    """As many as are read."""
    return written(folder / "made.txt", b"a line that is a title\n" * 10_000, 100)


def of_marks(folder: Path) -> Path:
    """An abstract as long as any may be, of signs that are slow to compose."""
    path = folder / "made.txt"
    path.write_text("A title\n\n" + "a" + "\u0301\u0327" * 4990)
    return path


CASES = [
    (of_two_gigabytes, ["ingest"], "a page of 2 GB"),
    (of_two_gigabytes, ["search", "--input"], "a batch of 2 GB"),
    (lambda _: Path("/dev/zero"), ["search", "--input"], "a batch without an end"),
    (of_one_line, ["ingest"], "a page with a line of 50 MB"),
    (of_a_question, ["search", "--input"], "a batch with a question of 50 MB"),
    (of_a_text, ["check", "--input"], "a batch with a text of 50 MB"),
    (of_ten_million_lines, ["ingest"], "a page of 10 million lines"),
    (of_ten_million_lines, ["search", "--input"], "a batch of 10 million lines"),
    (nested, ["ingest"], "a page of 50 MB of brackets"),
    (nested, ["search", "--input"], "a batch of 50 MB of brackets"),
    (of_the_most_lines, ["ingest"], "a page of a million lines without an abstract"),
    (of_marks, ["ingest"], "an abstract of 10,000 combining marks"),
]


def taken(command: Sequence[str], folder: Path) -> tuple[int, float, float, str]:
    """Exit status, seconds, the most memory in megabytes, and what was said."""
    begun = time.monotonic()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _RAG, *command],
            env=os.environ | {"RAG_MODE": "extractive", "RAG_DATA_DIR": str(folder / "data")},
            stdout=said,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return process.returncode, time.monotonic() - begun, usage.ru_maxrss / 1024, said.read()


@pytest.mark.parametrize(("make", "command", "what"), CASES, ids=[what for *_, what in CASES])
def test_no_file_takes_all_memory_or_time(
    make: object, command: list[str], what: str, indexed: Settings, tmp_path: Path, figures: dict[str, str]
) -> None:
    assert callable(make)
    status, seconds, megabytes, said = taken([*command, str(make(tmp_path))], tmp_path)
    assert "Traceback" not in said
    assert status in ((0,) if make is of_marks else (1, 2)), said[-2000:]
    assert seconds < _MOST_SECONDS
    assert megabytes < _MOST_MB
    came = "read" if status == 0 else "refused in one sentence"
    figures[what] = f"{came}: {seconds:.1f} s, {megabytes:.0f} MB at most"
