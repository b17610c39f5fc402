from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.catalogue import CATALOGUE, GENERATOR
from rag.errors import ModelUnavailable
from rag.memory import check_memory, free_bytes
from rag.settings import Settings

LARGE, SMALL = CATALOGUE[GENERATOR], CATALOGUE["qwen2.5-coder-0.5b-instruct"]


def group(folder: Path, most: str, used: int, cached: int) -> Path:
    for name, text in (
        ("memory.max", most),
        ("memory.current", str(used)),
        ("memory.stat", f"anon 5\ninactive_file {cached}\n"),
    ):
        (folder / name).write_text(text)
    return folder


def test_a_container_has_no_more_than_its_limit(tmp_path: Path) -> None:
    assert free_bytes(group(tmp_path, "1000000", 700_000, 200_000)) == 500_000
    unlimited = free_bytes(group(tmp_path, "max", 700_000, 0))
    assert unlimited > 1_000_000
    assert free_bytes(tmp_path / "nowhere") > 1_000_000


def test_what_fits_passes() -> None:
    check_memory(LARGE, is_ready=True, free=LARGE.memory_bytes)
    check_memory(LARGE, is_ready=False, free=6_000_000_000)


def test_the_smaller_model_is_offered_where_it_fits() -> None:
    with pytest.raises(ModelUnavailable, match=r"needs 3\.0 GB of memory to answer, and 2\.5 GB is free.*0\.5b"):
        check_memory(LARGE, is_ready=True, free=2_500_000_000)
    with pytest.raises(ModelUnavailable, match="to be made ready"):
        check_memory(LARGE, is_ready=False, free=4_000_000_000)
    with pytest.raises(ModelUnavailable, match=r"close other programs\.$"):
        check_memory(LARGE, is_ready=True, free=100_000_000)
    with pytest.raises(ModelUnavailable, match=r"close other programs\.$"):
        check_memory(SMALL, is_ready=True, free=-5)


def test_too_little_memory_is_said_and_answered_without_the_model(
    indexed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.memory.free_bytes", lambda: 1_000_000_000)
    assistant = Assistant(indexed)
    try:
        answer = assistant.answer("What does PDS do?")
        assert answer.mode == "extractive"
        assert not answer.refused
        with pytest.raises(ModelUnavailable, match="GB of memory to answer"):
            _ = Assistant(indexed).model
    finally:
        assistant.close()
