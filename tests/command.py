"""What a command line gave, and how a good error looks."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


Run = Callable[..., Result]


def is_one_error(result: Result) -> bool:
    """One clear sentence on standard error, nothing on standard output, no traceback."""
    lines = [line for line in result.err.splitlines() if line.strip() and not line.endswith("…")]
    return len(lines) == 1 and lines[0].startswith("Error: ") and not result.out and "Traceback" not in result.err
