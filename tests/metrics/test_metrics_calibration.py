"""Calibration measures, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genlink.errors import UsageError
from genlink.metrics import (
    expected_calibration_error,
    negative_log_likelihoods,
    reliability_bins,
    squared_errors,
)

# In fifteen bins 0.1 twice is in the second, 0.9 in the last but one, 0.95 in the last.
P = [0.1, 0.1, 0.9, 0.95]
RIGHT = [0, 1, 1, 1]


def test_ece_averages_the_gaps_of_the_bins_over_answers():
    gaps = 2 / 4 * abs(1 / 2 - 0.1) + 1 / 4 * (1 - 0.9) + 1 / 4 * (1 - 0.95)
    estimate = expected_calibration_error(P, RIGHT, ["1", "1", "2", "3"], seed=0)
    assert estimate.value == pytest.approx(gaps)
    assert estimate.n == 4


def test_brier_and_likelihood_are_of_each_answer():
    assert squared_errors(P, RIGHT) == pytest.approx([0.01, 0.81, 0.01, 0.0025])
    assert negative_log_likelihoods(P, RIGHT) == pytest.approx([-math.log(q) for q in (0.9, 0.1, 0.9, 0.95)])


def test_certainty_that_was_wrong_costs_much_but_not_everything():
    certain = negative_log_likelihoods([1.0, 0.0, 1.0], [0, 1, 1])
    assert certain == pytest.approx([52 * math.log(2), 52 * math.log(2), 0])  # 2 ** -52 stands for 0


def test_a_bin_holds_its_upper_edge_and_the_first_bin_zero():
    bins = reliability_bins([0.0, 0.25, 0.26, 0.5, 1.0], [0, 1, 0, 1, 1], bins=4)
    assert [(b.low, b.high, b.n) for b in bins] == [(0, 0.25, 2), (0.25, 0.5, 2), (0.5, 0.75, 0), (0.75, 1, 1)]
    assert [b.accuracy for b in bins] == [1 / 2, 1 / 2, None, 1]
    assert [b.confidence for b in bins] == pytest.approx([0.125, 0.38, None, 1])


def test_ece_is_what_its_bins_say():
    rng = np.random.default_rng(3)
    p = rng.random(200)
    right = rng.random(200) < p**2
    bins = reliability_bins(p, right)
    by_bins = sum(b.n * abs(b.accuracy - b.confidence) for b in bins if b.accuracy is not None and b.confidence) / 200
    assert expected_calibration_error(p, right, ["1"] * 200, seed=0).value == pytest.approx(by_bins)


def test_the_interval_is_over_resampled_documents():
    rng = np.random.default_rng(5)
    documents = np.repeat(np.arange(20), 5)
    p = rng.random(100)
    right = rng.random(100) < p
    estimate = expected_calibration_error(p, right, [str(d) for d in documents], seed=0)
    redone = []
    for _ in range(2000):
        drawn = np.concatenate([np.flatnonzero(documents == d) for d in rng.integers(20, size=20)])
        redone.append(expected_calibration_error(p[drawn], right[drawn], ["1"] * 100, seed=0).value)
    # A percentile of 2,000 draws is itself uncertain by about 0.003 here.
    assert [estimate.low, estimate.high] == pytest.approx(np.quantile(redone, [0.025, 0.975]), abs=0.015)


def test_one_document_leaves_nothing_to_resample():
    estimate = expected_calibration_error(P, RIGHT, ["1"] * 4, seed=0)
    assert (estimate.low, estimate.high) == (None, None)


@pytest.mark.parametrize("p", [[0.5], [0.5, 1.1], [0.5, -0.1], [0.5, math.nan]])
def test_what_is_no_probability_of_these_answers_is_refused(p):
    for measure in (reliability_bins, squared_errors, negative_log_likelihoods):
        with pytest.raises(UsageError):
            measure(p, [1, 0])
