"""What the papers are about: where each lies on a map of their likeness, and the topics that they fall into."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from rag.papers import Paper
from rag.text import STOP_WORDS, readable

TSNE_MOST = 3000
"""Papers up to which t-SNE places them (in about 15 seconds); more are placed by their two main components."""
MOST_TOPICS = 10
_COMPONENTS = 20
_ROUNDS = 30
# Papers of a topic that are read for its label: all of a small one, an even sample of a large one.
_READ = 200
_LABEL_TERMS = 3
_TERM_WORDS = 3
_LABEL_CHARACTERS = 40
# A term tells a topic apart if its papers hold it at least this many times as often as the others do.
_LIFT = 2.0
# Words of research prose that are about no subject. What is merely common in a corpus is left out by its spread.
_PROSE = frozenset(
    """able achieve achieving additional address advance aim allow allowing analysis approach art available
    baseline benchmark best better build called capability challenge challenging comparable compare conduct
    contribution current demonstrate demonstrating develop different effect effective effectively effectiveness
    efficient enable enabling enhance enhancing et evaluate evaluation existing experiment experimental explore
    exploring extensive fig finding focus framework furthermore general github good high higher http https identify
    impact important improve improvement improving including increase information input introduce investigate issue
    key large larger lead leading learn leverage leveraging long longer low lower main make making method multiple
    need new novel number numerous offer outperform output performance potential present previous prior problem
    propose proposed proposing provide providing range recent recently reduce reducing remain require requiring
    research result reveal score set significant significantly simple single small smaller specific
    state-of-the-art strong study suggest superior support technique term trained type unlike use useful user using
    value various way www yield""".split()
)
_TOKEN = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*|[^\w\s]")
_PIECE = re.compile(r"[^\W_]+")

Vectors = NDArray[np.float32]
Term = tuple[str, ...]


@dataclass(frozen=True)
class Topics:
    """A map of papers, in the order in which they were given."""

    positions: Vectors
    """Where each paper lies, shape (papers, 2), in [0, 1]; papers that are alike lie near each other."""
    topic: tuple[int, ...]
    """The topic of each paper: its place in ``labels``."""
    labels: tuple[str, ...]
    """What each topic is called, by its most distinctive terms; the topic of most papers stands first."""


def topics_of(papers: Sequence[Paper], vectors: Vectors) -> Topics:
    """Place papers on a map and sort them into topics. The same papers give the same map each time.

    Positions are made by t-SNE (van der Maaten and Hinton, 2008), topics by k-means over the main
    components of the vectors; :data:`MOST_TOPICS` at most.

    :param vectors: what each paper says, shape (papers, dimensions); only their directions matter.
    """
    from threadpoolctl import threadpool_limits

    if not papers:
        return Topics(np.zeros((0, 2), dtype=np.float32), (), ())
    # Sums over several threads differ in their last bits from run to run, and t-SNE makes much of that.
    with threadpool_limits(limits=1):
        components = _components(vectors)
        positions = _positions(vectors, components)
        topic = _clusters(components)
    return Topics(positions.astype(np.float32), tuple(topic), _labels(papers, topic))


def _components(vectors: Vectors) -> NDArray[np.float64]:
    """The main components of the vectors' directions, widest first; shape (papers, :data:`_COMPONENTS` at most)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = (vectors / np.maximum(lengths, 1e-9)).astype(np.float64)
    centred = directions - directions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    components: NDArray[np.float64] = centred @ axes[:, : -_COMPONENTS - 1 : -1]
    # Papers that say the same must not be told apart by rounding.
    return components.round(5)


def _positions(vectors: Vectors, components: NDArray[np.float64]) -> NDArray[np.float64]:
    """A place for each paper, shape (papers, 2), in [0, 1]; in the middle along an axis where all are alike."""
    from sklearn.manifold import TSNE

    count, places = len(vectors), components[:, :2]
    if _distinct(components) > 3 and count <= TSNE_MOST:
        start = (places / places[:, 0].std() * 1e-4).astype(np.float32)
        perplexity = min(30.0, (count - 1) / 3)
        tsne = TSNE(metric="cosine", init=start, perplexity=perplexity, max_iter=500, random_state=0)
        places = tsne.fit_transform(vectors).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    places = np.where(high > low, (places - low) / spread, 0.5)
    return _apart(places, 0.3 / count**0.5) if count <= TSNE_MOST else places


def _apart(places: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """The places, those nearer to each other than ``least`` moved apart, as far as some rounds of it do."""
    from scipy.spatial import cKDTree

    for _ in range(_ROUNDS):
        first, second = cKDTree(places).query_pairs(least, output_type="ndarray").T
        if not len(first):
            break
        # What lies on the very same place goes off in a direction of its own.
        own = np.stack([np.cos(first + 2.4 * second), np.sin(first + 2.4 * second)], axis=1) * 1e-6
        gaps = places[second] - places[first]
        gaps = np.where(np.abs(gaps).max(axis=1, keepdims=True) < 1e-6, own, gaps)
        lengths = np.linalg.norm(gaps, axis=1, keepdims=True)
        steps = gaps / lengths * (least - lengths) / 2
        np.subtract.at(places, first, steps)
        np.add.at(places, second, steps)
        places = places.clip(0, 1)
    return places


def _clusters(components: NDArray[np.float64]) -> list[int]:
    """The topic of each paper, largest topic first."""
    from sklearn.cluster import KMeans

    count = len(components)
    wished = min(MOST_TOPICS, round(0.6 * count**0.5), _distinct(components))
    found = KMeans(wished, n_init=10, random_state=0).fit_predict(components).tolist()
    rank = {cluster: place for place, (cluster, _) in enumerate(Counter(found).most_common())}
    return [rank[cluster] for cluster in found]


def _distinct(components: NDArray[np.float64]) -> int:
    return len(np.unique(components, axis=0))


def _labels(papers: Sequence[Paper], topic: Sequence[int]) -> tuple[str, ...]:
    """What to call each topic: its best terms by class-based TF-IDF (c-TF-IDF; Grootendorst, BERTopic, 2022).

    A term's count in the topic's titles and abstracts is weighed by how rare it is in all of them, and
    by the share of the topic's papers that hold it; terms that the other topics hold nearly as often are left out.
    """
    spellings: defaultdict[Term, Counter[str]] = defaultdict(Counter)
    sizes = []
    counts = [Counter[Term]() for _ in set(topic)]
    holders = [Counter[Term]() for _ in counts]
    for place in range(len(counts)):
        own = [paper for paper, other in zip(papers, topic, strict=True) if other == place]
        read = own[:: -(-len(own) // _READ)]
        sizes.append(len(read))
        for paper in read:
            held = list(_terms(f"{paper.title}. {paper.abstract}"))
            for term, spelling in held:
                spellings[term][spelling] += 1
            counts[place].update(term for term, _ in held)
            holders[place].update({term for term, _ in held})
    total, held_by = sum(counts, Counter()), sum(holders, Counter())
    average = sum(total.values()) / len(counts)
    labels = []
    for place, (size, inside) in enumerate(zip(sizes, holders, strict=True)):
        outside = max(sum(sizes) - size, 1)
        scores = {
            term: counts[place][term] * log(1 + average / total[term]) * (inside[term] / size) ** 0.5
            for term in inside
            if inside[term] >= min(size, max(2, size / 10))
            and inside[term] / size >= _LIFT * (held_by[term] - inside[term]) / outside
        }
        labels.append(_label(scores, inside, {term: spellings[term].most_common(1)[0][0] for term in scores}))
    return tuple(labels)


def _label(scores: dict[Term, float], holders: Counter[Term], spellings: dict[Term, str]) -> str:
    """The best terms that are no variants of each other, or a stand-in where there is none."""
    chosen: list[str] = []
    for term in sorted(scores, key=lambda term: (-scores[term], term)):
        spelling = spellings[_fuller(term, scores, holders)]
        if any(_alike(spelling, other) for other in chosen):
            continue
        if len(", ".join([*chosen, spelling])) <= _LABEL_CHARACTERS or not chosen:
            chosen.append(spelling)
        if len(chosen) == _LABEL_TERMS:
            break
    return ", ".join(chosen) or "other papers"


def _fuller(term: Term, scores: dict[Term, float], holders: Counter[Term]) -> Term:
    """The longer term that most papers with this one hold, if there is such a one: it says more."""
    longer = [
        other
        for other in scores
        if len(other) == len(term) + 1 and term in (other[1:], other[:-1]) and holders[other] >= holders[term] / 2
    ]
    return _fuller(max(longer, key=lambda other: (scores[other], other)), scores, holders) if longer else term


def _terms(text: str) -> Iterator[tuple[Term, str]]:
    """The terms of a text: up to three neighbouring words without stop words; each folded, and as it is written."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    run: list[tuple[str, str]] = []
    for token in _TOKEN.findall(readable(text)):
        word = token.casefold().replace("’", "'").removesuffix("'s")
        folded = _singular(word.replace("-", ""))
        told = {word, folded}
        if len(word) < 2 or not word[0].isalpha() or told & STOP_WORDS or told & ENGLISH_STOP_WORDS or told & _PROSE:
            run = []
            continue
        # A name keeps its capitals; a word may have one because it begins a sentence.
        named = any(letter.isupper() for letter in token[1:]) and "-" not in token
        run = [*run[1 - _TERM_WORDS :], (folded, token if named else word)]
        for start in range(len(run)):
            yield tuple(fold for fold, _ in run[start:]), " ".join(spelling for _, spelling in run[start:])


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _alike(term: str, other: str) -> bool:
    """Whether two terms share a word or its stem, or one is short for the other."""
    first, second = ([_singular(piece) for piece in _PIECE.findall(term.casefold())] for term in (term, other))
    initials = "".join(piece[0] for piece in first), "".join(piece[0] for piece in second)
    return (
        "".join(first) == initials[1]
        or "".join(second) == initials[0]
        or any(_one_stem(word, like) for word in first for like in second)
    )


def _one_stem(word: str, other: str) -> bool:
    shared = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    return word == other or (shared >= 4 and shared >= 0.6 * min(len(word), len(other)))
