"""Mining and the multi-similarity loss: against triplets that are listed one by one, and against hand-made numbers."""

from __future__ import annotations

from itertools import product
from math import exp, log, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.training.mining import euclidean, hard_pairs, random_pairs, same_concept
from genlink.training.multi_similarity import PRESETS, MultiSimilarity, multi_similarity_loss


@st.composite
def batches(draw):
    """Cosines of some vectors, and a label for each."""
    n = draw(st.integers(2, 9))
    vectors = torch.randn(n, 3, generator=torch.Generator().manual_seed(draw(st.integers(0, 999))))
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    labels = torch.tensor(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    return vectors @ vectors.T, labels


def listed(distances: torch.Tensor, labels: torch.Tensor, margin: float) -> tuple[set, set]:
    """The pairs of every hard triplet."""
    positive, negative = set(), set()
    n = len(labels)
    for a, p, other in product(range(n), repeat=3):
        is_triplet = a != p and labels[a] == labels[p] and labels[a] != labels[other]
        if is_triplet and distances[a, other] - distances[a, p] <= margin:
            positive.add((a, p))
            negative.add((a, other))
    return positive, negative


def pairs(mask: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in mask.nonzero()}


@given(batches(), st.sampled_from([0.0, 0.2, 1.0, 3.0]))
@settings(deadline=None)
def test_hard_pairs_are_those_of_all_hard_triplets(batch, margin):
    cosines, labels = batch
    distances = euclidean(cosines)
    positive, negative = hard_pairs(distances, labels, margin)
    assert (pairs(positive), pairs(negative)) == listed(distances, labels, margin)


def test_the_distance_is_that_of_vectors_of_length_one():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    wanted = torch.tensor([[0, sqrt(0.8), 2], [sqrt(0.8), 0, sqrt(3.2)], [2, sqrt(3.2), 0]])
    assert torch.allclose(euclidean(vectors @ vectors.T), wanted, atol=1e-6)


def test_a_triplet_at_the_margin_is_kept_and_one_behind_it_is_not():
    labels = torch.tensor([0, 0, 1])
    distances = torch.tensor([[0.0, 0.5, 0.75], [0.5, 0.0, 1.0], [0.75, 1.0, 0.0]])  # exact in binary
    positive, negative = hard_pairs(distances, labels, 0.25)
    assert (pairs(positive), pairs(negative)) == ({(0, 1)}, {(0, 2)})
    assert pairs(hard_pairs(distances, labels, 0.125)[0]) == set()


def test_random_pairs_are_as_many_as_hard_ones_and_of_the_same_kind():
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(20) // 2
    vectors = torch.nn.functional.normalize(torch.randn(20, 8, generator=generator), dim=1)
    distances = euclidean(vectors @ vectors.T)
    hard = hard_pairs(distances, labels, 0.2)
    drawn = [random_pairs(distances, labels, 0.2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    for allowed, wanted, one, again, _ in zip(same_concept(labels), hard, *drawn, strict=True):
        assert torch.equal(one.sum(dim=1), wanted.sum(dim=1))
        assert not (one & ~allowed).any()
        assert torch.equal(one, again)
    assert not torch.equal(drawn[0][1], drawn[2][1])
    assert not torch.equal(drawn[0][1], hard[1])
    assert 0 < hard[1].sum() < same_concept(labels)[1].sum()  # so that there was something to choose


@given(batches(), st.sampled_from(sorted(PRESETS)))
@settings(deadline=None)
def test_the_loss_is_the_published_formula(batch, preset):
    cosines, labels = batch
    cosines = cosines.double()
    positive, negative = hard_pairs(euclidean(cosines), labels, 0.2)
    found = multi_similarity_loss(cosines, positive, negative, PRESETS[preset])
    alpha, beta, base = {"paper": (2, 50, 0.5), "code": (1, 60, 0.5)}[preset]
    for a, loss in enumerate(found.tolist()):
        pulled = sum(exp(-alpha * (s - base)) for s in cosines[a][positive[a]].tolist())
        pushed = sum(exp(beta * (s - base)) for s in cosines[a][negative[a]].tolist())
        assert loss == pytest.approx(log(1 + pulled) / alpha + log(1 + pushed) / beta)


def test_an_anchor_without_pairs_costs_nothing_and_has_no_gradient():
    cosines = torch.tensor([[1.0, 0.9], [0.9, 1.0]], requires_grad=True)
    none = torch.zeros(2, 2, dtype=torch.bool)
    loss = multi_similarity_loss(cosines, none, none, MultiSimilarity(1, 60, 0.5))
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert cosines.grad is not None and not cosines.grad.any()
