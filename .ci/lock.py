"""Writes what `make setup` installs: every package at one version, with the SHA-256 of each of its files.

`requirements.lock` holds all packages but those that only torch's build with CUDA asks for, which are in
`requirements-cuda.lock`. Versions stay as they are where pyproject.toml allows it; `--upgrade` takes the newest.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, CUDA = ROOT / "requirements.lock", ROOT / "requirements-cuda.lock"
CPU_BUILDS = Path(__file__).with_name("torch-cpu.txt")
HEADER = "# Written by `make lock`; installed by `make setup`.\n"
# What torch's build with CUDA asks for, on Linux.
_OF_CUDA = re.compile(r"(nvidia-|cuda-|triton==)")


def main(arguments: list[str]) -> None:
    entries = _entries(_compiled(arguments))
    entries = [_with_cpu_builds(entry) if entry.startswith("torch==") else entry for entry in entries]
    for file, of_cuda in ((LOCK, False), (CUDA, True)):
        chosen = [entry for entry in entries if bool(_OF_CUDA.match(entry)) == of_cuda]
        file.write_text(HEADER + "".join(chosen), encoding="utf-8")


def _compiled(arguments: list[str]) -> str:
    """What uv makes of pyproject.toml, for every platform. Versions that are locked now are kept."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "lock")
        output.write_text("".join(file.read_text(encoding="utf-8") for file in (LOCK, CUDA) if file.exists()))
        compile_ = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml", "--extra", "dev"]
        wanted = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
        subprocess.run([*compile_, *wanted, "--output-file", output, *arguments], cwd=ROOT, check=True)
        return output.read_text(encoding="utf-8")


def _entries(lock: str) -> list[str]:
    """Each package's lines."""
    return re.findall(r"^\w.*\n(?:[ #].*\n)*", lock, re.M)


def _with_cpu_builds(torch: str) -> str:
    """Let torch's CPU builds in beside those of PyPI. :raises SystemExit: if theirs are not known."""
    version = re.match(r"torch==([\w.]+)", torch)[1]
    known = CPU_BUILDS.read_text(encoding="utf-8")
    builds = re.findall(r"sha256:([0-9a-f]{64})", known) if f"torch=={version}+cpu " in known else []
    if not builds:
        sys.exit(f"Error: no SHA-256 of a CPU build of torch {version} is known: add them to {CPU_BUILDS.name}.")
    added = [f"    --hash=sha256:{build} \\\n" for build in builds]
    requirement, *rest = torch.splitlines(keepends=True)
    return "".join([requirement, *added, *(line for line in rest if line not in added)])  # uv keeps those of before


if __name__ == "__main__":
    main(sys.argv[1:])
