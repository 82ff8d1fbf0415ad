"""Preference examples: which pairs are chosen, and that nothing but the name tells right from wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.answers import Answer, AnswerList
from genlink.data.batches import POOLED_BATCHES
from genlink.data.encoding import Encoding, Prompt
from genlink.data.preference_batches import PreferenceBatches, collate_preferences
from genlink.data.preferences import PairPolicy, PreferenceExample, choose_pairs, preference_examples
from genlink.data.spelling import spell_trie
from genlink.templates import Template
from genlink.text import Normalisation

POLICIES = get_args(PairPolicy)


@pytest.mark.parametrize(
    ("right", "misordered", "every", "hardest"),
    [
        # ANGEL: a right first name is set above the best wrong one, and each right name above the wrong ones before it.
        ("RWW", "01", "01 02", "01"),
        ("WRW", "10", "10 12", "10"),
        ("WWR", "20 21", "20 21", "20"),
        ("RWRW", "01 21", "01 03 21 23", "01"),
        ("WRWR", "10 30 32", "10 12 30 32", "10"),
        ("RRW", "02", "02 12", "02"),
        ("RRR", "", "", ""),
        ("WWW", "", "", ""),
        ("R", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_the_pairs_of_each_policy_are_those_worked_out_by_hand(right, misordered, every, hardest):
    flags = [letter == "R" for letter in right]
    for policy, expected in (("misordered", misordered), ("all", every), ("hardest", hardest)):
        assert choose_pairs(flags, policy) == [(int(c), int(r)) for c, r in expected.split()], policy


@given(st.lists(st.booleans(), max_size=8))
def test_every_pair_prefers_a_right_name_to_a_wrong_one_and_none_comes_twice(right):
    chosen = {policy: choose_pairs(right, policy) for policy in POLICIES}
    for pairs in chosen.values():
        assert all(right[c] and not right[r] for c, r in pairs)
        assert len(set(pairs)) == len(pairs)
        # Where there is anything to prefer, there is a pair: no list is read for nothing.
        assert bool(pairs) == (any(right) and not all(right))
    assert len(chosen["all"]) == sum(right) * (len(right) - sum(right))
    assert set(chosen["misordered"]) <= set(chosen["all"])
    assert set(chosen["hardest"]) <= set(chosen["all"])


@given(st.lists(st.booleans(), max_size=8))
def test_every_wrong_name_above_a_right_one_is_in_a_misordered_pair(right):
    inversions = {(c, r) for c in range(len(right)) for r in range(c) if right[c] and not right[r]}
    extra = set(choose_pairs(right, "misordered")) - inversions
    assert inversions <= set(choose_pairs(right, "misordered"))
    assert all(pair == (0, right.index(False)) for pair in extra)


LISTS = [
    AnswerList(
        Prompt("Silver fevr", "Signs of ", " were seen."),
        ("D1",),
        (Answer("salt fever", False, -1.0), Answer("silver fever", True, -2.0), Answer("moth lung", False, -3.0)),
        count=4,
    ),
    AnswerList(Prompt("blue gout"), ("D4",), (Answer("blue gout", True, -0.5), Answer("sf", False, -1.5))),
]


@pytest.mark.parametrize("template", [Template(), Template(context_tokens=8), Template(prefix="")])
def test_a_name_is_spelled_as_it_is_in_training_whether_it_is_chosen_or_rejected(byte_tokenizer, template):
    encoding = Encoding(byte_tokenizer, template, Normalisation(), decoder_start=byte_tokenizer.eos_token_id)
    for item, found in zip(LISTS, preference_examples(LISTS, encoding, "all"), strict=True):
        names = [answer.name for answer in item.answers]
        alone = encoding.examples([item.prompt] * len(names), names, 64)
        assert [found.source] * len(names) == [example.source for example in alone]
        assert [found.prefix] * len(names) == [example.prefix for example in alone]
        assert found.targets == [example.target for example in alone]
        assert found.right == [answer.right for answer in item.answers]
        assert found.reference is None


def test_examples_have_the_pairs_of_their_policy_and_a_cost(encoding):
    first, second = preference_examples(LISTS, encoding, "misordered")
    assert (first.pairs, second.pairs) == ([(1, 0)], [(0, 1)])
    lengths = [len(first.prefix) + len(target) for target in first.targets]
    assert first.cost == len(first.source) + sum(lengths)
    assert preference_examples([], encoding, "all") == []


# Batches


def example(number: int, targets: int = 2) -> PreferenceExample:
    return PreferenceExample([number] * (1 + number % 5), [2], [[9, 2]] * targets, [True] + [False] * (targets - 1), [])


def test_an_epoch_has_each_list_as_often_as_it_counts():
    examples = [example(i) for i in range(8)]
    copies = [1, 2, 3, 1, 1, 1, 1, 2]
    batches = PreferenceBatches(examples, copies, batch_size=3, seed=5)
    assert len(batches) == sum(copies) == 12
    drawn = [e.source[0] for step in range(POOLED_BATCHES) for e in batches.batch(step)]
    assert len(drawn) == 3 * POOLED_BATCHES == 4 * len(batches)  # four epochs
    assert sorted(drawn) == sorted(i for i, n in enumerate(copies) for _ in range(n) for _ in range(4))


@pytest.mark.parametrize("count", [1, 7, 50, 3 * POOLED_BATCHES, 3 * POOLED_BATCHES + 4])
def test_as_many_steps_as_an_epoch_takes_read_every_list(count):
    batches = PreferenceBatches([example(i) for i in range(count)], [1] * count, batch_size=3, seed=5)
    steps = -(-count // 3)
    drawn = [e.source[0] for step in range(steps) for e in batches.batch(step)]
    assert len(drawn) == 3 * steps and set(drawn) == set(range(count))


def test_the_batch_of_a_step_is_a_function_of_seed_and_step():
    examples = [example(i) for i in range(40)]

    def batches(seed: int) -> PreferenceBatches:
        return PreferenceBatches(examples, [1] * 40, batch_size=4, seed=seed)

    in_order = [batches(1).batch(step) for step in range(40)]
    again = batches(1)
    assert [again.batch(step) for step in reversed(range(40))] == in_order[::-1]
    assert [batches(2).batch(step) for step in range(40)] != in_order
    assert all(len(batch) == 4 for batch in in_order)


def test_padded_lists_hold_every_name_once_and_know_whose_it_is(encoding, kb):
    examples = [
        replace(e, reference=[-float(i) for i in range(len(e.targets))])
        for e in preference_examples(LISTS, encoding, "all")
    ]
    batch = collate_preferences(examples, encoding.pad)
    assert batch.owner.tolist() == [0, 0, 0, 1, 1]
    assert batch.right.tolist() == [False, True, False, True, False]
    # Pairs (1, 0), (1, 2) of the first list; (0, 1) of the second one, whose names begin at 3.
    assert list(zip(batch.chosen.tolist(), batch.rejected.tolist(), strict=True)) == [(1, 0), (1, 2), (3, 4)]
    assert batch.reference.tolist() == [0.0, -1.0, -2.0, 0.0, -1.0]
    targets = [target for e in examples for target in e.targets]
    assert batch.lengths.tolist() == [len(target) for target in targets]
    assert batch.labels is not None and batch.decisions == ()
    for row, (owner, target) in enumerate(zip(batch.owner.tolist(), targets, strict=True)):
        prefix = examples[owner].prefix
        fed = len(prefix) + len(target) - 1
        assert batch.decoder_input[row, :fed].tolist() == [*prefix, *target[:-1]]
        assert batch.labels[row].tolist() == (
            [-100] * (len(prefix) - 1) + target + [-100] * (batch.labels.shape[1] - fed)
        )
    for row, e in enumerate(examples):
        assert batch.source[row][batch.source_mask[row] == 1].tolist() == e.source

    over_trie = collate_preferences(
        examples, encoding.pad, spell_trie([kb.key(i) for i in range(kb.n_keys)], encoding, 64)
    )
    assert over_trie.labels is None and over_trie.decisions


def test_lists_without_pairs_or_a_reference_are_padded_too(encoding):
    wrong = AnswerList(Prompt("x"), ("D1",), (Answer("sf", False),))
    batch = collate_preferences(preference_examples([wrong], encoding, "all"), encoding.pad)
    assert batch.chosen.shape == batch.rejected.shape == (0,)
    assert batch.chosen.dtype == torch.long
    assert batch.reference is None
