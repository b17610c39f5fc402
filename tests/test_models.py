import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rag.catalogue import CATALOGUE, EMBEDDER, GENERATOR, ModelSpec
from rag.errors import HashMismatch, ModelUnavailable, StorageError, UsageError
from rag.models import ModelStore

Tiny = tuple[ModelSpec, Path]


@pytest.fixture
def store(tiny_spec: Tiny, tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", weights_dir=tiny_spec[1], offline=True)


def left_behind(store: ModelStore) -> list[str]:
    return (
        sorted(p.name for p in store.folder.iterdir() if not p.name.endswith(".lock")) if store.folder.exists() else []
    )


def test_a_gguf_is_converted_once_and_not_kept(store: ModelStore, tiny_spec: Tiny) -> None:
    spec, _ = tiny_spec
    folder = store.pull(spec)
    assert (folder / "model.safetensors").is_file()
    assert not list(folder.rglob("*.gguf"))
    assert left_behind(store) == ["tiny"]
    assert json.loads((folder / "papertrail.json").read_text())["sha256"] == spec.sha256
    said: list[str] = []
    assert store.pull(spec, lambda task, done=0, total=None: said.append(task)) == folder
    assert said == []


def test_it_says_beforehand_what_is_fetched_and_kept(store: ModelStore, tiny_spec: Tiny) -> None:
    spec = replace(tiny_spec[0], kept_bytes=3_500_000_000)
    said: list[str] = []
    store.pull(spec, lambda task, done=0, total=None: said.append(task))
    assert said[0].startswith("tiny is not here yet: fetching 0.0 GB, then keeping 3.5 GB")
    assert any(task.startswith("Converting tiny") for task in said)


@pytest.mark.parametrize("damage", ["truncate", "delete", "manifest"])
def test_a_damaged_copy_is_not_ready_and_is_made_anew(damage: str, store: ModelStore, tiny_spec: Tiny) -> None:
    spec, _ = tiny_spec
    weights = store.pull(spec) / "model.safetensors"
    whole = weights.stat().st_size
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "delete":
        weights.unlink()
    else:
        (weights.parent / "papertrail.json").write_text("{")
    assert store.ready(spec) is None
    store.pull(spec)
    assert store.ready(spec) is not None
    assert weights.stat().st_size == whole


def test_altered_weights_leave_nothing_behind(store: ModelStore, tiny_spec: Tiny, tmp_path: Path) -> None:
    spec, weights = tiny_spec
    data = bytearray((weights / spec.weights).read_bytes())
    data[-1] ^= 1
    (tmp_path / "altered").mkdir()
    (tmp_path / "altered" / spec.weights).write_bytes(data)
    with pytest.raises(HashMismatch, match="tiny"):
        replace(store, weights_dir=tmp_path / "altered").pull(spec)
    assert left_behind(store) == []


def test_what_a_killed_process_left_is_swept_away(store: ModelStore, tiny_spec: Tiny) -> None:
    scratch = store.folder / ".making-tiny" / "fetched"
    scratch.mkdir(parents=True)
    (scratch / "half.gguf").write_bytes(b"half")
    store.pull(tiny_spec[0])
    assert left_behind(store) == ["tiny"]


def test_too_full_a_disk_is_told_before_anything_is_fetched(store: ModelStore, tiny_spec: Tiny) -> None:
    with pytest.raises(StorageError, match=r"needs 100000000\d\.\d GB.*make room, or set RAG_CACHE_DIR"):
        store.pull(replace(tiny_spec[0], kept_bytes=10**18))
    assert left_behind(store) == []


@pytest.mark.parametrize("place", ["file", "read-only"])
def test_a_cache_that_cannot_be_written_is_one_clear_error(place: str, tiny_spec: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "models" if place == "file" else Path("/sys/papertrail")  # no one may write there
    with pytest.raises(StorageError, match=r"can't be written.*RAG_CACHE_DIR"):
        ModelStore(folder, weights_dir=tiny_spec[1], offline=True).pull(tiny_spec[0])


def test_two_at_once_make_it_once(store: ModelStore, tiny_spec: Tiny) -> None:
    said: list[str] = []

    def pull() -> None:
        store.pull(tiny_spec[0], lambda task, done=0, total=None: said.append(task))

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.ready(tiny_spec[0])
    assert sum(task.startswith("tiny is not here yet") for task in said) == 1


def test_removing_frees_the_disk(store: ModelStore, tiny_spec: Tiny) -> None:
    spec, _ = tiny_spec
    store.pull(spec)
    assert store.size(spec) > 0
    assert store.remove(spec) is True
    assert store.size(spec) == 0
    assert store.remove(spec) is False


def test_a_folder_or_a_hub_id_of_the_users_own_is_unpinned(store: ModelStore, tiny_model: Path) -> None:
    weights = store.resolve(str(tiny_model))
    assert (weights.pinned, weights.sha256, weights.source) == (False, None, str(tiny_model))
    assert store.resolve("org/model").pinned is False


def test_a_model_that_is_nothing_known_is_a_usage_error(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=GENERATOR):
        store.resolve("gpt-99")
    with pytest.raises(UsageError, match="can't write answers"):
        store.resolve(EMBEDDER)
    with pytest.raises(UsageError, match=r"config\.json"):
        store.resolve(str(tmp_path))


def test_the_real_models_are_pinned_and_ready(settings: object, small_spec: Callable[..., ModelSpec]) -> None:
    store = ModelStore.of(settings)  # type: ignore[arg-type]
    assert store.ready(CATALOGUE[EMBEDDER])
    weights = store.resolve(GENERATOR.upper())
    assert (weights.pinned, weights.sha256) == (True, CATALOGUE[GENERATOR].sha256)
    with pytest.raises(ModelUnavailable):
        store.pull(small_spec({"a": b"b"}, "a"))
