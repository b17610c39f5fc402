"""Minutes of load on a running page: with a fast typist in the model's place, and with the real model."""

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.loops import run
from tests.test_load import MIXED
from tests.visitors import FAKED, REAL, VANISH, Load, chat, eventually, load

MOST = 20_000
"""Questions, however fast they are answered."""
GROWTH = 0.05


@pytest.mark.parametrize(
    ("code", "model", "minutes", "warm"),
    [
        pytest.param(FAKED, "a fast fake model", 10, 240, id="fake"),
        pytest.param(REAL, "the real 1.5B model", 5, 60, id="real", marks=pytest.mark.llm),
    ],
)
def test_nothing_is_lost_or_crossed_and_memory_stays_flat(
    code: str, model: str, minutes: int, warm: float, indexed: Settings, tmp_path: Path, figures: dict[str, str]
) -> None:
    with chat(indexed, tmp_path, code) as page:
        made: Load = run(load(page, MIXED, seconds=60 * minutes, most=MOST))
        grown, held = made.growth(warm), page.memory() / 1e9
        figures[f"16 visitors ask a page with {model} for {minutes} minutes; every {VANISH}th vanishes"] = (
            f"{len(made.waits)} answers, {len(made.crossed)} of them not the one that the question gets alone; "
            f"{made.vanished} vanished; 95 of 100 answers within {made.p95():.1f} s; "
            f"memory {grown:+.1%} after the first {warm:.0f} s, to {held:.2f} GB"
        )
        assert made.crossed == []
        assert len(made.waits) >= 14  # each client asks, but for two whose first visitors vanish
        assert grown <= GROWTH
        eventually(lambda: page.asking() == 0)
        eventually(lambda: len(page.process.net_connections()) <= 2)
        assert "Traceback" not in page.said.read_text()
