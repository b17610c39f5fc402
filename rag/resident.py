"""Where the resident server of a data folder is reached, and for whom it answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rag
from rag.errors import StorageError
from rag.resources import resource

if TYPE_CHECKING:
    from rag.settings import Settings

HOST = "127.0.0.1"
_OF_A_QUESTION = {"model", "mode"}
_FOLDERS = {"home", "data_dir", "cache_dir", "corpus", "weights_dir"}
_BESIDE = {"chat", "log"}


@dataclass(frozen=True)
class Place:
    """What ``server.json`` says: readable by its owner alone, because whoever knows the key may ask."""

    port: int
    key: str
    pid: int
    version: str
    fingerprint: str

    @classmethod
    def new(cls, port: int, settings: Settings) -> Place:
        """The place of this process, with a key of its own."""
        return cls(port, secrets.token_hex(32), os.getpid(), rag.__version__, fingerprint(settings))

    @classmethod
    def of(cls, settings: Settings) -> Place | None:
        """What is written for a data folder; None if nothing is, or its process has gone without taking it away."""
        try:
            place = cls(**json.loads(settings.server_file.read_text(encoding="utf-8")))
            os.kill(place.pid, 0)
            is_one = isinstance(place.port, int) and isinstance(place.key, str)
        except (OSError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        return place if is_one else None

    def write(self, file: Path) -> None:
        """Let clients find it. :raises StorageError: if it can't be written."""
        scratch = file.with_name(f".{file.name}.new")
        try:
            scratch.unlink(missing_ok=True)
            scratch.touch(mode=0o600, exist_ok=False)
            scratch.write_text(json.dumps(asdict(self)), encoding="utf-8")
            os.replace(scratch, file)
        except OSError as error:
            raise StorageError(f"{file} can't be written ({error.strerror}): make room, or mend its rights.") from error


def fingerprint(settings: Settings) -> str:
    """Hash over what an answer depends on: the code, the settings and what their paths mean here.

    All but model and mode, which come with each question.
    """
    told = settings.model_dump(mode="json", exclude=_OF_A_QUESTION | _FOLDERS | _BESIDE)
    places = (settings.index_dir, settings.models_dir, settings.corpus, settings.weights_dir)
    told["places"] = [str(place and place.expanduser().absolute()) for place in places]
    # Models may be named by relative folders too, which are others elsewhere.
    told["folders"] = [
        str(Path(name).absolute()) for name in (settings.model, settings.grounding.checker) if name and _is_here(name)
    ]
    return hashlib.sha256(json.dumps([told, _code()], sort_keys=True).encode()).hexdigest()


def _is_here(name: str) -> bool:
    """Whether it is a folder only as seen from where we are."""
    with contextlib.suppress(OSError, ValueError):
        return not Path(name).expanduser().is_absolute() and Path(name).is_dir()
    return False


def _code() -> list[object]:
    """When code, probes and prompts last changed, and which Python runs them: the past must not answer for an edit."""
    files = (file for folder in (Path(__file__).parent, resource("prompts")) for file in folder.rglob("*.*"))
    stamps = sorted((str(file), file.stat().st_mtime_ns) for file in files if file.suffix != ".pyc" and file.is_file())
    return [rag.__version__, sys.version, sys.prefix, stamps]
