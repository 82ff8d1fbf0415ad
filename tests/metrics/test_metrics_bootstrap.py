"""Intervals over documents, and paired tests."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genlink.errors import DataError, UsageError
from genlink.metrics import Difference, Estimate, bootstrap_difference, bootstrap_ratios, compare_paired, mcnemar_p


def test_the_value_is_the_ratio_of_sums_not_the_mean_of_document_ratios():
    # Document a: 3 of 3 right; document b: 0 of 1. The mean of the two shares would be 0.5.
    [estimate] = bootstrap_ratios([[1, 1, 1, 0]], [[1, 1, 1, 1]], ["a", "a", "a", "b"], seed=0)
    assert estimate.value == 3 / 4
    assert estimate.n == 4


def test_resampling_documents_knows_that_their_mentions_are_not_independent():
    # Two documents, all right and all wrong: a resample is (a, a), (a, b) or (b, b), so the interval is everything.
    right, groups = [1] * 50 + [0] * 50, ["a"] * 50 + ["b"] * 50
    [estimate] = bootstrap_ratios([right], [[1] * 100], groups, seed=0)
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_documents_that_are_alike_leave_no_doubt():
    [estimate] = bootstrap_ratios([[1, 0] * 20], [[1, 1] * 20], [str(i // 2) for i in range(40)], seed=0)
    assert estimate == Estimate(0.5, 0.5, 0.5, 40)


def test_the_interval_of_a_share_is_about_the_binomial_one_when_each_document_has_one_mention():
    rng = np.random.default_rng(1)
    right = rng.random(400) < 0.8
    share = right.mean()
    error = 1.96 * np.sqrt(share * (1 - share) / 400)
    [estimate] = bootstrap_ratios([right], [np.ones(400)], [str(i) for i in range(400)], seed=2)
    assert estimate.low == pytest.approx(share - error, abs=0.01)
    assert estimate.high == pytest.approx(share + error, abs=0.01)


def test_a_single_document_has_a_value_and_no_interval():
    [estimate] = bootstrap_ratios([[1, 0]], [[1, 1]], ["a", "a"], seed=0)
    assert estimate == Estimate(0.5, None, None, 2)


def test_measures_with_denominators_of_their_own_share_one_resampling():
    accuracy, recall = bootstrap_ratios([[1, 0], [2, 1]], [[1, 1], [2, 3]], ["a", "b"], seed=0)
    assert (accuracy.value, accuracy.n) == (1 / 2, 2)
    assert (recall.value, recall.n) == (3 / 5, 5)


def test_the_seed_decides():
    facts = ([[1, 0, 1, 1, 0, 1]], [[1] * 6], list("aabbcd"))
    assert bootstrap_ratios(*facts, seed=3) == bootstrap_ratios(*facts, seed=3)


def test_a_share_of_nothing_is_an_error():
    with pytest.raises(DataError):
        bootstrap_ratios([[]], [[]], [], seed=0)
    with pytest.raises(DataError):
        bootstrap_ratios([[0, 0]], [[0, 0]], ["a", "b"], seed=0)


def test_ten_rows_of_a_corpus_take_well_under_five_seconds():
    rng = np.random.default_rng(0)
    right, groups = rng.integers(0, 2, (6, 787)), [str(i) for i in rng.integers(0, 100, 787)]
    started = time.perf_counter()
    for seed in range(10):
        bootstrap_ratios(right, np.ones((6, 787)), groups, seed=seed)
    assert time.perf_counter() - started < 5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_the_interval_holds_the_value(mentions):
    right, groups = [float(r) for r, _ in mentions], [str(g) for _, g in mentions]
    [estimate] = bootstrap_ratios([right], [np.ones(len(right))], groups, seed=0, resamples=500)
    assert estimate.value == pytest.approx(np.mean(right))
    if estimate.low is not None:
        assert 0 <= estimate.low <= estimate.value + 1e-9
        assert estimate.value - 1e-9 <= estimate.high <= 1


def test_the_p_value_is_twice_the_share_of_resamples_on_the_rarer_side_of_zero():
    # Two documents, +1 and -1/2: a resample has mean 1 (a quarter), 1/4 (half) or -1/2 (a quarter), so p is about 1/2.
    difference = bootstrap_difference([([1, -0.5], ["a", "b"])], seed=0, resamples=20_000)
    assert (difference.value, difference.low, difference.high, difference.n) == (1 / 4, -1 / 2, 1, 2)
    assert difference.p == pytest.approx(1 / 2, abs=0.02)
    # +1 and 0: a quarter of the resamples have mean 0, which is on both sides.
    assert bootstrap_difference([([1, 0], ["a", "b"])], seed=0, resamples=20_000).p == pytest.approx(1 / 2, abs=0.02)
    # All documents gain: none of 99 resamples is on the other side, and (0 + 1) / (99 + 1) is the least share.
    assert bootstrap_difference([([1, 1], ["a", "b"])], seed=0, resamples=99).p == 2 / 100


def test_the_p_value_of_many_documents_is_about_that_of_the_normal_test():
    values = np.random.default_rng(5).normal(0.1, 1, 400)
    difference = bootstrap_difference([(values, [str(i) for i in range(400)])], seed=1, resamples=20_000)
    error = values.std() / np.sqrt(400)
    assert difference.p == pytest.approx(2 * stats.norm.sf(abs(values.mean()) / error), abs=0.02)
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_corpora_weigh_the_same_and_are_resampled_by_themselves():
    large, small = ([1.0] * 8, list("abcdefgh")), ([0.0, -1.0], ["a", "b"])
    difference = bootstrap_difference([large, small], seed=0, resamples=20_000)
    # The large corpus is 1 in every resample; the small one is 0, -1/2 (half of the time) or -1.
    assert (difference.value, difference.low, difference.high, difference.n) == (1 / 4, 0, 1 / 2, 10)
    assert difference.p == pytest.approx(2 / 4, abs=0.02)
    assert bootstrap_difference([large, ([1], ["a"])], seed=0) == Difference(1, None, None, 9, None)
    with pytest.raises(DataError, match="no mentions"):
        bootstrap_difference([large, ([], [])], seed=0)
    with pytest.raises(DataError, match="no mentions"):
        bootstrap_difference([], seed=0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 9)), min_size=2, max_size=40), st.integers(0, 3))
def test_no_difference_has_p_one_and_the_order_of_two_systems_changes_signs_alone(mentions, seed):
    values, groups = np.array([v / 3 for v, _ in mentions]), [str(g) for _, g in mentions]
    one = bootstrap_difference([(values, groups)], seed=seed, resamples=200)
    other = bootstrap_difference([(-values, groups)], seed=seed, resamples=200)
    none = bootstrap_difference([(0 * values, groups)], seed=seed, resamples=200)
    if one.p is None:
        assert len(set(groups)) == 1
        return
    assert one.p == other.p
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert 2 / 201 <= one.p <= 1
    assert (none.value, none.p) == (0, 1)


def test_mcnemar_is_the_two_sided_binomial_test_of_the_discordant_mentions():
    # 1 against 5 of 6: 2 * (C(6,0) + C(6,1)) / 2**6 = 14 / 64
    assert mcnemar_p(1, 5) == pytest.approx(14 / 64)
    assert mcnemar_p(5, 1) == pytest.approx(14 / 64)
    assert mcnemar_p(0, 0) == 1.0


def test_a_paired_comparison_counts_what_only_one_gets_right():
    compared = compare_paired([1, 0, 1, 0], [1, 1, 1, 1], list("aabb"), seed=0)
    assert (compared.first, compared.second) == (0.5, 1.0)
    assert (compared.only_first, compared.only_second) == (0, 2)
    assert compared.difference == Estimate(0.5, 0.5, 0.5, 4)  # each document gains one of two
    assert compared.p == 0.5


def test_outcomes_of_different_length_cannot_be_paired():
    with pytest.raises(UsageError, match="pair 1 outcomes with 2"):
        compare_paired([1], [1, 0], ["a"], seed=0)
