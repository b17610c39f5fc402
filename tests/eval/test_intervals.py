import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eval.intervals import auroc, balanced_accuracy, best_threshold, difference, quantile, ratio


def test_a_ratio_of_sums_weighs_sentences_not_answers() -> None:
    estimate = ratio({"a": (1, 1), "b": (0, 3), "not asked": (0, 0)})
    assert (estimate.value, estimate.n) == (0.25, 2)


def test_nothing_to_measure_is_none_and_not_a_number() -> None:
    assert ratio({}).value is None
    assert ratio({"a": (0, 0)}).value is None
    assert difference({"a": (1, 1)}, {"b": (1, 1)}).value is None
    assert auroc([0.1, 0.2], [True, True]).value is None
    assert quantile([], 0.5).value is None


def test_one_question_has_no_interval() -> None:
    estimate = ratio({"a": (1, 1)})
    assert (estimate.value, estimate.low, estimate.high) == (1, None, None)


def test_intervals_are_the_same_each_time() -> None:
    shares = {str(i): (float(i % 3 == 0), 1.0) for i in range(50)}
    assert ratio(shares) == ratio(shares)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        estimate = ratio({str(i): (float(random.random() < 0.7), 1) for i in range(100)})
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 0.7 <= estimate.high
    assert 88 <= held <= 99


def test_pairing_makes_a_small_steady_difference_visible() -> None:
    random = np.random.default_rng(1)
    theirs = {str(i): (float(random.random()), 1.0) for i in range(60)}
    ours = {id_: (value + 0.02, 1.0) for id_, (value, _) in theirs.items()}
    change = difference(ours, theirs)
    assert change.low is not None
    assert change.low > 0.019
    assert ratio(ours).low < ratio(theirs).value  # type: ignore[operator]


def test_a_difference_is_over_the_questions_of_both() -> None:
    change = difference({"a": (1, 1), "b": (0, 1), "c": (0, 1)}, {"a": (0, 1), "b": (0, 1), "z": (1, 1)})
    assert (change.value, change.n) == (0.5, 2)


def test_a_question_that_one_side_refused_stays_in_for_the_other() -> None:
    careful = {"a": (1.0, 1.0), "b": (0.0, 0.0)}
    bold = {"a": (1.0, 1.0), "b": (0.0, 3.0)}
    assert difference(bold, careful).value == -0.75


def test_auroc_and_its_interval_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    labels = [bool(b) for b in random.random(80) < 0.5]
    scores = [round(float(random.random() + 0.4 * label), 1) for label in labels]
    estimate = auroc(scores, labels)
    assert estimate.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low < 0.3


def test_the_threshold_is_where_balanced_accuracy_is_highest() -> None:
    scores, labels = [0.1, 0.2, 0.6, 0.7, 0.9], [False, False, True, False, True]
    threshold = best_threshold(scores, labels)
    assert 0.2 < threshold < 0.6
    accuracy = balanced_accuracy([s >= threshold for s in scores], labels)
    assert accuracy.value == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)


def test_a_quantile_has_an_interval_around_it() -> None:
    estimate = quantile([float(i) for i in range(101)], 0.5)
    assert estimate.value == 50
    assert estimate.low is not None
    assert estimate.low < 50
