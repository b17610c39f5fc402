import numpy as np
import pytest

from eval.data import Query, load_queries, query_problems, seed_papers
from eval.retrieval import OURS, REREAD, Benchmark, Case, as_markdown, benchmark, cases
from rag.assistant import Assistant
from rag.errors import UsageError
from rag.memory_index import MemoryIndex
from rag.settings import Settings


@pytest.fixture(scope="module")
def queries() -> list[Query]:
    return load_queries()


def test_the_queries_are_sound_many_and_mixed(queries: list[Query]) -> None:
    assert list(query_problems(queries, seed_papers())) == []
    assert sum(bool(query.papers) for query in queries) >= 150
    kinds = {query.kind for query in queries}
    assert kinds >= {"name", "paraphrase", "typo", "language", "compare", "list", "metadata"}
    for kind in kinds:
        assert {query.split for query in queries if query.kind == kind} == {"dev", "test"}


@pytest.mark.parametrize(
    "change",
    [{"papers": ("nothing",)}, {"papers": ()}, {"kind": "off-topic"}, {"kind": "list"}],
)
def test_an_unsound_query_is_found(change: dict[str, object], queries: list[Query]) -> None:
    one = next(query for query in queries if query.kind == "name" and len(query.papers) == 1)
    broken = Query.model_validate(one.model_dump() | change)
    assert len(list(query_problems([broken], seed_papers()))) == 1
    assert len(list(query_problems([one, one], seed_papers()))) == 2


@pytest.fixture(scope="module")
def some() -> list[Case]:
    """A few of the development part, of kinds that the variants differ on, and some that nothing answers."""
    dev = [case for case in cases() if case.split == "dev"]
    chosen = [case for kind in ("name", "typo", "compare", "paraphrase") for case in dev if case.kind == kind]
    return chosen[::6] + [case for case in dev if case.kind == "off-topic"][:6]


@pytest.fixture(scope="module")
def measured(extractive: Assistant, some: list[Case]) -> Benchmark:
    (part,) = benchmark(extractive, some)
    return part


def hit(part: Benchmark, name: str) -> float:
    return part.variants[name].metrics["hit@1"].value or 0.0


def test_fusion_beats_what_it_is_made_of(measured: Benchmark) -> None:
    for name in ("dense, whole abstracts", "BM25 over words", "names", "reciprocal rank fusion of these"):
        assert hit(measured, OURS) > hit(measured, name)
        assert (measured.variants[name].against_ours.value or 0) < 0
    assert measured.variants[OURS].against_ours.value == 0


def test_each_variant_has_every_metric_and_ours_its_time(measured: Benchmark) -> None:
    assert len(measured.variants) >= 15
    for row in measured.variants.values():
        assert set(row.metrics) >= {"hit@1", "hit@5", "hit@10", "mrr", "ndcg@10", "all_needed"}
        assert set(row.by_kind) == {"name", "typo", "compare", "paraphrase"}
    assert measured.variants[OURS].milliseconds.value
    assert measured.variants["fused without names"].milliseconds.value is None
    assert (measured.off_topic.value or 0) > 0.6
    assert REREAD not in measured.variants


def test_the_same_queries_give_the_same_table(extractive: Assistant, some: list[Case], measured: Benchmark) -> None:
    (again,) = benchmark(extractive, some)
    for name, row in measured.variants.items():
        assert again.variants[name].metrics == row.metrics


def test_the_table_names_each_variant_and_part(measured: Benchmark) -> None:
    table = as_markdown([measured])
    assert f"## dev: {measured.variants[OURS].metrics['hit@1'].n} queries" in table
    assert all(f"| {name} |" in table for name in measured.variants)


def test_weights_taken_away_change_what_is_found(measured: Benchmark) -> None:
    rows = [measured.variants[f"fused without {name}"] for name in ("dense", "tokens", "lexical", "names")]
    mrr = np.array([row.metrics["mrr"].value for row in rows])
    assert len(set(mrr.tolist())) > 1


def test_without_vectors_there_is_nothing_to_measure(indexed: Settings, extractive: Assistant) -> None:
    assistant = Assistant(indexed)
    assistant.__dict__["index"] = MemoryIndex(extractive.papers[:3], 600)
    with pytest.raises(UsageError, match="type `rag ingest`"):
        benchmark(assistant, cases()[:2])
