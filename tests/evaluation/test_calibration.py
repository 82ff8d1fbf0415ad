"""Fitting a calibration: temperature, threshold and folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import DataError
from genlink.evaluation.calibration_fit import (
    best_nil_threshold,
    cross_fit,
    document_folds,
    fit_calibration,
    fit_temperature,
)
from genlink.linkers.calibration import Calibration

NONE = -math.inf


def draw(n: int, temperature: float, rest_logit: float, seed: int, ranks: int = 5):
    """Lists of log-probability-like scores, and whether their first rank is right, drawn from a known calibration."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.exponential(4, size=(n, ranks)), axis=1)
    scores[np.arange(ranks) >= rng.integers(1, ranks + 1, size=(n, 1))] = NONE
    right = rng.random(n) < Calibration(temperature, rest_logit, ranks).probabilities(scores)[:, 0]
    return scores, right


# The fit


@pytest.mark.parametrize(("temperature", "rest_logit"), [(1.0, -2.0), (2.5, -1.0), (0.4, -5.0)])
def test_the_temperature_that_answers_were_drawn_with_is_found(temperature, rest_logit):
    scores, right = draw(20_000, temperature, rest_logit, seed=1)
    found = fit_temperature(scores, right)

    # The standard errors of maximum likelihood: p is a Bernoulli parameter, so the information about (T, b) is the sum
    # of dp dp' / (p (1 - p)) over mentions.
    def first(t: float, b: float):
        return Calibration(t, b, 5).probabilities(scores)[:, 0]

    p, step = first(temperature, rest_logit), 1e-4
    slopes = np.stack(
        [
            (first(temperature + step, rest_logit) - first(temperature - step, rest_logit)) / (2 * step),
            (first(temperature, rest_logit + step) - first(temperature, rest_logit - step)) / (2 * step),
        ]
    )
    errors = np.sqrt(np.diag(np.linalg.inv((slopes / (p * (1 - p))) @ slopes.T)))
    assert errors[0] < 0.05 * temperature  # or the next line would hold for anything
    assert abs(found[0] - temperature) < 4 * errors[0] and abs(found[1] - rest_logit) < 4 * errors[1]


@pytest.mark.parametrize("seed", range(6))
def test_no_other_parameters_are_likelier(seed):
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.exponential(3, size=(60, 4)), axis=1)
    right = rng.random(60) < rng.random()
    r, w = right.sum(), (~right).sum()
    targets = np.where(right, (r + 1) / (r + 2), 1 / (w + 2))

    def loss(temperature: float, rest_logit: float) -> float:
        p = Calibration(temperature, rest_logit, 4).probabilities(scores)[:, 0].clip(1e-300, 1 - 1e-16)
        return -float((targets * np.log(p) + (1 - targets) * np.log1p(-p)).mean())

    best = min(loss(t, b) for t in np.geomspace(0.02, 500, 60) for b in np.linspace(-15, 15, 91))
    assert loss(*fit_temperature(scores, right)) <= best + 1e-6


@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_the_fit_does_not_depend_on_the_unit_of_scores(factor, shift):
    scores, right = draw(200, 1.5, -2.0, seed=4)
    moved = factor * scores + shift
    expected = fit_calibration(scores, right, np.zeros(200)).probabilities(scores)
    assert fit_calibration(moved, right, np.zeros(200)).probabilities(moved) == pytest.approx(expected, abs=1e-4)


def test_even_answers_that_are_all_right_are_not_certain():
    found = Calibration(*fit_temperature([[1.0]] * 8, [True] * 8), ranks=1)
    assert found.probabilities([1.0]) == pytest.approx([9 / 10], abs=1e-4)  # (r + 1) / (r + 2)


def test_scores_that_part_right_from_wrong_leave_the_temperature_finite():
    temperature, rest = fit_temperature([[-1.0], [-2.0], [-8.0], [-9.0]], [True, True, False, False])
    assert 0 < temperature < math.inf and math.isfinite(rest)


def test_mentions_without_candidate_do_not_count_in_the_fit():
    scores, right = draw(300, 1.0, -2.0, seed=6)
    with_more = np.concatenate([scores, np.full((50, 5), NONE)]), np.concatenate([right, np.zeros(50, bool)])
    assert fit_temperature(*with_more) == pytest.approx(fit_temperature(scores, right))
    with pytest.raises(DataError, match="No mention has a candidate"):
        fit_temperature([[NONE]], [False])


# The threshold


def f1_of_nil(p, nil, threshold: float) -> float:
    said = [value == 0 or value < threshold for value in p]
    both = sum(s and n for s, n in zip(said, nil, strict=True))
    return 2 * both / (sum(said) + sum(nil)) if sum(said) + sum(nil) else 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, 0.9]), st.booleans()), min_size=1, max_size=12))
def test_the_threshold_is_the_lowest_of_the_best(mentions):
    p, nil = zip(*mentions, strict=True)
    found = best_nil_threshold(p, nil)
    # No probability lies between one of these and the next, so no other threshold parts the mentions otherwise.
    every = [0.0, 0.05, 0.15, 0.25, 0.4, 0.7, 0.95]
    scores = [f1_of_nil(p, nil, t) for t in every]
    assert f1_of_nil(p, nil, found) == max(scores)
    said = [value == 0 or value < found for value in p]
    lowest = every[scores.index(max(scores))]
    assert said == [value == 0 or value < lowest for value in p]


def test_a_threshold_lies_midway_between_the_probabilities_that_it_parts():
    assert best_nil_threshold([0.2, 0.4, 0.8], [True, False, False]) == pytest.approx(0.3)
    assert best_nil_threshold([0.2, 0.4, 0.8], [True, True, True]) == pytest.approx(0.9)


def test_a_calibration_has_a_threshold_only_if_there_was_a_nil_to_fit_it():
    scores, right = draw(100, 1.0, -2.0, seed=2)
    assert fit_calibration(scores, right, np.zeros(100)).nil_threshold is None
    assert fit_calibration(scores, right, ~right).nil_threshold is not None


# The folds


def test_folds_are_of_whole_documents_and_of_equal_size():
    documents = [str(i) for i in range(11) for _ in range(i + 1)]
    fold = document_folds(documents, 3, seed=0)
    of_document = {d: {f for other, f in zip(documents, fold, strict=True) if other == d} for d in documents}
    assert all(len(folds) == 1 for folds in of_document.values())
    assert sorted(sum(folds == {f} for folds in of_document.values()) for f in range(3)) == [3, 4, 4]
    assert document_folds(documents, 3, seed=0).tolist() == fold.tolist()
    assert document_folds(documents, 3, seed=1).tolist() != fold.tolist()
    assert sorted(document_folds(["a", "b"], 5, seed=0)) == [0, 1]


def test_cross_fitting_never_scores_a_document_with_parameters_fitted_to_it():
    scores, right = draw(120, 1.0, -1.0, seed=7)
    nil = ~right & (np.arange(120) % 2 == 0)
    documents = [str(i // 10) for i in range(120)]
    before = cross_fit(scores, right, nil, documents, folds=4, seed=0)
    for document in ("0", "5", "11"):
        own = np.array(documents) == document
        # Whatever the gold of a document says, its own probabilities do not hear of it, and other documents' do.
        after = cross_fit(scores, right ^ own, nil ^ own, documents, folds=4, seed=0)
        assert after.probability[own].tolist() == before.probability[own].tolist()
        assert after.is_nil[own].tolist() == before.is_nil[own].tolist()
        other_folds = before.fold != before.fold[own][0]
        assert (after.probability[other_folds] != before.probability[other_folds]).all()


def test_a_cross_fit_keeps_the_parameters_of_each_fold():
    scores, right = draw(90, 1.0, -1.0, seed=8)
    fitted = cross_fit(scores, right, ~right, [str(i // 10) for i in range(90)], folds=3, seed=0)
    for f, calibration in enumerate(fitted.calibrations):
        inside = fitted.fold == f
        assert calibration == fit_calibration(scores[~inside], right[~inside], ~right[~inside])
        assert fitted.probability[inside].tolist() == calibration.probabilities(scores[inside])[:, 0].tolist()
        assert fitted.is_nil[inside].tolist() == calibration.is_nil(scores[inside]).tolist()


def test_one_document_cannot_be_cross_fitted():
    with pytest.raises(DataError, match="two documents"):
        cross_fit([[0.0]] * 4, [True] * 4, [False] * 4, ["1"] * 4, folds=5, seed=0)
