"""Ranking measures against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import DataError
from genlink.metrics import accuracy_at_k, hits_at_k, mean_reciprocal_rank, reciprocal_ranks

RANKS = st.lists(st.one_of(st.integers(1, 20).map(float), st.just(math.inf)), min_size=1, max_size=30)


def test_accuracy_is_the_share_of_answers_within_k():
    ranks = [1, 3, math.inf, 1]
    assert accuracy_at_k(ranks, 1) == 2 / 4
    assert accuracy_at_k(ranks, 2) == 2 / 4
    assert accuracy_at_k(ranks, 3) == 3 / 4


def test_mean_reciprocal_rank_counts_a_missing_answer_as_zero():
    assert mean_reciprocal_rank([1, 4, math.inf, 2]) == (1 + 0.25 + 0 + 0.5) / 4


def test_hits_and_reciprocals_are_per_mention():
    assert hits_at_k([1, 2, math.inf], 1).tolist() == [1.0, 0.0, 0.0]
    assert reciprocal_ranks([1, 2, math.inf]).tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("measure", [lambda ranks: accuracy_at_k(ranks, 1), mean_reciprocal_rank])
def test_accuracy_of_no_mentions_is_an_error_not_zero(measure):
    with pytest.raises(DataError, match="share of nothing is not zero"):
        measure([])


@given(RANKS)
def test_accuracy_grows_with_k_and_bounds_the_mean_reciprocal_rank(ranks):
    accuracies = [accuracy_at_k(ranks, k) for k in range(1, 21)]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] <= mean_reciprocal_rank(ranks) + 1e-12
    assert mean_reciprocal_rank(ranks) <= accuracies[-1] + 1e-12
