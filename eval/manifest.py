"""What a run was made with: enough to make it again, and to refuse mixing two that differ."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import rag
from rag.answers import ModelUsed
from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, EMBEDDER
from rag.errors import UsageError
from rag.models import ModelStore, Weights
from rag.run import used

from .data import HERE
from .machine import machine, packages
from .records import write_whole

FILE = "manifest.json"
# These show what an answer is, but don't change it.
_SHOWN_ONLY = {"cli.py", "cli_eval.py", "cli_papers.py", "cli_shared.py", "cli_watch.py", "terminal.py", "doctor.py"}
_DECIDING = ("systems.py", "starter.py", "transformer.py", "run.py", "resume.py", "records.py")


class Manifest(BaseModel):
    """Everything that answers depend on, and the machine that seconds depend on."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    set: str
    systems: tuple[str, ...]
    sampled: int
    version: str
    commit: str | None
    changed: bool
    """Whether files differed from that commit; ``code_sha256`` says which code ran all the same."""
    code_sha256: str
    model: ModelUsed
    embedder_sha256: str
    prompt_sha256: str
    index_sha256: str
    settings_sha256: str
    settings: dict[str, Any]
    gold_sha256: str
    claims_sha256: str
    machine: dict[str, str | int]
    packages: dict[str, str]
    begun: str

    @property
    def name(self) -> str:
        """The set and the start of a hash over all that decides answers: equal for runs that must give the same."""
        return f"{self.set}-{hashlib.sha256(json.dumps(self._deciding(), sort_keys=True).encode()).hexdigest()[:8]}"

    def _deciding(self) -> dict[str, Any]:
        left_out = {"version", "commit", "changed", "begun", "machine", "systems", "settings"}
        return self.model_dump(exclude=left_out, mode="json")

    def differences(self, other: Manifest) -> list[str]:
        """What decides answers and isn't the same in both. Same: the two runs give the same answers on one machine."""
        theirs = other._deciding()
        return [name for name, value in self._deciding().items() if theirs[name] != value]

    @classmethod
    def now(cls, assistant: Assistant, chosen: str, systems: tuple[str, ...], sampled: int) -> Manifest:
        """The manifest of a run that begins now."""
        settings = assistant.settings
        return cls(
            set=chosen,
            systems=systems,
            sampled=sampled,
            version=rag.__version__,
            commit=_git("rev-parse", "HEAD"),
            changed=bool(_git("status", "--porcelain")),
            code_sha256=code_sha256(),
            model=_model(assistant),
            embedder_sha256=CATALOGUE[EMBEDDER].sha256,
            prompt_sha256=assistant.prompt_sha256,
            index_sha256=assistant.index.sha256,
            settings_sha256=assistant.settings_sha256(),
            settings=settings.model_dump(
                mode="json", include={"model", "mode", "llm", "chunking", "retrieval", "generation", "grounding"}
            ),
            gold_sha256=file_sha256(HERE / "gold.jsonl"),
            claims_sha256=file_sha256(HERE / "claims.jsonl"),
            machine=machine(),
            packages=packages(),
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a run. :raises UsageError: if the folder holds none, or a damaged one."""
        try:
            return cls.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"There is no run in {folder}: make one with `rag eval run`.") from error
        except ValueError as error:
            raise UsageError(
                f"The manifest of the run in {folder} can't be read: type `rag eval run --fresh --run {folder}`."
            ) from error

    def write(self, folder: Path) -> None:
        """Write it into the folder of its run."""
        write_whole(folder / FILE, self.model_dump_json(indent=1) + "\n")


def _model(assistant: Assistant) -> ModelUsed:
    settings = assistant.settings
    if settings.llm.url:
        return used(assistant.model)
    identified = ModelStore.of(settings).identify(settings.model)
    own = isinstance(identified, Weights)
    return ModelUsed(name=identified.name, sha256=identified.sha256, pinned=not own)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_sha256() -> str:
    """Hash over the code that answers depend on."""
    package = Path(rag.__file__).parent
    files = [path for path in sorted(package.rglob("*.py")) if path.name not in _SHOWN_ONLY]
    files = [path for path in files if "shipped" not in path.relative_to(package).parts]
    named = [(path.relative_to(package).as_posix(), path) for path in files]
    named += [(f"eval/{name}", HERE / name) for name in _DECIDING]
    digest = hashlib.sha256()
    for name, path in named:
        digest.update(f"{name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    """What git says of the clone that this runs in; None outside of one."""
    try:
        # Without locks: one that ran out of time would leave the clone locked.
        command = ["git", "--no-optional-locks", "-C", str(HERE), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
