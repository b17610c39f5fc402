"""What a run was made on, and how much memory it took."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("torch", "transformers", "chromadb", "llama-index-core", "sentence-transformers", "bm25s", "numpy")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def machine() -> dict[str, str | int]:
    """Processor, cores, memory, system and Python: what seconds depend on."""
    import psutil
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "torch_threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def packages() -> dict[str, str]:
    """Versions of the libraries that answers depend on."""
    return {name: version(name) for name in _PACKAGES}


def reset_peak() -> None:
    """Begin to measure peak memory anew, where the system can (Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Most resident memory since :func:`reset_peak`, or since the process began where that isn't known."""
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
