"""Coverage-guided fuzzing of everything that reads what others wrote; an hour in all, or ``--fuzz-seconds``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rag.settings import Settings
from tests.corpora import beginnings
from tests.targets import Targets

pytest.importorskip("atheris")

_LONGEST = 4096
"""Bytes of an input."""
_SLOWEST, _MOST_MB = 60, 6000
"""Seconds and memory that one input may take."""


@pytest.mark.parametrize("name", Targets.names())
def test_nothing_but_our_own_errors_comes_out(
    name: str, indexed: Settings, tmp_path: Path, figures: dict[str, str], pytestconfig: pytest.Config
) -> None:
    seconds = pytestconfig.getoption("--fuzz-seconds") // len(Targets.names())
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, data in enumerate(beginnings(name)):
        (corpus / f"seed-{i}").write_bytes(data)
    command = [sys.executable, "-m", "tests.torture.fuzzing", name, str(corpus), f"-artifact_prefix={tmp_path}/found-"]
    limits = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MOST_MB}"]
    done = subprocess.run(
        [*command, *limits, "-print_final_stats=1"],
        env=os.environ | {"RAG_MODE": "extractive"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 600,
        check=False,
    )
    found = [path.read_bytes() for path in tmp_path.glob("found-*")]
    assert (done.returncode, found) == (0, []), done.stderr[-6000:]
    runs = int(re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)[-1])
    reached = re.findall(r"cov: (\d+)", done.stderr)[-1]
    figures[f"the {name} target fuzzed for {seconds:,} s"] = f"{runs:,} inputs, {reached} branches reached, no crash"
