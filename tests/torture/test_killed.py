"""Really killed at moments spread over the whole length of its work, it ends the next time as an undisturbed one."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.catalogue import ModelSpec
from rag.settings import Settings
from tests.killing import spread
from tests.works import Evaluating, Fitting, Ingesting, Pulling, Uploading, slow_hub

MOMENTS = 12


def survives(work: Any, what: str, folder: Path, figures: dict[str, str]) -> None:
    """Each time the same command is started again; an upload is finished by the next start of the page."""
    work.begin(folder / "whole")
    stages = work.work(folder / "whole").undisturbed()
    expected = work.result(folder / "whole")
    at: Counter[str] = Counter()
    moments = spread(stages, MOMENTS)
    for i, moment in enumerate(moments):
        place = folder / f"killed{i}"
        work.begin(place)
        stage = work.work(place).killed(moment)
        if stage is None:
            at["ended before"] += 1
        else:
            at[stage or "starting"] += 1
            work.check_cut_off(place)
        if isinstance(work, Uploading):
            work.again(place)
        else:
            work.work(place).undisturbed()
        assert work.result(place) == expected, (moment, stage)
    killed = at.total() - at["ended before"]
    assert killed >= 10, at
    seconds = sum(seconds for _, seconds in stages)
    figures[f"{what} ({seconds:.0f} s undisturbed) killed with SIGKILL at {killed} moments in {len(at)} stages"] = (
        "the next start ended as an undisturbed one every time"
    )


@pytest.mark.parametrize("kind", ["first", "change", "rebuild"])
def test_an_ingest(kind: str, settings: Settings, tmp_path: Path, figures: dict[str, str]) -> None:
    what = {"first": "`rag ingest`", "change": "`rag ingest` over an index", "rebuild": "`rag ingest --rebuild`"}
    survives(Ingesting(tmp_path, settings, kind), what[kind], tmp_path, figures)


def test_an_upload(settings: Settings, tmp_path: Path, figures: dict[str, str]) -> None:
    survives(Uploading(tmp_path, settings), "an upload", tmp_path, figures)


def test_a_fetch(small_spec: Callable[..., ModelSpec], tmp_path: Path, figures: dict[str, str]) -> None:
    files = {"model.bin": b"weights!" * 300_000, "config.json": b"{}"}
    with slow_hub(files) as hub:
        survives(Pulling(small_spec(files, "model.bin"), hub=hub), "the fetch of a model", tmp_path, figures)


def test_a_conversion(tiny_spec: tuple[ModelSpec, Path], tmp_path: Path, figures: dict[str, str]) -> None:
    spec, weights = tiny_spec
    survives(Pulling(spec, weights=weights), "the conversion of a (tiny) model", tmp_path, figures)


def test_the_fitting_of_a_model(tiny_model: Path, tmp_path: Path, figures: dict[str, str]) -> None:
    survives(Fitting(tiny_model), "the making of `int8.safetensors` (tiny)", tmp_path, figures)


def test_an_evaluation(indexed: Settings, tmp_path: Path, figures: dict[str, str]) -> None:
    survives(Evaluating(), "`rag eval run` (extractive, 24 questions)", tmp_path, figures)
