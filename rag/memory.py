"""Whether a model fits into this machine's memory: one that doesn't makes the machine swap until nothing answers."""

from __future__ import annotations

from pathlib import Path

from rag.catalogue import CATALOGUE, ModelSpec
from rag.errors import ModelUnavailable

_GROUP = Path("/sys/fs/cgroup")
# Dequantised weights and their copy, as a multiple of what is kept of them.
_CONVERTING = 1.6


def free_bytes(group: Path = _GROUP) -> int:
    """Memory that a new process can have: of the machine, and of the container that it runs in."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = next(
            int(line.split()[1])
            for line in (group / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file ")
        )
    except (OSError, ValueError, StopIteration):  # no such limit
        return free
    return min(free, most - used + cached)


def check_memory(spec: ModelSpec, *, is_ready: bool, free: int | None = None) -> None:
    """Say so if a model needs more memory than is free.

    :param is_ready: whether it has been converted; that needs more than answering does.
    :raises ModelUnavailable: with a smaller model to use, if one fits.
    """
    free = free_bytes() if free is None else free
    if _needed(spec, is_ready) <= free:
        return
    smaller = [
        other
        for other in CATALOGUE.values()
        if other.kind == spec.kind and other.kept_bytes < spec.kept_bytes and _needed(other, is_ready=False) <= free
    ]
    instead = f", or use a smaller model: --model {smaller[-1].name}" if smaller else ""
    doing = "to answer" if is_ready else "to be made ready"
    raise ModelUnavailable(
        f"{spec.name} needs {_needed(spec, is_ready) / 1e9:.1f} GB of memory {doing}, and {max(free, 0) / 1e9:.1f} GB "
        f"is free: close other programs{instead}."
    )


def _needed(spec: ModelSpec, is_ready: bool) -> int:
    return spec.memory_bytes if is_ready else max(spec.memory_bytes, int(_CONVERTING * spec.kept_bytes))
