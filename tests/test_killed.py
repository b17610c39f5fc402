"""Really killed in the midst of it, what takes a while ends the next time as if nothing had been.

Two moments each; ``tests/torture/test_killed.py`` spreads many over the whole length. For an evaluation see
``tests/eval/test_run.py``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.catalogue import ModelSpec
from rag.models import ModelStore
from rag.settings import Settings
from tests.killing import Moment
from tests.works import Fitting, Ingesting, Pulling, Uploading, file_hashes, slow_hub


def ends_the_same(work: Any, moment: Moment, stage: str, folder: Path) -> None:
    """:param stage: how what it is killed at begins."""
    for name in ("whole", "killed"):
        work.begin(folder / name)
    work.again(folder / "whole")
    at = work.work(folder / "killed").killed(moment)
    assert at is not None
    assert at.startswith(stage)
    work.check_cut_off(folder / "killed")
    work.again(folder / "killed")
    assert work.result(folder / "killed") == work.result(folder / "whole")


@pytest.mark.parametrize(
    ("kind", "moment", "stage"),
    [
        ("first", Moment(2, 0), "Indexing 40"),
        ("change", Moment(2, 0.5), "Indexing"),
        ("rebuild", Moment(2, 0), "Indexing 40"),
    ],
)
def test_an_ingest(kind: str, moment: Moment, stage: str, settings: Settings, tmp_path: Path) -> None:
    ends_the_same(Ingesting(tmp_path, settings, kind), moment, stage, tmp_path)


def test_an_upload(settings: Settings, tmp_path: Path) -> None:
    ends_the_same(Uploading(tmp_path, settings), Moment(3, 0), "", tmp_path)


@pytest.mark.parametrize("seconds", [0.2, 0.4])
def test_a_fetch(seconds: float, small_spec: Callable[..., ModelSpec], tmp_path: Path) -> None:
    files = {"model.bin": b"weights!" * 100_000, "config.json": b"{}"}
    (tmp_path / "files").mkdir()
    for name, data in files.items():
        (tmp_path / "files" / name).write_bytes(data)
    spec = small_spec(files, "model.bin")
    with slow_hub(files) as hub:
        at = Pulling(spec, hub=hub).work(tmp_path / "killed").killed(Moment(2, seconds))
    assert (at or "").startswith("Fetching small from the model hub")
    scratch = tmp_path / "killed" / "models" / ".making-small" / "fetched" / "model.bin"
    assert scratch.stat().st_size < len(files["model.bin"])
    again = Pulling(spec, weights=tmp_path / "files")
    again.again(tmp_path / "killed")
    again.again(tmp_path / "whole")
    assert again.result(tmp_path / "killed") == again.result(tmp_path / "whole")


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_conversion(seconds: float, tiny_spec: tuple[ModelSpec, Path], tmp_path: Path) -> None:
    spec, weights = tiny_spec
    ends_the_same(Pulling(spec, weights=weights), Moment(3, seconds), "Converting tiny", tmp_path)


def test_what_is_left_beside_a_model_that_is_ready_is_swept_away(
    tiny_spec: tuple[ModelSpec, Path], tmp_path: Path
) -> None:
    """Killed after the last step, before the fetched file was deleted."""
    spec, weights = tiny_spec
    store = ModelStore(tmp_path, weights, offline=True)
    store.pull(spec)
    before = file_hashes(tmp_path)
    for sweep in (store.pull, store.remove):
        (tmp_path / ".making-tiny" / "fetched").mkdir(parents=True)
        (tmp_path / ".making-tiny" / "fetched" / "tiny.gguf").write_bytes(b"a gigabyte")
        sweep(spec)
        assert file_hashes(tmp_path) == (before if sweep == store.pull else {})


@pytest.mark.parametrize("seconds", [0, 0.02])
def test_the_fitting_of_a_model(seconds: float, tiny_model: Path, tmp_path: Path) -> None:
    ends_the_same(Fitting(tiny_model), Moment(2, seconds), "Fitting tiny", tmp_path)
