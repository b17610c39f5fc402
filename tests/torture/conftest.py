"""Marks everything here, and notes what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.figures import MEASURED

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before those with the mark are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.torture)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Takes what docs/trust.md is to say: what was done, and what came of it."""
    noted: dict[str, str] = {}
    yield noted
    MEASURED.mkdir(parents=True, exist_ok=True)
    name = request.node.nodeid.replace("/", ".").replace("::", ".")
    (MEASURED / f"{name}.json").write_text(json.dumps(noted, indent=1), encoding="utf-8")
