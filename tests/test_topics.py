import warnings
from collections import Counter

import numpy as np
import pytest

from rag import topics
from rag.papers import Paper
from rag.topics import MOST_TOPICS, Topics, topics_of

GROUPS = {
    "Steam kettles boil water in laboratories. A steam kettle whistles; we show it.": 10,
    "Glass marbles roll. Sorting glass marbles by colour is what ZorbNet does.": 8,
    "Quiet violins: a violin plays a slow waltz, and violins rest.": 7,
}


def paper(text, number=0):
    return Paper(paper_id=f"{number:016x}", title=text.split(".")[0], title_source="page", abstract=text)


def clustered(sizes, spread=0.03, seed=0):
    """Unit-ish vectors around one random direction for each group."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), 384))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return (np.repeat(centres, sizes, axis=0) + rng.normal(size=(sum(sizes), 384)) * spread / 10).astype(np.float32)


@pytest.fixture(scope="module")
def grouped() -> tuple[list[str], Topics]:
    texts = [text for text, size in GROUPS.items() for _ in range(size)]
    return texts, topics_of([paper(text, i) for i, text in enumerate(texts)], clustered(list(GROUPS.values())))


def label(*texts):
    """The label of the one topic of these texts."""
    vectors = np.ones((len(texts), 384), dtype=np.float32)
    (found,) = topics_of([paper(text, i) for i, text in enumerate(texts)], vectors).labels
    return found


def test_papers_of_one_kind_share_a_topic_and_the_largest_stands_first(grouped):
    texts, found = grouped
    assert len(set(zip(texts, found.topic, strict=True))) == len(GROUPS) == len(found.labels)
    assert [count for _, count in sorted(Counter(found.topic).items())] == [10, 8, 7]


def test_each_paper_lies_nearest_to_one_of_its_kind(grouped):
    texts, found = grouped
    gaps = np.linalg.norm(found.positions[:, None] - found.positions[None], axis=2) + 9 * np.eye(len(texts))
    assert [texts[i] for i in gaps.argmin(axis=1)] == texts


def test_labels_are_the_words_that_tell_topics_apart(grouped):
    _, found = grouped
    kettles, marbles, violins = found.labels
    assert "steam kettle" in kettles
    assert "glass marbles" in marbles
    assert "ZorbNet" in marbles
    assert "violin" in violins
    assert not {"show", "we", "in", "a", "what"} & {word for label in found.labels for word in label.split()}


def in_two_topics(first, second):
    """The labels of ten papers of each of two lists of texts, which are repeated."""
    texts = [(first * 10)[i] for i in range(10)] + [(second * 10)[i] for i in range(10)]
    found = topics_of([paper(text, i) for i, text in enumerate(texts)], clustered([10, 10]))
    return found.labels[found.topic[0]], found.labels[found.topic[10]]


def test_what_all_topics_say_labels_none(monkeypatch):
    monkeypatch.setattr(topics, "MOST_TOPICS", 2)
    kettles, marbles = in_two_topics(["Zorbs. Zorbs. Zorbs. Kettles."], ["Zorbs. Zorbs. Zorbs. Marbles."])
    assert (kettles, marbles) == ("kettles", "marbles")


def test_a_term_that_another_topic_is_full_of_ranks_behind(monkeypatch):
    monkeypatch.setattr(topics, "MOST_TOPICS", 2)
    full = "Zorb. " * 20
    kettles, _ = in_two_topics(["Zorb. Zorb. Kettle. Kettle."], [full, full, "Lamp.", "Lamp.", "Lamp."])
    assert kettles == "kettle, zorb"


def test_a_term_of_most_papers_ranks_before_one_that_a_few_repeat():
    texts = ["Marbles. " + "Zorb. " * 10] * 3 + ["Marbles."] * 9
    assert label(*texts) == "marbles, zorb"


def test_the_same_papers_give_the_same_map(grouped):
    texts, found = grouped
    again = topics_of([paper(text, i) for i, text in enumerate(texts)], clustered(list(GROUPS.values())))
    assert np.array_equal(again.positions, found.positions)
    assert (again.topic, again.labels) == (found.topic, found.labels)


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 12])
def test_a_few_papers_make_a_map_without_a_warning(count, alike):
    vectors = np.ones((count, 384), dtype=np.float32) if alike else clustered([1] * count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = topics_of([paper(f"Zorb number{i} sorts marbles.", i) for i in range(count)], vectors)
    assert found.positions.shape == (count, 2)
    assert found.positions.dtype == np.float32
    assert ((found.positions >= 0) & (found.positions <= 1)).all()
    assert len(np.unique(found.positions, axis=0)) == count
    assert sorted(set(found.topic)) == list(range(len(found.labels)))
    assert all(found.labels)


def test_papers_that_say_the_same_share_one_topic():
    found = topics_of([paper("Zorb sorts.", i) for i in range(40)], np.ones((40, 384), dtype=np.float32))
    assert set(found.topic) == {0}
    assert len(np.unique(found.positions.round(2), axis=0)) == 40


def test_only_the_direction_of_a_vector_matters_to_its_topic():
    vectors = clustered([10, 8, 7])
    papers = [paper("Zorb.", i) for i in range(25)]
    longer = vectors * np.geomspace(0.1, 10, 25, dtype=np.float32)[:, None]
    assert topics_of(papers, longer).topic == topics_of(papers, vectors).topic


def test_many_papers_have_no_more_topics_than_colours(monkeypatch):
    monkeypatch.setattr(topics, "TSNE_MOST", 100)
    found = topics_of([paper("Zorb.", i) for i in range(600)], clustered([20] * 30))
    assert len(found.labels) == MOST_TOPICS
    sizes = [count for _, count in sorted(Counter(found.topic).items())]
    assert sizes == sorted(sizes, reverse=True)


def test_beyond_what_tsne_can_do_main_components_place_the_papers(monkeypatch):
    monkeypatch.setattr(topics, "TSNE_MOST", 10)
    found = topics_of([paper("Zorb.", i) for i in range(20)], clustered([10, 10]))
    across = found.positions[:, 0]
    assert abs(across[:10].mean() - across[10:].mean()) > 0.9
    assert (across.min(), across.max()) == (0, 1)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Zorb model. Zorb models. Modelling."], "zorb model"),
        (["Kettles and a kettle and kettle’s."], "kettle"),
        (["Fine-tuning. Finetuning. Fine-tuning."], "fine-tuning"),
        (["Mixture-of-Marbles. MoM. Mixture-of-Marbles."], "mixture-of-marbles"),
        (["A Marble. LoRA. A marble. LoRA. LoRA."], "LoRA, marble"),
        ([r"{\sc Ofa} wins. {\sc Ofa}."], "ofa wins"),
        (["We propose a novel method.", "It is what we show in 2023."], "other papers"),
        ([""], "other papers"),
    ],
)
def test_a_label_is_readable_and_repeats_nothing(texts, expected):
    assert label(*texts) == expected


def test_a_pair_of_words_stands_for_a_word_that_hardly_stands_alone():
    texts = ["Steam kettles boil.", "Steam kettles sing.", "A steam kettle and steam."]
    assert label(*texts).split(", ")[0] == "steam kettles"
    assert label(*texts, "Steam.", "Steam rises.", "Steam cools.", "More steam.").split(", ")[0] == "steam"


def test_what_one_paper_repeats_names_no_topic_of_many():
    texts = ["Marbles roll."] * 5 + ["Zorb zorb zorb zorb zorb zorb zorb zorb zorb. Marbles roll."]
    assert "zorb" not in label(*texts)


def test_a_long_label_is_cut_to_fewer_terms():
    assert len(label("Electroencephalographically. Deinstitutionalisation. Kettle.")) <= 40
