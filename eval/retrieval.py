"""The retrieval benchmark: every way of searching that was considered, side by side on the same queries.

The queries are those of ``queries.jsonl`` and the answerable gold questions. Weights and thresholds were tuned on
their development part; the test part is only reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import bm25s
import numpy as np
from pydantic import BaseModel, ConfigDict

from rag.assistant import Assistant
from rag.embedding import Embedder, Vectors
from rag.errors import UsageError
from rag.index import PaperIndex
from rag.progress import Progress, silent
from rag.signals import WEIGHTS, Comparer, Scores, Weights
from rag.text import STOP_WORDS, sentence_spans, words

from .data import load_queries, load_questions
from .intervals import Estimate, Share, auroc, difference, quantile, ratio
from .metrics import RETRIEVAL, search_shares

OURS, REREAD = "fused (ours)", "fused, reread where unsure"
_LISTED = 10
_K = 60  # of reciprocal rank fusion, as Cormack, Clarke and Büttcher (SIGIR 2009) set it
_FEEDBACK_PAPERS, _FEEDBACK = 3, 0.3


@dataclass(frozen=True)
class Case:
    """One thing to search for, and the papers that it asks for; none if the corpus has nothing about it."""

    id: str
    split: str
    kind: str
    text: str
    papers: tuple[str, ...]


class Searched(BaseModel):
    """What one variant found for one case."""

    model_config = ConfigDict(frozen=True)

    papers: tuple[str, ...]
    milliseconds: float | None = None


class VariantScores(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(frozen=True)

    metrics: dict[str, Estimate]
    against_ours: Estimate
    """hit@1 less that of the fused search, in pairs."""
    by_kind: dict[str, dict[str, Estimate]]
    milliseconds: Estimate
    """Median; None where a variant only weighs anew what another one measured."""
    slowest: Estimate
    """95th percentile."""


class Benchmark(BaseModel):
    """All rows of one part, and how well confidence tells what the corpus is about."""

    model_config = ConfigDict(frozen=True)

    split: str
    variants: dict[str, VariantScores]
    off_topic: Estimate
    """AUROC of confidence, answerable against off-topic."""
    unanswerable: Estimate
    """The same against questions that sit close to the corpus."""


def cases() -> list[Case]:
    """All queries and gold questions."""
    asked = [Case(q.id, q.split, q.kind, q.question, q.papers) for q in load_questions()]
    return asked + [Case(q.id, q.split, q.kind, q.query, q.papers) for q in load_queries()]


def benchmark(
    assistant: Assistant, chosen: Sequence[Case], *, reread: bool = False, progress: Progress = silent
) -> list[Benchmark]:
    """Search for every case in every way.

    :param reread: whether the language model's second look is measured too; that takes seconds a query.
    :raises UsageError: if there is no index with vectors to search.
    """
    if reread and not assistant.can_reread:
        raise UsageError("The second look needs the language model: type `rag models pull`, or leave --reread out.")
    variants = Variants(assistant)
    found: dict[str, dict[str, Searched]] = {}
    confidences: dict[str, float] = {}
    variants.search(chosen[0])  # what is read once is not a query's time
    for done, case in enumerate(chosen):
        progress(f"{len(chosen)} queries", done, len(chosen))
        found[case.id], confidences[case.id] = variants.search(case)
        if reread:
            found[case.id][REREAD] = _searched_closely(assistant, case)
    progress(f"{len(chosen)} queries", len(chosen), len(chosen))
    return [
        _scored(split, [case for case in chosen if case.split == split], found, confidences)
        for split in ("dev", "test")
        if any(case.split == split for case in chosen)
    ]


def _searched_closely(assistant: Assistant, case: Case) -> Searched:
    begun = time.perf_counter()
    result = assistant.search(case.text, _LISTED)
    took = 1000 * (time.perf_counter() - begun)
    return Searched(papers=tuple(dict.fromkeys(p.paper_id for p in result.passages)), milliseconds=took)


class Variants:
    """The ways of searching one index."""

    def __init__(self, assistant: Assistant):
        index, embedder = assistant.index, assistant.embedder
        if embedder is None or not isinstance(index, PaperIndex):
            raise UsageError("The retrieval benchmark needs the index and its embedder: type `rag ingest`.")
        self._index, self._embedder = index, embedder
        self._papers = list(index.papers.values())
        self._comparer = Comparer(index, embedder, assistant.settings.retrieval.candidates)
        self._retriever = assistant.retriever

    def search(self, case: Case) -> tuple[dict[str, Searched], float]:
        """What each variant finds, and the confidence of ours."""
        begun = time.perf_counter()
        result = self._retriever.search(case.text, _LISTED)
        ours = Searched(
            papers=tuple(paper.paper_id for paper in result.papers), milliseconds=1000 * (time.perf_counter() - begun)
        )
        signals = self._comparer.signals(case.text, np.ones(len(self._papers), dtype=bool))
        made: dict[str, Callable[[], Scores]] = {
            "dense, whole abstracts": lambda: self._whole @ self._embedded([case.text])[0],
            "BM25 over words": lambda: self._bm25(case.text),
        }
        timed = {name: self._timed(rank) for name, rank in made.items()}
        dense, lexical = (scores for scores, _ in timed.values())
        derived = {
            "reciprocal rank fusion of these": _rrf(dense, lexical),
            "dense, passages under their title": signals.dense,
            "dense, sentences": self._sentences(case.text),
            "dense, passages, with feedback": self._fed_back(case.text, signals.dense),
            "BM25 over letters": signals.lexical,
            "late interaction": signals.tokens,
            "names": signals.names,
            "reciprocal rank fusion of our signals": _rrf(
                signals.dense, signals.tokens, signals.lexical, signals.names
            ),
            **{
                f"fused without {name}": signals.fused(_without(name))
                for name in ("dense", "tokens", "lexical", "names", "record")
            },
        }
        found = {name: Searched(papers=self._best(s), milliseconds=ms) for name, (s, ms) in timed.items()}
        found |= {name: Searched(papers=self._best(scores)) for name, scores in derived.items()}
        return found | {OURS: ours}, result.confidence

    def _best(self, scores: Scores) -> tuple[str, ...]:
        return tuple(self._papers[i].paper_id for i in np.argsort(-scores, kind="stable")[:_LISTED])

    @staticmethod
    def _timed(rank: Callable[[], Scores]) -> tuple[Scores, float]:
        begun = time.perf_counter()
        scores = rank()
        return scores, 1000 * (time.perf_counter() - begun)

    @cached_property
    def _whole(self) -> Scores:
        texts = [f"{paper.title}\n{paper.abstract}" for paper in self._papers]
        return self._embedded(texts, self._embedder.in_bulk()).astype(np.float64)

    def _embedded(self, texts: Sequence[str], embedder: Embedder | None = None) -> Vectors:
        """The vectors of texts as the index has them of its passages."""
        return (embedder or self._embedder).with_tokens(texts)[0]

    @cached_property
    def _words(self) -> bm25s.BM25:
        bm25 = bm25s.BM25(k1=1.2, b=0.75)
        bm25.index([_terms(f"{paper.title} {paper.abstract}") for paper in self._papers], show_progress=False)
        return bm25

    def _bm25(self, text: str) -> Scores:
        known = [term for term in _terms(text) if term in self._words.vocab_dict]
        return self._words.get_scores(known).astype(np.float64) if known else np.zeros(len(self._papers))

    @cached_property
    def _cut(self) -> tuple[Scores, list[int]]:
        cut = [(i, p.abstract[s:e]) for i, p in enumerate(self._papers) for s, e in sentence_spans(p.abstract)]
        vectors = self._embedded([text for _, text in cut], self._embedder.in_bulk())
        return vectors.astype(np.float64), [i for i, _ in cut]

    def _sentences(self, text: str) -> Scores:
        vectors, owners = self._cut
        best = np.full(len(self._papers), -1.0)
        np.maximum.at(best, owners, vectors @ self._embedded([text])[0])
        return best

    def _fed_back(self, text: str, dense: Scores) -> Scores:
        """Rocchio's feedback: the question moved towards the best papers, then searched again."""
        best = np.argsort(-dense, kind="stable")[:_FEEDBACK_PAPERS]
        moved = self._embedded([text])[0] + _FEEDBACK * self._whole[best].mean(axis=0)
        again = np.full(len(self._papers), -1.0)
        np.maximum.at(again, self._owners, self._index.vectors @ moved)
        return again

    @cached_property
    def _owners(self) -> list[int]:
        place = {paper.paper_id: i for i, paper in enumerate(self._papers)}
        return [place[passage.paper_id] for passage in self._index.passages]


def _terms(text: str) -> list[str]:
    return [word for word in words(text) if word not in STOP_WORDS]


def _without(name: str) -> Weights:
    return Weights(**{**vars(WEIGHTS), name: 0.0})


def _rrf(*signals: Scores) -> Scores:
    total = np.zeros(len(signals[0]))
    for scores in signals:
        ranks = np.empty(len(scores))
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
        total += np.where(scores > scores.min(), 1 / (_K + ranks), 0.0)
    return total


def _scored(
    split: str,
    chosen: Sequence[Case],
    found: Mapping[str, Mapping[str, Searched]],
    confidences: Mapping[str, float],
) -> Benchmark:
    answerable = [case for case in chosen if case.papers]
    shares = {
        name: {case.id: search_shares(found[case.id][name].papers, case.papers) for case in answerable}
        for name in found[chosen[0].id]
    }
    return Benchmark(
        split=split,
        variants={name: _row(answerable, shares[name], shares[OURS], name, found) for name in shares},
        off_topic=_told_apart(answerable, [case for case in chosen if case.kind == "off-topic"], confidences),
        unanswerable=_told_apart(answerable, [case for case in chosen if case.kind == "unanswerable"], confidences),
    )


def _row(
    chosen: Sequence[Case],
    shares: Mapping[str, Mapping[str, Share]],
    ours: Mapping[str, Mapping[str, Share]],
    name: str,
    found: Mapping[str, Mapping[str, Searched]],
) -> VariantScores:
    def estimate(metric: str, cases_: Sequence[Case]) -> Estimate:
        return ratio({case.id: shares[case.id][metric] for case in cases_})

    times = [ms for case in chosen if (ms := found[case.id][name].milliseconds) is not None]
    kinds = sorted({case.kind for case in chosen})
    return VariantScores(
        metrics={metric: estimate(metric, chosen) for metric in RETRIEVAL},
        against_ours=difference(
            {id_: s["hit@1"] for id_, s in shares.items()}, {id_: s["hit@1"] for id_, s in ours.items()}
        ),
        by_kind={
            kind: {metric: estimate(metric, [c for c in chosen if c.kind == kind]) for metric in RETRIEVAL}
            for kind in kinds
        },
        milliseconds=quantile(times, 0.5),
        slowest=quantile(times, 0.95),
    )


def _told_apart(about: Sequence[Case], other: Sequence[Case], confidences: Mapping[str, float]) -> Estimate:
    both = [*about, *other]
    return auroc([confidences[case.id] for case in both], [case in set(about) for case in both])


def as_markdown(parts: Sequence[Benchmark]) -> str:
    """The table of each part, and ours by kind."""
    from .report import shown

    columns = ("hit@1", "hit@3", "hit@5", "hit@10", "mrr", "ndcg@10", "all_needed")
    lines: list[str] = []
    for part in parts:
        count = part.variants[OURS].metrics["hit@1"].n
        lines += [f"## {part.split}: {count} queries", "", "| | " + " | ".join(columns) + " | ms |"]
        lines.append("|---" * (len(columns) + 2) + "|")
        for name, row in part.variants.items():
            cells = [shown(row.metrics[column]) for column in columns]
            ms = "" if row.milliseconds.value is None else f"{row.milliseconds.value:.0f} (p95 {row.slowest.value:.0f})"
            lines.append(f"| {name} | {' | '.join(cells)} | {ms} |")
        last = REREAD if REREAD in part.variants else OURS
        lines += ["", f"{last}, by kind: hit@1, hit@5, every needed paper in the top five", ""]
        lines += [
            f"- {kind} ({row['hit@1'].n}): {row['hit@1'].value:.2f}, {row['hit@5'].value:.2f}, "
            f"{row['all_needed'].value:.2f}"
            for kind, row in part.variants[last].by_kind.items()
        ]
        lines += [
            "",
            f"Confidence tells them from off-topic queries with an AUROC of {shown(part.off_topic)}, and from "
            f"unanswerable questions close to the corpus with {shown(part.unanswerable)}.",
            "",
        ]
    return "\n".join(lines)
