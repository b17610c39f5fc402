"""Runs a command as a process of its own, and tells how long it took and how much memory.

As a script it stands between: on Linux a process begins with the peak of whatever started it, so what is measured must
be started by something small. It imports the standard library alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Took:
    """What a command took from its start to its end, its exit status, and the end of what it told on standard error."""

    seconds: float
    peak_bytes: int
    status: int
    told: str


def measured(command: Sequence[str], environment: Mapping[str, str]) -> Took:
    """Run a command, its output thrown away."""
    between = [sys.executable, "-I", "-S", __file__, *command]
    done = subprocess.run(
        between, capture_output=True, text=True, env=dict(environment), stdin=subprocess.DEVNULL, check=True
    )
    return Took(**json.loads(done.stdout), told=done.stderr.strip()[-500:])


def main() -> None:
    """Run the command that the arguments are, and print what it took as JSON."""
    begun = time.perf_counter()
    status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    print(json.dumps({"seconds": round(seconds, 3), "peak_bytes": peak, "status": status}))


if __name__ == "__main__":
    main()
