"""A trie in the plain form that it is built and changed in: arrays over all nodes, breadth first."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genlink.trie.shape import IntArray, Shape

__all__ = ["Tree", "merged", "pruned", "refuse_same_tokens", "sequences", "subtree"]


class Tree(NamedTuple):
    """A trie of n nodes, numbered breadth first, siblings in ascending order of their tokens.

    ``token`` (n,): on the edge into each node; that of the root is the end token. ``counts`` (int32, (n,)): children of
    each node. ``leaf_name`` (int32, (names,)): the name of each leaf, in the order of the leaves.
    """

    token: IntArray
    counts: npt.NDArray[np.int32]
    leaf_name: npt.NDArray[np.int32]


def pruned(tree: Tree, kept: npt.NDArray[np.bool_]) -> Tree:
    """The trie of the kept names; ``kept`` has shape (names,). Takes time in proportion to the whole trie."""
    if not kept.any():
        return Tree(tree.token[:1], np.zeros(1, np.int32), tree.leaf_name[:0])
    levels = _levels(tree.counts)
    is_kept = tree.counts == 0
    is_kept[is_kept] = kept
    counts = np.zeros_like(tree.counts)
    for parents, children in zip(levels[-2::-1], levels[:0:-1], strict=True):
        before = np.zeros(children.stop - children.start + 1, np.int32)
        np.cumsum(is_kept[children], out=before[1:])
        ends = np.cumsum(tree.counts[parents])
        counts[parents] = before[ends] - before[ends - tree.counts[parents]]
        is_kept[parents] |= counts[parents] > 0
    return Tree(tree.token[is_kept], counts[is_kept], tree.leaf_name[kept])


def subtree(shape: Shape, token: IntArray, leaf_name: IntArray, leaves: npt.NDArray[np.int64]) -> Tree:
    """The trie of some leaves, ascending, found from below: its cost is theirs, not the whole trie's."""
    nodes, above = [leaves], [leaves[:0]]
    while len(here := nodes[-1]):
        parents = shape.parents(here)
        above.append(parents)
        is_new = np.ones(len(parents), bool)
        np.not_equal(parents[1:], parents[:-1], out=is_new[1:])
        nodes.append(parents[is_new & (parents > 0)])
    # A node can be met from leaves at several depths. Numbers ascend in the subtree as they do in the whole.
    below, which = np.unique(np.concatenate(nodes), return_index=True)
    every = np.concatenate((np.zeros(1, np.int64), below))
    counts = np.bincount(np.searchsorted(every, np.concatenate(above)[which]), minlength=len(every))
    return Tree(token[every], counts.astype(np.int32), leaf_name[shape.leaf_ranks(leaves)].astype(np.int32))


def merged(old: Tree, new: Tree) -> Tree:
    """The trie of the names of both, level by level; nothing is sorted that is in order already.

    Raises ValueError for names of both with the same tokens.
    """
    levels = list(zip_longest(_levels(old.counts), _levels(new.counts), fillvalue=slice(0, 0)))
    token_type = np.promote_types(old.token.dtype, new.token.dtype)
    tokens, counts, names = [old.token[:1].astype(token_type)], [], [old.leaf_name[:0]]
    same: list[tuple[int, int]] = []
    # The place of each node of the level above in its merged level, and how wide that is.
    old_place, new_place, width = np.zeros(1, np.int64), np.zeros(1, np.int64), 1
    old_named = new_named = 0
    for (old_above, new_above), (old_level, new_level) in pairwise(levels):
        old_edges = np.repeat(old_place, old.counts[old_above]) << 32 | old.token[old_level]
        new_edges = np.repeat(new_place, new.counts[new_above]) << 32 | new.token[new_level]
        edges, old_place, new_place = _inserted(old_edges, new_edges)
        tokens.append((edges & 0xFFFFFFFF).astype(token_type))
        counts.append(np.bincount(edges >> 32, minlength=width).astype(np.int32))
        width = len(edges)

        old_leaves, new_leaves = old_place[old.counts[old_level] == 0], new_place[new.counts[new_level] == 0]
        name = np.full(width, -1, np.int32)
        name[old_leaves] = old.leaf_name[old_named : old_named + len(old_leaves)]
        added = new.leaf_name[new_named : new_named + len(new_leaves)]
        there = name[new_leaves]
        same += zip(there[there >= 0].tolist(), added[there >= 0].tolist(), strict=True)
        name[new_leaves] = added
        names.append(name[name >= 0])
        old_named, new_named = old_named + len(old_leaves), new_named + len(new_leaves)
    counts.append(np.zeros(width, np.int32))
    refuse_same_tokens(same)
    return Tree(np.concatenate(tokens), np.concatenate(counts), np.concatenate(names))


def _inserted(
    old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The union of two ascending arrays of distinct numbers, and the place in it of every old and every new one."""
    at = np.searchsorted(old, new)
    is_new = np.ones(len(new), bool)
    inside = at < len(old)
    is_new[inside] = old[at[inside]] != new[inside]
    at_new = at[is_new]
    # Every old number moves by as many as are put before it.
    old_place = np.arange(len(old)) + np.cumsum(np.bincount(at_new, minlength=len(old) + 1))[:-1]
    new_place = np.empty(len(new), np.int64)
    new_place[is_new] = at_new + np.arange(len(at_new))
    new_place[~is_new] = old_place[at[~is_new]]
    return np.insert(old, at_new, new[is_new]), old_place, new_place


def sequences(tree: Tree) -> tuple[IntArray, npt.NDArray[np.int64]]:
    """The names, in the order of their leaves: their tokens end to end without the end token, and their offsets."""
    levels = _levels(tree.counts)
    lengths = np.repeat(np.arange(-1, len(levels) - 1), [np.count_nonzero(tree.counts[level] == 0) for level in levels])
    lengths = lengths[lengths >= 0]  # the root of an empty trie
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    tokens = np.empty(offsets[-1], tree.token.dtype)
    parent = np.repeat(np.arange(len(tree.counts), dtype=np.int32), tree.counts)  # of every node but the root
    node, place = parent[np.flatnonzero(tree.counts == 0)[: len(lengths)] - 1], offsets[1:] - 1
    while len(node):
        tokens[place] = tree.token[node]
        node, place = parent[node - 1], place - 1
        node, place = node[node > 0], place[node > 0]
    return tokens, offsets


def refuse_same_tokens(pairs: list[tuple[int, int]]) -> None:
    """Raise ValueError for pairs of names, if there are any."""
    if pairs:
        shown = ", ".join(f"{first} and {second}" for first, second in pairs[:5])
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        raise ValueError(f"names with the same tokens: {shown}{more}")


def _levels(counts: npt.NDArray[np.int32]) -> list[slice]:
    """The nodes of each depth, from the root on."""
    levels, start, end = [], 0, 1
    while end > start:
        levels.append(slice(start, end))
        start, end = end, end + int(counts[start:end].sum())
    return levels
