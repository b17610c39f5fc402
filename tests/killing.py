"""Kill a process at chosen moments of its work.

A process says what it does, a stage a line. An undisturbed run shows how long each stage takes; others are killed once
they have said a stage and a share of that time has passed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TELL = """
import sys
_told = []
def tell(task, done=0, total=None):
    if _told[-1:] != [task]:
        _told.append(task)
        print(task, file=sys.stderr, flush=True)
"""
"""For a process: progress that says each new task in a line, as the command does by itself."""


@dataclass(frozen=True)
class Moment:
    """So many seconds after the process has said its nth stage; the time before it says anything is stage 0."""

    stage: int
    seconds: float


@dataclass(frozen=True)
class Work:
    """A process that says its stages on standard error. :param environment: what is added to ours."""

    command: Sequence[str | Path]
    environment: Mapping[str, str | Path]

    def undisturbed(self) -> list[tuple[str, float]]:
        """What it says, and how many seconds each stage lasts. It must end well."""
        stages, begun = [""], [time.monotonic()]
        with self._started() as process:
            assert process.stderr is not None
            for line in process.stderr:
                stages.append(line.strip())
                begun.append(time.monotonic())
        begun.append(time.monotonic())
        assert process.returncode == 0, stages
        return [(stage, begun[i + 1] - begun[i]) for i, stage in enumerate(stages)]

    def killed(self, moment: Moment) -> str | None:
        """Kill it, and all that it started, at a moment; what it was at, or None if it had ended by itself."""
        with self._started() as process:
            assert process.stderr is not None
            stage = ""
            for _ in range(moment.stage):
                stage = process.stderr.readline().strip() or stage
            if not self._ends_within(process, moment.seconds):
                os.killpg(process.pid, signal.SIGKILL)
            said = [line.strip() for line in process.stderr]
        return [stage, *said][-1] if process.returncode == -signal.SIGKILL else None

    @staticmethod
    def _ends_within(process: subprocess.Popen[str], seconds: float) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(map(str, self.command)),
            cwd=ROOT,
            env=os.environ | {name: str(value) for name, value in self.environment.items()} | {"COLUMNS": "500"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def spread(stages: Sequence[tuple[str, float]], count: int) -> list[Moment]:
    """At least ``count`` moments: one in every stage, the others where the time goes."""
    shares = [1] * len(stages)
    while sum(shares) < count:
        shares[max(range(len(stages)), key=lambda i: stages[i][1] / (shares[i] + 1))] += 1
    return [Moment(i, stages[i][1] * (j + 0.5) / share) for i, share in enumerate(shares) for j in range(share)]
