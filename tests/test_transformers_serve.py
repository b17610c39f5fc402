"""A server that others wrote: ``transformers serve``, which gives no probabilities and goes on from no beginning."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import ModelUnavailable
from rag.hub_model import HubModel
from rag.models import ModelStore
from rag.prompts import Prompt
from rag.reading import Reader, Text
from rag.remote_model import RemoteModel
from rag.settings import Generation, Settings
from tests.abstracts import PAPERS
from tests.model_host import written_there

pytest.importorskip("openai", reason="`transformers serve` needs the openai package")
QUESTION = [{"role": "user", "content": "What is a thing? Tell me the thing."}]
_PATIENCE = 300


@pytest.fixture(scope="module")
def remote(tiny_model: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteModel]:
    """The tiny model on that server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    command = ["-c", "from transformers.cli.transformers import main; main()", "serve", "--host", "127.0.0.1"]
    environment = os.environ | {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    there = written_there(settings, f"http://127.0.0.1:{port}/v1", str(tiny_model))
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--dtype", "bfloat16"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield _loaded(serving, there)
        finally:
            serving.terminate()
            serving.wait(60)


def _loaded(serving: subprocess.Popen[bytes], there: Settings) -> RemoteModel:
    """The model, as soon as the server listens."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return RemoteModel.load(there)
        except ModelUnavailable:
            assert serving.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)


def test_its_drafts_are_those_of_transformers(remote: RemoteModel, tiny_model: Path) -> None:
    weights = ModelStore(tiny_model.parent, offline=True).resolve(str(tiny_model))
    here = HubModel.load(weights, Generation(), offline=True)
    there = "".join(remote.stream(QUESTION, max_tokens=24))
    assert there.rstrip("\ufffd") == "".join(here.stream(QUESTION, max_tokens=24)).rstrip("\ufffd") != ""


def test_it_is_asked_for_the_word_that_it_would_say(remote: RemoteModel) -> None:
    reader = Reader(remote, Prompt.load("answers"), Prompt.load("states"))
    outlooks = reader.outlooks("Is Zorb free?", [Text.of(paper) for paper in PAPERS])
    assert all(outlook.answers < 0.3 for outlook in outlooks)  # a random model says neither yes nor no


def test_it_is_asked_in_words_to_begin_a_reply(remote: RemoteModel) -> None:
    assert "".join(remote.stream(QUESTION, begin="It is", max_tokens=16))
