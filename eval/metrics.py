"""What is measured. A metric is a ratio of sums over questions; here is what one question adds to each.

METRICS.md defines them with formulas and sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag.answers import copied_share
from rag.papers import Paper
from rag.text import readable

from .data import Question, normal
from .intervals import Share
from .judge import Judge
from .records import AnswerRecord, Said

CITING = frozenset({"assistant", "extractive", "ungated"})
"""The systems that cite; the others have no part in metrics of citation."""
EXTRACTED = 0.9
"""A sentence of which this share is copied in long runs counts as extracted, not as the system's own words."""
ALL_NEEDED = 5
"""Every needed paper should be among the first five, or among as many as are needed if that is more."""


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and read."""

    title: str
    better: Literal["higher", "lower", "neither"] = "higher"


ANSWERS: Mapping[str, Metric] = {
    "correct": Metric("correct"),
    "facts": Metric("key facts said"),
    "right_refusals": Metric("right refusals"),
    "false_answers": Metric("false answers", "lower"),
    "false_refusals": Metric("false refusals", "lower"),
    "faithful": Metric("faithfulness"),
    "faithful_own_words": Metric("faithfulness, own words"),
    "faithful_answers": Metric("faithful answers"),
    "copied": Metric("share copied", "neither"),
    "citation_recall": Metric("citation recall"),
    "citation_precision": Metric("citation precision"),
    "paper_recall": Metric("gold papers cited"),
    "paper_precision": Metric("cited papers that are gold"),
    "evidence_recall": Metric("gold evidence quoted"),
    "failures": Metric("failures", "lower"),
    "timed_out": Metric("time-outs", "lower"),
}
RETRIEVAL: Mapping[str, Metric] = {
    "hit@1": Metric("hit@1"),
    "hit@3": Metric("hit@3"),
    "hit@5": Metric("hit@5"),
    "hit@10": Metric("hit@10"),
    "mrr": Metric("MRR"),
    "ndcg@10": Metric("nDCG@10"),
    "all_needed": Metric("every needed paper in the top five"),
}
CLAIMS: Mapping[str, Metric] = {"claims_right": Metric("claims judged rightly at the assistant's own threshold")}


def answer_shares(
    record: AnswerRecord, question: Question, papers: Mapping[str, Paper], judge: Judge, *, cites: bool
) -> dict[str, Share]:
    """What one answer adds to each metric of :data:`ANSWERS`; a metric that it has no part in is left out.

    A failure or a time-out is a miss: no fact said, no right refusal, no sentence shown.
    """
    failed = is_miss(record)
    shares: dict[str, Share] = {
        "failures": (float(record.error is not None), 1),
        "timed_out": (float(record.timed_out), 1),
    }
    # Metrics of what is shown: a refusal takes part with nothing, so that differences are over the same questions.
    of_shown = ("faithful", "faithful_own_words", "faithful_answers", "copied")
    of_cited = ("citation_recall", "citation_precision") if cites else ()
    shares |= dict.fromkeys((*of_shown, *of_cited), (0.0, 0.0))
    shown = () if failed or record.refused else record.sentences
    answered = not failed and not record.refused
    if question.kind == "unanswerable":
        shares["right_refusals"] = (float(record.refused and not failed), 1)
        shares["false_answers"] = (float(answered), 1)
    else:
        said = sum(facts_said(record, question, papers))
        shares["correct"] = (float(said == len(question.facts)), 1)
        shares["facts"] = (said, len(question.facts))
        shares["false_refusals"] = (float(record.refused and not failed), 1)
    if shown:
        given = record.papers or question.papers
        verdicts = [judged(sentence.text, given, papers, judge) >= judge.threshold for sentence in shown]
        abstracts = [papers[paper_id].abstract for paper_id in given if paper_id in papers]
        own = [v for v, s in zip(verdicts, shown, strict=True) if copied_share(s.text, abstracts) < EXTRACTED]
        shares["faithful"] = (sum(verdicts), len(verdicts))
        shares["faithful_answers"] = (float(all(verdicts)), 1)
        if own:
            shares["faithful_own_words"] = (sum(own), len(own))
        shares["copied"] = (record.copied, 1)
    if cites and shown:
        shares |= _citations(record, papers, judge)
    if cites and question.papers:
        cited, gold = set(cited_papers(record)) if shown else set(), set(question.papers)
        shares["paper_precision"] = (len(cited & gold), len(cited))
        shares["paper_recall"] = (len(cited & gold), len(gold))
        shares["evidence_recall"] = _evidence(shown, question, papers)
    return shares


def search_shares(found: Sequence[str], expected: Sequence[str]) -> dict[str, Share]:
    """What one search adds to each metric of :data:`RETRIEVAL`; nothing where no paper is expected.

    :param found: ids of the papers found, best first.
    :param expected: ids of the papers asked for.
    """
    from llama_index.core.evaluation.retrieval.metrics import MRR, NDCG, HitRate

    if not expected:
        return {}
    expected, found = list(expected), list(found)
    if not found:
        return dict.fromkeys(RETRIEVAL, (0.0, 1.0))
    needed = max(ALL_NEEDED, len(expected))
    shares: dict[str, Share] = {
        f"hit@{k}": (HitRate().compute(expected_ids=expected, retrieved_ids=found[:k]).score, 1) for k in (1, 3, 5, 10)
    }
    shares["mrr"] = (MRR().compute(expected_ids=expected, retrieved_ids=found).score, 1)
    shares["ndcg@10"] = (NDCG().compute(expected_ids=expected, retrieved_ids=found[:10]).score, 1)
    shares["all_needed"] = (float(set(expected) <= set(found[:needed])), 1)
    return shares


def is_miss(record: AnswerRecord) -> bool:
    """Whether there is no answer that counts: it failed, or its draft was cut off by the time limit."""
    return record.error is not None or record.timed_out


def facts_said(record: AnswerRecord, question: Question, papers: Mapping[str, Paper]) -> list[bool]:
    """Which key facts an answer says, in any of their wordings.

    For a list question the titles of cited papers count too: they are the list that a reader sees.
    """
    if is_miss(record) or record.refused:
        return [False] * len(question.facts)
    said = " ".join(sentence.text for sentence in record.sentences)
    if question.kind == "list":
        said = f"{said} {' '.join(papers[id_].title for id_ in cited_papers(record) if id_ in papers)}"
    held = _bare(said)
    return [any(_bare(wording) in held for wording in fact) for fact in question.facts]


def cited_papers(record: AnswerRecord) -> list[str]:
    """Ids of the papers that an answer cites, in order of first use."""
    return list(dict.fromkeys(quote.paper_id for sentence in record.sentences for quote in sentence.quotes))


def judged(sentence: str, paper_ids: Sequence[str], papers: Mapping[str, Paper], judge: Judge) -> float:
    """The judge's best score of a sentence against one of these papers.

    Papers are not joined: a figure of one with the subject of another is the commonest lie.
    """
    return max((judge.score(sentence, text_of(papers[id_])) for id_ in paper_ids if id_ in papers), default=0.0)


def text_of(paper: Paper) -> str:
    """A paper as the judge reads it."""
    return f"{paper.title}. {paper.abstract}"


def _citations(record: AnswerRecord, papers: Mapping[str, Paper], judge: Judge) -> dict[str, Share]:
    """Citation recall and precision as ALCE defines them (Gao et al., EMNLP 2023), with the judge for entailment.

    Recall: sentences that their quotes, taken together, support. Precision: quotes that support their sentence
    alone, or that the others need; none of an unsupported sentence.
    """
    recalled = precise = quoted = 0
    for sentence in record.sentences:
        texts = [f"{papers[q.paper_id].title}. {q.quote}" for q in sentence.quotes if q.paper_id in papers]
        quoted += len(texts)
        if not judge.supported(sentence.text, "\n".join(texts)):
            continue
        recalled += 1
        for i, text in enumerate(texts):
            others = "\n".join(texts[:i] + texts[i + 1 :])
            precise += judge.supported(sentence.text, text) or not judge.supported(sentence.text, others)
    return {"citation_recall": (recalled, len(record.sentences)), "citation_precision": (precise, quoted)}


def _evidence(shown: Sequence[Said], question: Question, papers: Mapping[str, Paper]) -> Share:
    """How many pieces of gold evidence some cited quote overlaps."""
    quoted = [
        (quote.paper_id, *_span(quote.quote, papers[quote.paper_id].abstract))
        for sentence in shown
        for quote in sentence.quotes
        if quote.paper_id in papers
    ]
    found = 0
    for evidence in question.evidence:
        start, end = _span(evidence.quote, papers[evidence.paper_id].abstract)
        found += any(id_ == evidence.paper_id and begin < end and start < stop for id_, begin, stop in quoted)
    return found, len(question.evidence)


def _span(quote: str, abstract: str) -> tuple[int, int]:
    start = abstract.find(quote)
    return (start, start + len(quote)) if start >= 0 else (-1, -1)


def _bare(text: str) -> str:
    """Text as facts are compared: readable, without case, and with one kind of space, hyphen and apostrophe."""
    plain = re.sub(r"[‐-―−]", "-", readable(text)).replace("’", "'").replace(" %", "%")
    return normal(re.sub(r"(?<=\d),(?=\d{3})", "", plain))
