import os
from pathlib import Path

import pytest

from rag.processor import avoid_broken_amx

INFO = "processor\t: 0\ncpuid level\t: {level}\nflags\t\t: fpu avx512_bf16 {flags}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("level", "flags", "broken"), [(28, "amx_bf16 amx_tile", True), (32, "amx_bf16 amx_tile", False), (28, "", False)]
)
def test_only_amx_without_its_tile_shape_is_avoided(
    level: int, flags: str, broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    (tmp_path / "cpuinfo").write_text(INFO.format(level=level, flags=flags))
    assert avoid_broken_amx(tmp_path / "cpuinfo") is broken
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") == ("AVX512_CORE_BF16" if broken else None)


def test_a_cap_that_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    (tmp_path / "cpuinfo").write_text(INFO.format(level=28, flags="amx_tile"))
    assert avoid_broken_amx(tmp_path / "cpuinfo")
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX2"


def test_a_machine_that_says_nothing_is_left_alone(tmp_path: Path) -> None:
    assert not avoid_broken_amx(tmp_path / "none")
    (tmp_path / "cpuinfo").write_text("Features: fp asimd\n")
    assert not avoid_broken_amx(tmp_path / "cpuinfo")
