"""From sequences of tokens to a trie, a level at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from genlink.trie.shape import IntArray
from genlink.trie.tree import Tree, refuse_same_tokens

__all__ = ["build_tree", "packed", "token_type"]

_LARGEST_TOKEN = (1 << 32) - 1


def packed(blocks: Iterable[Sequence[Sequence[int]]]) -> tuple[IntArray, npt.NDArray[np.int64]]:
    """Sequences of tokens as ``NameTrie.build`` takes them: the tokens end to end, and the offsets of each sequence.

    Given a block of sequences at a time, such as a tokenizer returns, so that millions of names are never lists all at
    once. Tokens take two bytes where they fit. Raises ValueError for a number that is no token id.
    """
    tokens: list[IntArray] = [np.zeros(0, np.uint16)]
    lengths = [np.zeros(1, np.int64)]
    for block in blocks:
        lengths.append(np.fromiter(map(len, block), np.int64, len(block)))
        flat = np.fromiter(chain.from_iterable(block), np.int64, int(lengths[-1].sum()))
        _check_tokens(flat)
        tokens.append(flat.astype(token_type(flat)))
    return np.concatenate(tokens), np.cumsum(np.concatenate(lengths))


def build_tree(
    tokens: npt.ArrayLike, offsets: npt.ArrayLike, end_token: int, name_ids: npt.ArrayLike | None = None
) -> Tree:
    """The trie of n names: see ``NameTrie.build``."""
    flat, bounds, names = _checked(tokens, offsets, end_token, name_ids)
    lengths = np.diff(bounds)
    kind = np.promote_types(token_type(flat), token_type(np.array([end_token])))
    level_tokens = [np.array([end_token], kind)]
    counts: list[npt.NDArray[np.int32]] = []
    leaves = [np.zeros(0, np.int32)]  # sequences, in the order of their leaves
    same: list[tuple[int, int]] = []
    # The sequences that reach the current depth, in trie order, and the node of the level that each has reached.
    active, parents, width = np.arange(len(names), dtype=np.int32), np.zeros(len(names), np.int64), 1
    depth = 0
    while len(active):
        ends = lengths[active] == depth
        edges = parents << 32
        edges[ends] |= end_token
        edges[~ends] |= flat[bounds[active[~ends]] + depth].astype(np.int64)
        order = np.argsort(edges, kind="stable")
        active, ends, edges = active[order], ends[order], edges[order]
        is_new = np.ones(len(edges), bool)
        np.not_equal(edges[1:], edges[:-1], out=is_new[1:])
        again = np.flatnonzero(ends & ~is_new)
        same += zip(names[active[again - 1]].tolist(), names[active[again]].tolist(), strict=True)
        leaves.append(active[ends])
        active, parents = active[~ends], (np.cumsum(is_new) - 1)[~ends]
        edges = edges[is_new]
        level_tokens.append((edges & _LARGEST_TOKEN).astype(kind))
        counts.append(np.bincount(edges >> 32, minlength=width).astype(np.int32))
        width = len(edges)
        depth += 1
    counts.append(np.zeros(width, np.int32))
    refuse_same_tokens(same)
    return Tree(np.concatenate(level_tokens), np.concatenate(counts), names[np.concatenate(leaves)].astype(np.int32))


def token_type(tokens: IntArray) -> type[np.uint16 | np.uint32]:
    """The smaller of the two types that tokens are kept in, if they fit."""
    return np.uint16 if tokens.max(initial=0) <= 0xFFFF else np.uint32


def _checked(
    tokens: npt.ArrayLike, offsets: npt.ArrayLike, end_token: int, name_ids: npt.ArrayLike | None
) -> tuple[IntArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The arguments of ``build_tree`` as arrays, integer ones as they are, or a ValueError."""
    flat = np.asarray(tokens)
    if flat.dtype.kind not in "iu":
        flat = flat.astype(np.int64)
    bounds = np.asarray(offsets, np.int64)
    n = len(bounds) - 1
    lengths = np.diff(bounds)
    if n < 0 or bounds[0] != 0 or bounds[-1] != len(flat) or (lengths < 0).any():
        raise ValueError(f"offsets must ascend from 0 to the number of tokens, {len(flat)}")
    names = np.arange(n) if name_ids is None else np.asarray(name_ids, np.int64)
    if len(names) != n:
        raise ValueError(f"{len(names)} name ids for {n} sequences")
    largest = np.iinfo(np.int32).max
    if name_ids is not None and n and (len(np.unique(names)) < n or names.min() < 0 or names.max() > largest):
        raise ValueError("name ids must be distinct and fit 31 bits")
    if (lengths == 0).any():
        raise ValueError(f"no tokens for the names {_some(names[lengths == 0])}")
    _check_tokens(flat)
    _check_tokens(np.array([end_token]))
    inside = np.flatnonzero(flat == end_token)
    if len(inside):
        where = np.unique(np.searchsorted(bounds, inside, side="right") - 1)
        raise ValueError(f"the end token {end_token} occurs inside the names {_some(names[where])}")
    return flat, bounds, names


def _check_tokens(tokens: IntArray) -> None:
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() <= _LARGEST_TOKEN:
        raise ValueError("token ids must lie in 0..2**32-1")


def _some(names: npt.NDArray[np.int64]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(map(str, names[:10])) + more
