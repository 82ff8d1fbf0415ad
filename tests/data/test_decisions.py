"""The way of a target through the trie, and where on it more than one token could come next."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.batches import collate
from genlink.data.decisions import find_decisions, walk
from genlink.data.encoding import Example
from genlink.trie import NameTrie

PAD, END = 1, 2
# Few tokens and short names, so that many share a beginning or are the beginning of another.
TOKENS = [0, 3, 4, 5, 6]
name_lists = st.lists(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=5).map(tuple), min_size=1, unique=True)


def build(names: list[tuple[int, ...]]) -> NameTrie:
    return NameTrie.build([t for name in names for t in name], np.cumsum([0, *map(len, names)]), END)


# root -5-> 1, -6-> 2;  1 -7-> 3;  2 -END-> 4;  3 -END-> 5, -8-> 6, -9-> 7;  6 -END-> 8;  7 -END-> 9
TOY = [(5, 7), (5, 7, 8), (5, 7, 9), (6,)]


@given(name_lists, st.data())
def test_a_walk_passes_the_nodes_of_every_beginning_of_a_target(names, data):
    targets = [(*name, END) for name in data.draw(st.lists(st.sampled_from(names), min_size=1))]
    # One that was cut, which may be in the trie or leave it.
    targets.append(data.draw(st.lists(st.sampled_from([*TOKENS, 9]), min_size=1, max_size=7).map(tuple)))
    trie = build(names)
    nodes = walk(trie, targets)
    assert nodes.shape == (len(targets), max(map(len, targets)) + 1)
    for row, target in zip(nodes.tolist(), targets, strict=True):
        found = [trie.find(target[:length]) for length in range(len(target) + 1)]
        expected = [-1 if node is None else node for node in found]
        assert row == expected + [-1] * (len(row) - len(expected))


@given(name_lists, st.data())
def test_decisions_are_all_nodes_with_several_children_and_compare_these_children(names, data):
    targets = [(*name, END) for name in data.draw(st.lists(st.sampled_from(names), min_size=1))]
    starts = data.draw(st.lists(st.integers(0, 3), min_size=len(targets), max_size=len(targets)))
    trie = build(names)
    expected = {}
    for row, (target, start) in enumerate(zip(targets, starts, strict=True)):
        for step, token in enumerate(target):
            allowed = trie.allowed_tokens(target[:step]).tolist()
            if len(allowed) > 1:
                expected[row, start + step] = (token, allowed)
    found = {}
    for decisions in find_decisions(trie, targets, starts):
        tokens = decisions.tokens.tolist()
        for place, where in enumerate(zip(decisions.rows.tolist(), decisions.columns.tolist(), strict=True)):
            compared = (
                tokens
                if decisions.is_child is None
                else [t for t, child in zip(tokens, decisions.is_child[place].tolist(), strict=True) if child]
            )
            found[where] = (tokens[int(decisions.chosen[place])], compared)
    assert found == expected


def test_decisions_by_hand():
    root, other = find_decisions(build(TOY), [[5, 7, 9, END], [6, END], [5, 7, END]], [0, 3, 1])
    assert (root.rows.tolist(), root.columns.tolist()) == ([0, 1, 2], [0, 3, 1])
    assert (root.tokens.tolist(), root.chosen.tolist(), root.is_child) == ([5, 6], [0, 1, 0], None)
    # Only the node of (5, 7) has several children: the end, 8 and 9.
    assert (other.rows.tolist(), other.columns.tolist()) == ([0, 2], [2, 3])
    assert (other.tokens.tolist(), other.chosen.tolist(), other.is_child) == ([END, 8, 9], [2, 0], None)


def test_nodes_of_different_children_compare_only_their_own():
    # Below 5 come 7 or 8, below 6 come 8 or the end.
    trie = build([(5, 7), (5, 8), (6, 8), (6,)])
    _, other = find_decisions(trie, [[5, 7, END], [6, 8, END]], [0, 0])
    assert (other.tokens.tolist(), other.chosen.tolist()) == ([END, 7, 8], [1, 2])
    assert other.is_child is not None
    assert other.is_child.tolist() == [[False, True, True], [True, False, True]]


def test_a_name_that_was_cut_decides_as_far_as_it_stays_in_the_trie():
    trie = build(TOY)
    # The first leaves it at (5, 7), where 4 is no child: right there is no right child, before it is one decision.
    (root,) = find_decisions(trie, [[5, 7, 4, 4], [4, 4]], [0, 0])
    assert (root.rows.tolist(), root.columns.tolist(), root.chosen.tolist()) == ([0], [0], [0])
    # One that never was in it decides nothing, and there is still a group of the root to be computed.
    (root,) = find_decisions(trie, [[4, 4]], [0])
    assert (root.tokens.tolist(), root.chosen.tolist()) == ([5, 6], [])


@pytest.mark.parametrize("target", [[5, 7, 4, END], [5, END], [END], [6, END, END]], ids=str)
def test_a_whole_name_that_is_not_in_the_trie_is_an_error(target):
    with pytest.raises(ValueError, match="is not a name of the trie of the objective") as caught:
        collate([Example([0], [2], [6, END]), Example([0], [2], target)], PAD, build(TOY))
    assert str(target) in str(caught.value)


def test_collate_with_a_trie_alone_feeds_nothing_behind_the_last_decision():
    long = Example(source=[0, 2], prefix=[2, 0], target=[5, 7, 9, END])
    short = Example(source=[0, 2], prefix=[2], target=[6, END])
    whole = collate([long, short], PAD, build(TOY))
    assert whole.decoder_input.tolist() == [[2, 0, 5, 7, 9], [2, 6, 1, 1, 1]]
    assert whole.labels is not None
    assert whole.labels.tolist() == [[-100, 5, 7, 9, END], [6, END, -100, -100, -100]]
    cut = collate([long, short], PAD, build(TOY), labelled=False)
    # 9 is asked for after 7, and its end is the only one possible; 6 is asked for after the decoder start.
    assert cut.decoder_input.tolist() == [[2, 0, 5, 7], [2, 1, 1, 1]]
    assert cut.labels is None
    for a, b in zip(whole.decisions, cut.decisions, strict=True):
        assert torch.equal(a.rows, b.rows) and torch.equal(a.columns, b.columns)


def test_a_batch_moves_to_a_device_with_all_its_parts():
    batch = collate([Example([0], [2], [5, 7, END])], PAD, build(TOY), labelled=False).to(torch.device("meta"))
    assert batch.labels is None
    assert len(batch.decisions) == 2
    tensors = [t for d in batch.decisions for t in (d.rows, d.columns, d.tokens, d.chosen)]
    assert {t.device.type for t in (batch.source, batch.source_mask, batch.decoder_input, *tensors)} == {"meta"}
