"""Records to scores, without any model: rescoring an old run takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rag.errors import UsageError
from rag.papers import Paper

from .data import HERE, Claim, Label, Question, load_claims, load_labels, load_questions, seed_papers
from .intervals import Estimate, Share, Shares, auroc, balanced_accuracy, best_threshold, difference, quantile, ratio
from .judge import Judge
from .manifest import FILE, Manifest, file_sha256
from .metrics import ANSWERS, CITING, RETRIEVAL, answer_shares, cited_papers, facts_said, judged, search_shares
from .records import AnswerRecord, ClaimRecord, SearchRecord, read_records, write_whole
from .scores import CheckScores, Disagreement, Miss, Scores, SystemScores

SCORES = "scores.json"
OURS = "assistant"
GROUPS = ("all", "dev", "test")


def score(folder: Path) -> Scores:
    """Score the run in a folder and keep the result beside it.

    :raises UsageError: if there is no run.
    """
    manifest = Manifest.read(folder)
    scorer = _Scorer(folder)
    changed = (manifest.gold_sha256, manifest.claims_sha256) != tuple(
        file_sha256(HERE / name) for name in ("gold.jsonl", "claims.jsonl")
    )
    scores = scorer.scores(manifest, changed)
    write_whole(folder / SCORES, scores.model_dump_json(indent=1) + "\n")
    return scores


class _Scorer:
    def __init__(self, folder: Path):
        self._folder = folder
        self._papers = seed_papers()
        self._questions = {question.id: question for question in load_questions()}
        self._claims = {claim.id: claim for claim in load_claims()}
        self._labels = load_labels()
        self._judge = fitted_judge(self._papers, self._labels)

    def scores(self, manifest: Manifest, changed: bool) -> Scores:
        searches = self._read("search", SearchRecord, self._questions)
        answers = {name: self._read(name, AnswerRecord, self._questions) for name in manifest.systems}
        answers = {name: records for name, records in answers.items() if records}
        claims = self._read("claims", ClaimRecord, self._claims)
        if not searches:
            raise UsageError(f"The run in {self._folder} holds no records yet: go on with `rag eval run`.")
        least = manifest.settings["grounding"]["min_support"]
        right = {
            id_: (float((r.support >= least) == self._claims[id_].supported and r.error is None), 1.0)
            for id_, r in claims.items()
        }
        found = _by_metric({id_: search_shares(r.papers, self._questions[id_].papers) for id_, r in searches.items()})
        shares = {name: self._shares(name, records) for name, records in answers.items()}
        ours = shares.get(OURS, {})
        return Scores(
            manifest=manifest,
            gold_changed=changed,
            retrieval=self._grouped(found, RETRIEVAL),
            confidence=auroc(
                [r.confidence for r in searches.values()], [bool(self._questions[id_].papers) for id_ in searches]
            ),
            systems={name: self._system(records, shares[name]) for name, records in answers.items()},
            differences={
                name: {m: difference(ours[m], theirs[m]) for m in ANSWERS if m in ours and m in theirs}
                for name, theirs in shares.items()
                if name != OURS and ours
            },
            claims=self._claim_scores(claims) if claims else {},
            claims_right=ratio(right),
            labels=self._label_scores(),
            disagreements=self._disagreements(answers.get(OURS, {})),
            sentences_compared=sum(len(record.sentences) for record in answers.get(OURS, {}).values()),
            misses=tuple(self._misses(answers.get(OURS, {}))),
            shares={**found, **ours, "claims_right": right},
        )

    def _read(self, name: str, kind: Any, known: Mapping[str, Any]) -> dict[str, Any]:
        return {r.id: r for r in read_records(self._folder / f"{name}.jsonl", kind) if r.id in known}

    def _shares(self, name: str, records: Mapping[str, AnswerRecord]) -> dict[str, dict[str, Share]]:
        return _by_metric(
            {
                id_: answer_shares(r, self._questions[id_], self._papers, self._judge, cites=name in CITING)
                for id_, r in records.items()
            }
        )

    def _grouped(self, shares: Mapping[str, Shares], metrics: Iterable[str]) -> dict[str, dict[str, Estimate]]:
        """Each metric over all, dev and test, and each kind."""
        return {
            metric: {group: estimate for group, part in self._groups(shares[metric]) if (estimate := ratio(part)).n}
            for metric in metrics
            if metric in shares
        }

    def _groups(self, shares: Shares) -> Iterable[tuple[str, Shares]]:
        yield "all", shares
        for split in ("dev", "test"):
            yield split, {id_: share for id_, share in shares.items() if self._questions[id_].split == split}
        for kind in sorted({question.kind for question in self._questions.values()}):
            yield kind, {id_: share for id_, share in shares.items() if self._questions[id_].kind == kind}

    def _system(self, records: Mapping[str, AnswerRecord], shares: Mapping[str, Shares]) -> SystemScores:
        answered = [record for record in records.values() if record.error is None]
        first = [record.seconds.first_token for record in answered if record.seconds.first_token is not None]
        total = [record.seconds.total for record in answered]
        peaks = [record.peak_bytes for record in answered if record.peak_bytes]
        curve = self._risk_coverage(records, shares)
        return SystemScores(
            asked=len(records),
            failures=len(records) - len(answered),
            timed_out=sum(record.timed_out for record in answered),
            metrics=self._grouped(shares, ANSWERS),
            seconds={
                "p50": quantile(total, 0.5),
                "p95": quantile(total, 0.95),
                "first_token_p50": quantile(first, 0.5),
            },
            peak_gb=round(max(peaks) / 1e9, 2) if peaks else None,
            risk_coverage=curve,
            selective_risk=round(sum(risk for _, risk in curve) / len(curve), 4) if curve else None,
        )

    def _risk_coverage(
        self, records: Mapping[str, AnswerRecord], shares: Mapping[str, Shares]
    ) -> tuple[tuple[float, float], ...]:
        """Answers by falling support of their weakest sentence; wrong: a fact is missing, or nothing could be right."""
        checked = {
            id_: min((said.support for said in r.sentences if said.support is not None), default=-1.0)
            for id_, r in records.items()
            if not r.refused and r.error is None
        }
        if len(set(checked.values())) < 3:
            return ()  # all trusted alike, or not at all: there is no order to show them in
        points, wrong = [], 0.0
        for place, id_ in enumerate(sorted(checked, key=lambda id_: (-checked[id_], id_)), start=1):
            wrong += 1 - shares["correct"].get(id_, (0.0, 1))[0]
            points.append((round(place / len(records), 4), round(wrong / place, 4)))
        return tuple(points)

    def _claim_scores(self, records: Mapping[str, ClaimRecord]) -> dict[str, CheckScores]:
        claims = [self._claims[id_] for id_ in records]
        scores = [judged(c.claim, [c.paper_id], self._papers, self._judge) for c in claims]
        return {
            # A check that failed is as wrong as it can be.
            "support": _check(
                [float(not c.supported) if (r := records[c.id]).error else r.support for c in claims],
                claims,
                lambda c: c.kind,
            ),
            "judge": _check(scores, claims, lambda c: c.kind, self._judge.threshold),
        }

    def _label_scores(self) -> dict[str, CheckScores]:
        if not self._labels:
            return {}
        checked = [label for label in self._labels if label.support is not None]
        scores = [judged(s.text, s.paper_ids, self._papers, self._judge) for s in self._labels]
        return {
            "support": _check([s.support or 0.0 for s in checked], checked, _shown_and_true),
            "judge": _check(scores, self._labels, _shown_and_true, self._judge.threshold),
        }

    def _disagreements(self, records: Mapping[str, AnswerRecord]) -> tuple[Disagreement, ...]:
        found = []
        for id_, record in records.items():
            for said in record.sentences:
                second = judged(said.text, [quote.paper_id for quote in said.quotes], self._papers, self._judge)
                if said.support is not None and second < self._judge.threshold:
                    quotes = tuple(quote.quote for quote in said.quotes)
                    pair = {"support": said.support, "judged": second}
                    found.append(Disagreement(question_id=id_, text=said.text, quotes=quotes, **pair))
        return tuple(sorted(found, key=lambda d: d.judged))

    def _misses(self, records: Mapping[str, AnswerRecord]) -> Iterable[Miss]:
        for id_, record in records.items():
            question = self._questions[id_]
            wrong = self._wrong(record, question)
            if not wrong:
                continue
            facts = "; ".join(fact[0] for fact in question.facts)
            yield Miss(
                question_id=id_,
                kind=question.kind,
                split=question.split,
                question=question.question,
                answer=record.error.message if record.error else record.answer,
                refused=record.refused,
                quotes=tuple(
                    (self._papers[quote.paper_id].title if quote.paper_id in self._papers else "", quote.quote)
                    for sentence in record.sentences
                    for quote in sentence.quotes
                ),
                expected=facts or f"a refusal ({question.searched})",
                wrong=wrong,
            )

    def _wrong(self, record: AnswerRecord, question: Question) -> str:
        if record.error:
            return f"failed: {record.error.code}"
        if question.kind == "unanswerable":
            return "" if record.refused else "answered, though the abstracts don't say"
        if record.refused:
            return f"refused ({record.refusal_reason})"
        missing = [
            fact[0]
            for fact, said in zip(question.facts, facts_said(record, question, self._papers), strict=True)
            if not said
        ]
        if not missing:
            return ""
        elsewhere = "" if set(cited_papers(record)) & set(question.papers) else ", and no gold paper is cited"
        return f"not said: {'; '.join(missing)}{elsewhere}"


def fitted_judge(papers: Mapping[str, Paper], labels: Sequence[Label]) -> Judge:
    """The judge, with the threshold that fits the development part of the labelled sentences best."""
    judge = Judge.of([paper.abstract for paper in papers.values()])
    dev = [label for label in labels if label.split == "dev"]
    scores = [judged(label.text, label.paper_ids, papers, judge) for label in dev]
    return Judge(judge.rarity, best_threshold(scores, [label.supported for label in dev]))


def _shown_and_true(label: Label) -> str:
    """What a labelled sentence is: the two ways to be wrong are counted apart."""
    return f"{'shown' if label.system == OURS else 'dropped'}, {'true' if label.supported else 'false'}"


def _by_metric(by_question: Mapping[str, Mapping[str, Share]]) -> dict[str, dict[str, Share]]:
    table: dict[str, dict[str, Share]] = {}
    for id_, shares in by_question.items():
        for metric, share in shares.items():
            table.setdefault(metric, {})[id_] = share
    return table


S = TypeVar("S", Claim, Label)


def _check(
    scores: Sequence[float], rows: Sequence[S], kind: Callable[[S], str], threshold: float | None = None
) -> CheckScores:
    """Quality of a score. The threshold comes from the dev part unless it is given; the test part reports it."""
    parts = {
        group: [(s, row) for s, row in zip(scores, rows, strict=True) if group in ("all", row.split)]
        for group in GROUPS
    }
    if threshold is None:
        threshold = best_threshold([s for s, _ in parts["dev"]], [row.supported for _, row in parts["dev"]])
    right = {row.id: (kind(row), float((s >= threshold) == row.supported)) for s, row in zip(scores, rows, strict=True)}
    return CheckScores(
        threshold=threshold,
        auroc={g: auroc([s for s, _ in part], [row.supported for _, row in part]) for g, part in parts.items()},
        balanced_accuracy={
            g: balanced_accuracy([s >= threshold for s, _ in part], [row.supported for _, row in part])
            for g, part in parts.items()
        },
        by_kind={
            name: ratio({id_: (value, 1.0) for id_, (k, value) in right.items() if k == name})
            for name in sorted({k for k, _ in right.values()})
        },
        calibration=_bins(scores, [row.supported for row in rows]),
    )


def _bins(scores: Sequence[float], labels: Sequence[bool], count: int = 8) -> tuple[tuple[float, float, int], ...]:
    """Equally filled bins from the lowest score to the highest."""
    import numpy as np

    if not len(scores):
        return ()
    order = np.argsort(np.array(scores), kind="stable")
    bins = [part for part in np.array_split(order, min(count, len(order))) if len(part)]
    s, y = np.array(scores, dtype=float), np.array(labels, dtype=float)
    return tuple((round(float(s[b].mean()), 4), round(float(y[b].mean()), 4), len(b)) for b in bins)


def latest_run(runs: Path, chosen: str) -> Path:
    """The run of this set ("full" or "quick") that was begun last.

    :raises UsageError: if there is none.
    """
    found = []
    for path in runs.glob(f"{chosen}-*/{FILE}"):
        try:
            found.append((Manifest.read(path.parent).begun, path.parent))
        except UsageError:
            continue
    if not found:
        quick = " --quick" if chosen == "quick" else ""
        raise UsageError(f"There is no {chosen} run in {runs}: make one with `rag eval run{quick}`.")
    return max(found)[1]
