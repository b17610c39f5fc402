from pathlib import Path
from typing import Any

import pytest

from rag.catalogue import CATALOGUE, ModelSpec
from rag.errors import ModelUnavailable, StorageError
from rag.llm import LanguageModel, load_model
from rag.loading import LoadedModels
from rag.progress import silent
from rag.settings import Settings
from tests.test_entailment import checker


class Clock:
    """Stands for the time that passes."""

    def __init__(self) -> None:
        self.now = 0.0  # as on a machine that has just been started

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("rag.loading.time", clock)
    return clock


@pytest.fixture
def tiny(settings: Settings, tiny_model: Path) -> Settings:
    return settings.model_copy(update={"model": str(tiny_model)})


@pytest.fixture
def other(tiny: Settings, tiny_model: Path, tmp_path: Path) -> Settings:
    """Settings with another model."""
    (tmp_path / "other").symlink_to(tiny_model)
    return tiny.model_copy(update={"model": str(tmp_path / "other")})


@pytest.fixture
def broken(tiny: Settings, tmp_path: Path) -> Settings:
    """Settings with a model that can't be loaded, until :func:`mended` makes it one that can."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return tiny.model_copy(update={"model": str(folder)})


def mended(broken: Settings, tiny: Settings) -> None:
    folder = Path(broken.model)
    for path in Path(tiny.model).iterdir():
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path)


def generating(settings: Settings, **generation: Any) -> Settings:
    return settings.model_copy(update={"generation": settings.generation.model_copy(update=generation)})


def checking(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"grounding": settings.grounding.model_copy(update={"checker": str(folder)})})


# Language models -------------------------------------------------------------------------------


def test_the_same_settings_give_the_same_model(tiny: Settings) -> None:
    models, told = LoadedModels(), []

    def progress(task: str, done: float = 0, total: float | None = None) -> None:
        told.append(task)

    model = models.model(tiny, progress)
    assert "".join(model.stream([{"role": "user", "content": "What?"}], max_tokens=16))
    assert set(told) <= {f"Loading {Path(tiny.model).name}", f"Fitting {Path(tiny.model).name} to this processor"}
    told.clear()
    elsewhere = tiny.model_copy(update={"mode": "generated", "offline": False})
    assert models.model(tiny, progress) is models.model(elsewhere, progress) is model
    assert told == []


def test_another_model_takes_the_place_of_the_first(tiny: Settings, other: Settings) -> None:
    models = LoadedModels()
    first = models.model(tiny, silent)
    second = models.model(other, silent)
    assert (first.weights.source, second.weights.source) == (tiny.model, other.model)
    assert models.model(other, silent) is second
    assert models.model(tiny, silent) is not first


def test_the_first_model_is_let_go_of_before_the_second_is_loaded(
    tiny: Settings, other: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both may not fit into memory."""
    import weakref

    models = LoadedModels()
    first = weakref.ref(models.model(tiny, silent).network)
    load = load_model
    held = []

    def watched(*given: Any, **named: Any) -> LanguageModel:
        import gc

        gc.collect()
        held.append(first() is not None)
        return load(*given, **named)

    monkeypatch.setattr("rag.loading.load_model", watched)
    models.model(other, silent)
    assert held == [False]


def test_other_settings_of_the_draft_take_effect(tiny: Settings) -> None:
    models = LoadedModels()
    first = models.model(tiny, silent)
    second = models.model(generating(tiny, max_tokens=16), silent)
    assert second is not first
    assert second.generation.max_tokens == 16
    assert models.model(generating(tiny, max_tokens=16), silent) is second


def test_a_model_that_cannot_be_had_is_not_asked_for_again_for_a_minute(
    broken: Settings, tiny: Settings, clock: Clock
) -> None:
    models = LoadedModels()
    assert not models.failed(broken)
    with pytest.raises(ModelUnavailable, match="can't be loaded") as first:
        models.model(broken, silent)
    mended(broken, tiny)
    for clock.now in (0.0, 59.9):
        assert models.failed(broken)
        assert models.failed(generating(broken, max_tokens=16))
        with pytest.raises(ModelUnavailable) as again:
            models.model(broken, silent)
        assert str(again.value) == str(first.value)
    clock.now = 60.0
    assert not models.failed(broken)
    assert models.model(broken, silent).weights.source == broken.model


def test_a_model_that_fails_again_is_remembered_from_then_on(broken: Settings, clock: Clock) -> None:
    models = LoadedModels()
    for clock.now in (0.0, 100.0):
        with pytest.raises(ModelUnavailable, match="can't be loaded"):
            models.model(broken, silent)
    clock.now = 159.0
    assert models.failed(broken)
    clock.now = 160.0
    assert not models.failed(broken)


def test_one_model_that_cannot_be_had_is_in_no_others_way(broken: Settings, tiny: Settings, clock: Clock) -> None:
    models = LoadedModels()
    with pytest.raises(ModelUnavailable):
        models.model(broken, silent)
    assert not models.failed(tiny)
    assert models.model(tiny, silent).weights.source == tiny.model
    assert models.failed(broken)


def test_a_model_that_is_loaded_is_given_though_another_failed(broken: Settings, tiny: Settings, clock: Clock) -> None:
    models = LoadedModels()
    models.model(tiny, silent)
    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            models.model(broken, silent)
        assert models.model(tiny, silent).weights.source == tiny.model


def test_want_of_room_is_not_remembered(
    settings: Settings, tiny_spec: tuple[ModelSpec, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, weights = tiny_spec
    monkeypatch.setitem(CATALOGUE, "tiny", spec)
    here = settings.model_copy(update={"cache_dir": tmp_path / "cache", "weights_dir": weights, "model": "tiny"})
    here.models_dir.parent.mkdir()
    here.models_dir.write_text("a file in its place")
    models = LoadedModels()
    with pytest.raises(StorageError, match="can't be written"):
        models.model(here, silent)
    assert not models.failed(here)
    here.models_dir.unlink()
    assert models.model(here, silent).weights.name == "tiny"


# Checkers --------------------------------------------------------------------------------------


def test_without_a_setting_there_is_no_checker(settings: Settings) -> None:
    assert settings.grounding.checker is None
    assert LoadedModels().checker(settings) is None


def test_the_checker_that_is_set_is_loaded_once_and_only_one_is_kept(settings: Settings, tmp_path: Path) -> None:
    first, second = (
        checking(settings, checker(tmp_path / name, "entailment", "neutral", "contradiction")) for name in "ab"
    )
    models = LoadedModels()
    loaded = models.checker(first)
    assert loaded is not None
    assert models.checker(first) is loaded
    assert models.checker(second) is not loaded
    assert models.checker(first) is not loaded
    assert models.checker(settings) is None


def test_a_checker_that_cannot_be_had_is_an_error(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"The checker .* can't be loaded"):
        LoadedModels().checker(checking(settings, tmp_path))
