"""Nothing leaves the machine: a whole session in real processes, watched from inside and by the kernel."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag.settings import Settings
from tests.web.visits import QUUX, ZORB

ROOT = Path(__file__).parent.parent
LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0", None}
APART = ["unshare", "--map-root-user", "--net"]


@pytest.fixture
def environment(settings: Settings, tiny_model: Path, tmp_path: Path) -> dict[str, str]:
    """All models are there, the network may be used, and nothing in the environment turns telemetry off."""
    (tmp_path / "page.txt").write_text(f"Abstract: {ZORB}\nAbstract: {QUUX}\n")
    off = ("ANONYMIZED_TELEMETRY", "DO_NOT_TRACK", "GRADIO_", "HF_", "DISABLE_", "TRANSFORMERS_OFFLINE")
    own = {"RAG_OFFLINE": "false", "RAG_MODEL": str(tiny_model), "RAG_DATA_DIR": str(tmp_path / "data")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(off)}
    return kept | own | {"RAG_CORPUS": str(tmp_path / "page.txt"), "PYTHONPATH": str(ROOT)}


def session(environment: dict[str, str], *before: str) -> dict[str, Any]:
    program = [*before, sys.executable, "-m", "tests.session", *(["--apart"] if before else [])]
    ended = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    made: dict[str, Any] = json.loads(ended.stdout)
    replies = [reply.partition(" ")[0] for reply in made["replies"]]
    assert replies == ["200"] * 9 + ["404"] * 2, made["replies"]
    assert set(made["statuses"]) <= {0, 3}
    return made


def host(told: str) -> str | None:
    """Whom a connection or a look-up is about; None for what isn't the network."""
    if told.startswith("<"):
        return None
    reached = ast.literal_eval(told)
    reached = reached[0] if isinstance(reached, tuple) else reached
    return reached.decode() if isinstance(reached, bytes) else reached


def test_a_whole_session_connects_to_nobody_but_this_machine(environment: dict[str, str]) -> None:
    reached = [host(told) for told in session(environment)["reached"]]
    assert LOOPBACK & set(reached) - {None}  # it is watched
    assert [name for name in reached if name not in LOOPBACK] == []


def test_the_kernel_sees_nobody_try_either(environment: dict[str, str]) -> None:
    if shutil.which("unshare") is None or subprocess.run([*APART, "true"], capture_output=True).returncode:
        pytest.skip("This machine lets nobody make a network namespace.")
    made = session(environment, *APART)
    assert made["would_be"] == 1  # a packet to elsewhere is counted
    assert made["unroutable"] == 0


def test_what_would_call_home_is_off_before_it_is_loaded() -> None:
    code = """import rag
from huggingface_hub import constants
from gradio.analytics import analytics_enabled
from transformers.utils import is_env_variable_true as is_true
print(is_true("DISABLE_SAFETENSORS_CONVERSION"), constants.HF_HUB_DISABLE_TELEMETRY, analytics_enabled())"""
    off = ("DO_NOT_TRACK", "GRADIO_", "HF_", "DISABLE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(off)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["True", "True", "False"]
