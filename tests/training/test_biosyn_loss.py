"""BioSyn's candidates and its loss: numbers worked out by hand, and lists with nothing right in them."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from genlink.linkers.dense import Keys
from genlink.linkers.ngrams import Ngrams
from genlink.schema import Mention
from genlink.training.biosyn import candidate_loss
from genlink.training.candidates import CandidateBatches, Query, learnable_queries


def test_a_list_costs_minus_the_log_of_the_share_of_its_right_names():
    scores = torch.tensor([1.0, 0.0, 2.0, 3.0, -1.0], dtype=torch.float64, requires_grad=True)
    right = torch.tensor([True, False, True, False, True])
    owner = torch.tensor([0, 0, 0, 1, 1])
    loss = candidate_loss(scores, right, owner, 2)
    first = -log((exp(1) + exp(2)) / (exp(1) + exp(0) + exp(2)))
    assert loss.tolist() == pytest.approx([first, -log(exp(-1) / (exp(3) + exp(-1)))])
    loss.sum().backward()
    assert scores.grad is not None
    # A right name is pulled by how much more probable it is among the right ones than among all.
    share = exp(1) / (exp(1) + exp(0) + exp(2))
    assert float(scores.grad[0]) == pytest.approx(share - exp(1) / (exp(1) + exp(2)))


def test_a_list_without_a_right_name_costs_nothing_and_pulls_nothing():
    scores = torch.tensor([5.0, 1.0, 2.0, 0.5], requires_grad=True)
    loss = candidate_loss(scores, torch.tensor([False, False, True, False]), torch.tensor([0, 0, 1, 1]), 2)
    loss.sum().backward()
    assert loss[0] == 0 < loss[1]
    assert scores.grad is not None and scores.grad[:2].tolist() == [0, 0] and scores.grad[2:].all()


def mention(surface: str, *gold: str) -> Mention:
    return Mention(surface, ((0, len(surface)),), surface, gold=tuple(frozenset({g}) for g in gold))


def test_learnt_are_the_texts_with_one_gold_part_in_the_dictionary_each_once(kb):
    mentions = [mention("Blue-gout", "D6"), mention("blue gout", "D6"), mention("blue gout", "D1")]
    mentions += [mention("gout and colic", "D6", "D4"), mention("plague", "D99"), mention("...", "D1")]
    places = {f"D{i}": kb.concept_index(f"D{i}") for i in (1, 6)}
    wanted = [Query("blue gout", frozenset({places[i]})) for i in ("D6", "D1")]
    assert learnable_queries(mentions, kb) == wanted


@pytest.fixture
def batches(kb):
    """A function that makes batches of four mentions over the diseases; it counts how often candidates are found."""

    def make(**changes: object) -> tuple[CandidateBatches, list[int]]:
        surfaces = {"silver fevers": "D1", "salty fever": "D5", "moth lungs": "D3", "blue gouts": "D6", "colics": "D4"}
        queries = [Query(text, frozenset({kb.concept_index(gold)})) for text, gold in surfaces.items()]
        asked: list[int] = []

        def find(epoch: int) -> np.ndarray:
            asked.append(epoch)
            return np.tile(np.arange(6), (len(queries), 1)) + epoch

        settings = {"k": 6, "dense_ratio": 0.5, "marginalise": True, "batch_size": 2, "seed": 0, **changes}
        return CandidateBatches(queries, kb, Ngrams(Keys(kb)), find, **settings), asked

    return make


def test_an_epoch_shows_every_mention_once_among_candidates_that_are_found_once(batches, kb):
    made, asked = batches()
    assert made.epoch_steps == 3
    epoch = [example for step in range(3) for example in made.batch(step)]
    assert len({example.text for example in epoch}) == len(epoch) == 5
    assert asked == [0]
    assert [len(made.batch(step)) for step in (3, 4, 5)] == [1, 2, 2]
    assert asked == [0, 1]
    assert made.batch(4) == batches()[0].batch(4)
    assert made.learnable(1) == sum(any(example.right) for step in (3, 4, 5) for example in made.batch(step)) > 0
    assert all(len(set(example.keys)) == 6 for example in epoch)


def test_every_name_of_a_gold_concept_is_right_and_has_its_own_sparse_score(batches, kb):
    made, _ = batches(k=kb.n_keys, batch_size=5)
    vectors = Ngrams(Keys(kb)).vectorizer.transform
    gold = {"silver fevers": "D1", "salty fever": "D5", "moth lungs": "D3", "blue gouts": "D6", "colics": "D4"}
    for example in made.batch(0):
        concept = kb.concept_index(gold[example.text])
        assert example.right == tuple(concept in kb.key_concepts(key) for key in example.keys)
        wanted = vectors([example.text]) @ vectors([kb.key(key) for key in example.keys]).T
        assert example.sparse == pytest.approx(wanted.toarray()[0].tolist())


def test_the_control_learns_the_right_name_that_is_spelled_most_like_the_mention(batches, kb):
    made, _ = batches(k=kb.n_keys, batch_size=5, marginalise=False)
    example = next(example for example in made.batch(0) if example.text == "silver fevers")
    (only,) = (key for key, is_right in zip(example.keys, example.right, strict=True) if is_right)
    assert kb.key(only) in ("silver fever", "fever silver")
    assert max(example.sparse) == example.sparse[example.keys.index(only)]
