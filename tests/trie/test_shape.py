"""The shape of a tree in a few bits a node says what arrays of parents and children say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.trie import shape
from genlink.trie.shape import Shape


@st.composite
def child_counts(draw: st.DrawFn) -> list[int]:
    """Children of each node, breadth first: a few unary nodes, leaves and branches, over several blocks of 64 nodes."""
    rows = draw(st.lists(st.sampled_from([0, 1, 1, 1, 2, 3, 70]), min_size=1, max_size=150))
    counts, waiting = [], 1
    for count in rows:
        if not waiting:
            break
        counts.append(count)
        waiting += count - 1
    return counts + [0] * waiting


def children_by_hand(counts: list[int]) -> list[range]:
    """Children take the numbers from 1 on, in the order of their parents."""
    families, first = [], 1
    for count in counts:
        families.append(range(first, first + count))
        first += count
    return families


def shape_of(counts: list[int]) -> Shape:
    return Shape.of_counts(np.array(counts, np.int32))


@given(child_counts())
def test_children_are_those_of_the_counts_asked_one_by_one_or_together(counts: list[int]) -> None:
    families, tree = children_by_hand(counts), shape_of(counts)
    assert [range(s.start, s.stop) for s in map(tree.children, range(len(counts)))] == families
    first, n = tree.families(np.arange(len(counts)))
    assert [range(a, a + b) for a, b in zip(first.tolist(), n.tolist(), strict=True)] == families
    assert tree.counts().tolist() == counts


@given(child_counts())
def test_leaves_are_the_nodes_without_children_and_are_counted_from_the_left(counts: list[int]) -> None:
    tree = shape_of(counts)
    leaves = [node for node, count in enumerate(counts) if not count]
    assert tree.leaves().tolist() == leaves
    assert tree.n_leaves == len(leaves)
    assert [node for node in range(tree.n) if tree.is_leaf(node)] == leaves
    ranks = [sum(leaf < node for leaf in leaves) for node in range(tree.n)]
    assert [tree.leaf_rank(node) for node in range(tree.n)] == ranks
    assert tree.leaf_ranks(range(tree.n)).tolist() == ranks


@pytest.mark.parametrize(("few", "unpacked"), [(0, 7), (10**9, 7)], ids=["together", "one by one"])
@given(counts=child_counts())
def test_the_parent_of_a_node_is_the_one_whose_child_it_is(few: int, unpacked: int, counts: list[int]) -> None:
    tree = shape_of(counts)
    expected = [parent for parent, family in enumerate(children_by_hand(counts)) for _ in family]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shape, "_FEW", few)
        patch.setattr(shape, "_UNPACKED", unpacked)
        assert tree.parents(range(1, tree.n)).tolist() == expected


@given(child_counts())
def test_levels_are_the_children_of_the_level_above(counts: list[int]) -> None:
    families, level, starts = children_by_hand(counts), [0], [0]
    while level:
        starts.append(level[-1] + 1)
        level = [child for node in level for child in families[node]]
    assert shape_of(counts).levels() == starts


def test_numbers_of_numpy_are_as_good_as_pythons() -> None:
    # Node 63 is the last of its block: a shift by 63 overflows 64 bits with a sign.
    tree = shape_of([64, *[1] * 64, *[0] * 64])
    for node in (0, 62, 63, 64, 127):
        number = np.int64(node)
        assert tree.children(number) == tree.children(node)
        assert tree.is_leaf(number) == tree.is_leaf(node)
        assert tree.leaf_rank(number) == tree.leaf_rank(node)
    assert tree.children(63) == slice(127, 128)


def test_a_shape_of_few_branches_takes_about_three_bits_a_node() -> None:
    tree = shape_of([2, *[1] * 20_000, 0, 0])
    assert (tree.blocks.nbytes + tree.extra_children.nbytes) * 8 < 3.01 * tree.n
