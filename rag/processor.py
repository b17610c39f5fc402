"""Keeps torch off instructions that a processor announces and can't run."""

from __future__ import annotations

import os
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TILE_LEAF = 0x1D
_BELOW_AMX = "AVX512_CORE_BF16"


def avoid_broken_amx(cpuinfo: Path = _CPUINFO) -> bool:
    """Cap oneDNN below AMX where a virtual machine announces AMX but hides the shape of its tiles.

    oneDNN asks CPUID leaf 0x1D for that shape, gets zeros, and the process dies of an illegal
    instruction at its first bfloat16 product (https://github.com/uxlfoundation/oneDNN/issues/5689).
    To be called before torch multiplies anything. A cap that the user has set stays.

    :returns: whether the processor is such a one.
    """
    try:
        lines = dict(line.split("\t", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if "\t" in line)
        flags = lines["flags"].split()
        highest = int(lines["cpuid level"].strip("\t: "))
    except (OSError, KeyError, ValueError):
        return False
    broken = "amx_tile" in flags and highest < _TILE_LEAF
    if broken:
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", _BELOW_AMX)
    return broken
