"""The models on this machine: fetched, checked, converted once, and found again.

Each ready model is a folder with a manifest that ties it to the SHA-256 of the published file; it
appears under its name only when it is complete.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rag.catalogue import CATALOGUE, ModelSpec
from rag.errors import ModelUnavailable, StorageError, UsageError
from rag.fetch import fetch
from rag.progress import ANNOUNCEMENT, Progress, silent
from rag.settings import Settings

_MANIFEST = "papertrail.json"
_MARGIN = 64 << 20


@dataclass(frozen=True)
class Weights:
    """A model that is ready to load. ``source`` is a folder, or a hub id for transformers to resolve."""

    name: str
    source: str
    sha256: str | None
    """SHA-256 of the published weight file; None for weights that the user brings."""
    pinned: bool


@dataclass(frozen=True)
class ModelStore:
    """The folder of ready models."""

    folder: Path
    weights_dir: Path | None = None
    offline: bool = False

    @classmethod
    def of(cls, settings: Settings) -> ModelStore:
        return cls(settings.models_dir, settings.weights_dir, settings.offline)

    def ready(self, spec: ModelSpec) -> Path | None:
        """The folder of a model that can be loaded as it is, or None."""
        folder = self.folder / spec.name
        try:
            manifest = json.loads((folder / _MANIFEST).read_text())
            whole = manifest["sha256"] == spec.sha256 and all(
                (folder / name).stat().st_size == size for name, size in manifest["files"].items()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return folder if whole else None

    def has(self, name: str) -> bool:
        """Whether what a ``--model`` value means can be loaded without the network.

        :raises UsageError: as :meth:`identify`.
        """
        found = self.identify(name)
        return Path(found.source).is_dir() if isinstance(found, Weights) else self.ready(found) is not None

    def size(self, spec: ModelSpec) -> int:
        """Bytes that a model takes on disk now."""
        folder = self.folder / spec.name
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0

    def pull(self, spec: ModelSpec, progress: Progress = silent) -> Path:
        """Make a model ready if it isn't: fetch, check, convert. Returns its folder.

        :raises ModelUnavailable: if it can't be had.
        :raises StorageError: if the disk is too full or the cache can't be written. Nothing half-made stays.
        """
        folder = self.ready(spec)
        if folder and not self._scratch(spec).exists():
            return folder
        with _storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(spec, progress):
                shutil.rmtree(self._scratch(spec), ignore_errors=True)  # left by a process that was killed
                return self.ready(spec) or self._make(spec, progress)

    def remove(self, spec: ModelSpec) -> bool:
        """Delete a model from the disk, and what a killed process left of it; False if it wasn't there."""
        found = [place for place in (self.folder / spec.name, self._scratch(spec)) if place.exists()]
        if found:
            with _storage_errors(self.folder), self._lock(spec, silent):
                for place in found:
                    if place.exists():  # we may have waited for who made it
                        shutil.rmtree(place)
        return bool(found)

    def _scratch(self, spec: ModelSpec) -> Path:
        return self.folder / f".making-{spec.name}"

    def resolve(self, name: str, progress: Progress = silent) -> Weights:
        """The weights that a ``--model`` value means, made ready if they are of the catalogue.

        :raises UsageError: as :meth:`identify`.
        :raises ModelUnavailable: if they can't be had.
        """
        found = self.identify(name)
        if isinstance(found, Weights):
            return found
        return Weights(found.name, str(self.pull(found, progress)), found.sha256, pinned=True)

    def identify(self, name: str) -> ModelSpec | Weights:
        """What a ``--model`` value means: an entry of the catalogue, a local folder, or a hub id. Nothing is fetched.

        :raises UsageError: if it is none of these.
        """
        spec = CATALOGUE.get(name.lower())
        if spec is not None:
            if spec.kind != "generator":
                raise UsageError(f"{spec.name} embeds text and can't write answers: `rag models` lists those that can.")
            return spec
        folder = Path(name)
        with suppress(RuntimeError):  # "~nobody" is no folder
            folder = folder.expanduser()
        if os.path.isdir(folder):  # Path.is_dir raises for a name that is too long
            if not (folder / "config.json").is_file():
                raise UsageError(f"{folder} has no config.json: name a folder that transformers can load a model from.")
            return Weights(folder.name, str(folder), None, pinned=False)
        if name.count("/") == 1 and not name.startswith((".", "/", "~")):
            return Weights(name, name, None, pinned=False)
        raise UsageError(
            f"There is no model {name!r}: use one of {', '.join(generators())}, a hub id such as ORG/NAME, or a folder."
        )

    def _make(self, spec: ModelSpec, progress: Progress) -> Path:
        needed = spec.fetch_bytes + (spec.kept_bytes if spec.format == "gguf" else 0) + _MARGIN
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise StorageError(
                f"{spec.name} needs {needed / 1e9:.1f} GB while it is made ready, and {self.folder} has "
                f"{free / 1e9:.1f} GB free: make room, or set RAG_CACHE_DIR to a folder on another disk."
            )
        kept = f", then keeping {spec.kept_bytes / 1e9:.1f} GB" if spec.format == "gguf" else ""
        if self.weights_dir is not None or not self.offline:
            size = f"{spec.fetch_bytes / 1e9:.1f} GB"
            progress(f"{spec.name} is not here yet: fetching {size}{kept} in {self.folder}", 0, ANNOUNCEMENT)
        scratch = self._scratch(spec)
        fetched = scratch / "fetched"
        fetched.mkdir(parents=True)
        try:
            fetch(spec, fetched, weights_dir=self.weights_dir, offline=self.offline, progress=progress)
            made = fetched
            if spec.format == "gguf":
                made = scratch / "converted"
                _convert(fetched / spec.weights, made, partial(progress, f"Converting {spec.name}, once"))
            files = {str(p.relative_to(made)): p.stat().st_size for p in sorted(made.rglob("*")) if p.is_file()}
            manifest = {"name": spec.name, "sha256": spec.sha256, "licence": spec.licence, "files": files}
            (made / _MANIFEST).write_text(json.dumps(manifest, indent=1))
            target = self.folder / spec.name
            shutil.rmtree(target, ignore_errors=True)
            os.replace(made, target)
            return target
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def _lock(self, spec: ModelSpec, progress: Progress) -> Iterator[None]:
        lock = FileLock(self.folder / f".{spec.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"Waiting for another process that makes {spec.name} ready")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def generators() -> list[str]:
    """Catalogue names of the models that write answers."""
    return [spec.name for spec in CATALOGUE.values() if spec.kind == "generator"]


def catalogue_model(name: str) -> ModelSpec:
    """The catalogue's entry of this name. :raises UsageError: if there is none."""
    try:
        return CATALOGUE[name.lower()]
    except KeyError:
        raise UsageError(f"There is no model {name!r} in the catalogue: it has {', '.join(CATALOGUE)}.") from None


def fetched_anew(name: str) -> str:
    """What to type where a model of the catalogue is damaged."""
    return f"type `rag models remove {name}`, and it is fetched anew when it is needed"


def _convert(gguf: Path, folder: Path, progress: Callable[[float, float | None], None]) -> None:
    """Dequantise a GGUF file into a folder that loads in seconds: bfloat16 safetensors and the tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rag.quiet import quiet_transformers

    progress(0, None)
    with quiet_transformers(), _tensors_counted(progress):
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
        except (ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelUnavailable(f"{gguf.name} could not be converted ({error}): update transformers.") from error
        # The weights are plain numbers from here on; these would make the next load look for a quantizer.
        model.hf_quantizer = None
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        try:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except OSError:
            raise
        except Exception as error:  # safetensors and tokenizers raise classes of their own where a disk is full
            raise OSError(str(error)) from error


@contextmanager
def _tensors_counted(progress: Callable[[float, float | None], None]) -> Iterator[None]:
    """Report the dequantised tensors to ``progress``, in place of a bar of transformers that can't be turned off."""
    from transformers import modeling_gguf_pytorch_utils as gguf_utils

    def counted(tensors: Any, **_: Any) -> Iterator[Any]:
        for done, tensor in enumerate(tensors):
            progress(done, len(tensors))
            yield tensor
        progress(0, None)  # what is left, writing the copy, is not counted

    bar = getattr(gguf_utils, "tqdm", None)
    gguf_utils.tqdm = counted
    try:
        yield
    finally:
        gguf_utils.tqdm = bar


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"The disk of {folder} is full: make room, or set RAG_CACHE_DIR to another disk."
            ) from error
        raise StorageError(
            f"{folder} can't be written ({error.strerror or error}): make room, mend its permissions, or set "
            f"RAG_CACHE_DIR to a folder of your own."
        ) from error
