"""One fuzzing target in a process of its own, which the fuzzer ends: ``python -m tests.torture.fuzzing TARGET CORPUS``.

Further arguments are libFuzzer's. What the target is made of is instrumented, so that the fuzzer sees which inputs
reach something new.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rag", "eval"]):
    from tests.targets import target


def main() -> None:
    """Fuzz until libFuzzer's ``-max_total_time`` is over, or something is found."""
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup([sys.argv[0], *options], target(name, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
