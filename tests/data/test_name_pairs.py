"""Name pairs: all of a concept up to a limit, and batches that are a function of seed and step."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.name_pairs import NamePairBatches, NamePairs, pairs_of
from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase
from genlink.schema import Concept


@given(st.lists(st.integers(0, 1000), unique=True, max_size=12), st.integers(1, 80), st.integers(0, 9))
def test_of_a_concept_all_pairs_are_taken_or_as_many_as_the_limit(names, limit, seed):
    every = list(combinations(names, 2))
    found = [tuple(pair) for pair in pairs_of(names, limit, np.random.default_rng(seed)).tolist()]
    assert len(found) == min(limit, len(every))
    assert sorted(found, key=every.index) == found  # each is one of them, in their order
    assert len(set(found)) == len(found)


def test_which_pairs_are_left_out_is_a_matter_of_the_seed_and_every_pair_may_be():
    kept = [pairs_of(range(20), 50, np.random.default_rng(seed)).tolist() for seed in (1, 1, *range(2, 60))]
    assert kept[0] == kept[1] != kept[2]
    assert len({tuple(pair) for pairs in kept for pair in pairs}) == 190


@pytest.fixture(scope="module")
def kb():
    names = {"A": ["a one", "a two", "a three"], "B": ["b one"], "C": ["c one", "c two", "c " + "long " * 30]}
    return KnowledgeBase.from_concepts(Concept(concept_id, tuple(n)) for concept_id, n in names.items())


def text(kb, pairs):
    return sorted((int(c), *(kb.key(int(k)) for k in keys)) for c, keys in zip(pairs.concepts, pairs.keys, strict=True))


def test_names_are_paired_within_their_concept_and_long_ones_left_out(kb):
    pairs = NamePairs(kb, limit=50, max_name_length=20, seed=0)
    of_a = [(0, "a one", "a three"), (0, "a one", "a two"), (0, "a two", "a three")]
    assert text(kb, pairs) == [*of_a, (2, "c one", "c two")]
    assert len(NamePairs(kb, limit=2, max_name_length=20, seed=0)) == 3


def test_a_knowledge_base_without_synonyms_has_nothing_to_learn():
    kb = KnowledgeBase.from_concepts([Concept("A", ("one",)), Concept("B", ("two",))])
    with pytest.raises(KnowledgeBaseError, match="no concept has two names"):
        NamePairs(kb, limit=50, max_name_length=20, seed=0)


def test_an_epoch_reads_every_pair_once_and_a_step_is_the_same_at_every_call(kb):
    pairs = NamePairs(kb, limit=50, max_name_length=500, seed=0)  # 3 + 3 pairs
    batches = NamePairBatches(pairs, batch_size=2, seed=7)
    epochs = [[pair for step in range(first, first + 3) for pair in batches.batch(step)] for first in (0, 3, 6)]
    wanted = sorted(map(tuple, pairs.keys.tolist()))
    assert all(sorted((pair.first, pair.second) for pair in epoch) == wanted for epoch in epochs)
    assert batches.batch(4) == NamePairBatches(pairs, batch_size=2, seed=7).batch(4)
    assert epochs[0] != epochs[1]
    assert len({pair.draw for epoch in epochs for pair in epoch}) == 18
