"""The real model: two runs of the same manifest give the same answers."""

from dataclasses import replace
from pathlib import Path

import pytest

from eval.manifest import Manifest
from eval.records import AnswerRecord, ClaimRecord, read_records
from eval.run import Plan, run
from rag.assistant import Assistant

pytestmark = pytest.mark.llm


def test_two_runs_of_one_manifest_give_the_same_answers(generating: Assistant, tmp_path: Path) -> None:
    plan = Plan.of("quick", ["assistant", "no-papers"])
    plan = replace(plan, questions=plan.questions[:1], claims=plan.claims[:3], sampled=1)
    first, second = (run(generating, plan, tmp_path / name) for name in ("first", "second"))
    assert Manifest.read(first).differences(Manifest.read(second)) == []
    for name in ("assistant", "no-papers"):
        one, other = (
            [r.model_dump(exclude={"seconds", "peak_bytes"}) for r in read_records(f / f"{name}.jsonl", AnswerRecord)]
            for f in (first, second)
        )
        assert one == other
        assert [(bool(record["answer"]), record["error"]) for record in one] == [(True, None)]
    claims = [[(r.id, r.support) for r in read_records(f / "claims.jsonl", ClaimRecord)] for f in (first, second)]
    assert claims[0] == claims[1]
    assert all(0 <= support <= 1 for _, support in claims[0])
