"""Where the names of a batch can go wrong: at the nodes of a trie that have more than one child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from genlink.trie import NameTrie

__all__ = ["Decisions", "find_decisions", "walk"]

IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Places of a batch at which the children of trie nodes compete.

    ``rows`` and ``columns`` (places,): the example, and the place in its decoder input whose answer is the next token.
    ``tokens`` (compared,): all that competes at any of the places, ascending. ``chosen`` (places,): the right one, as
    an index of ``tokens``. ``is_child`` (places, compared): what competes at each place, None where all do everywhere.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor
    chosen: torch.Tensor
    is_child: torch.Tensor | None

    def to(self, device: torch.device) -> Decisions:
        """The same on a device."""
        is_child = None if self.is_child is None else self.is_child.to(device)
        rows, columns, tokens, chosen = (t.to(device) for t in (self.rows, self.columns, self.tokens, self.chosen))
        return Decisions(rows, columns, tokens, chosen, is_child)


def walk(trie: NameTrie, targets: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """The nodes on the way of each target: the root, then the node that each token leads to.

    Shape (targets, longest target + 1); -1 behind the end of a shorter target, and where a target is in the trie no
    more. Only one that was cut may get there: ValueError where a target with an end is not a name of the trie.
    """
    lengths = np.array([len(target) for target in targets])
    tokens = np.full((len(targets), int(lengths.max())), -1, dtype=np.int64)
    for row, target in enumerate(targets):
        tokens[row, : len(target)] = target
    nodes = np.full((len(targets), tokens.shape[1] + 1), -1, dtype=np.int64)
    nodes[:, 0] = 0
    for depth in range(tokens.shape[1]):
        walking = np.flatnonzero(nodes[:, depth] >= 0)
        nodes[walking, depth + 1] = _child(trie, nodes[walking, depth], tokens[walking, depth])
    every = np.arange(len(targets))
    lost = (nodes[every, lengths] < 0) & (tokens[every, lengths - 1] == trie.end_token)
    if lost.any():
        raise ValueError(f"the target {list(targets[int(lost.argmax())])} is not a name of the trie of the objective")
    return nodes


def _child(trie: NameTrie, nodes: IntArray, tokens: IntArray) -> npt.NDArray[np.int64]:
    """The child of each node by its token, -1 where there is none: a binary search in all of them at once."""
    low, counts = trie.families(nodes)
    high = last = low + counts
    while (is_open := low < high).any():
        middle = np.where(is_open, (low + high) // 2, 0)
        is_before = trie.token[middle] < tokens
        low, high = np.where(is_open & is_before, middle + 1, low), np.where(is_open & ~is_before, middle, high)
    found = low < last
    found[found] = trie.token[low[found]] == tokens[found]
    return np.where(found, low, -1)


def find_decisions(
    trie: NameTrie, targets: Sequence[Sequence[int]], first_columns: Sequence[int]
) -> tuple[Decisions, ...]:
    """The decisions on the way of each target; a node with one child is none.

    ``first_columns``: where in the decoder input of each example its first target token is asked for. A target that was
    cut decides as far as it stays in the trie. First come the decisions at the root, be they none, then, if there are
    any, those elsewhere: the root has thousands of children, and every example passes it.

    Raises ValueError as :func:`walk` does.
    """
    way = walk(trie, targets)
    rows, steps = np.nonzero(way[:, 1:] >= 0)
    branches = trie.families(way[rows, steps])[1] > 1
    rows, steps = rows[branches], steps[branches]
    before, after = way[rows, steps], way[rows, steps + 1]
    columns = np.asarray(first_columns)[rows] + steps
    at_root = before == 0
    groups = [(at_root, np.zeros(1, np.int64))]
    if not at_root.all():
        groups.append((~at_root, np.unique(before[~at_root])))
    return tuple(_compare(trie, nodes, before[here], after[here], rows[here], columns[here]) for here, nodes in groups)


def _compare(
    trie: NameTrie, nodes: IntArray, before: IntArray, after: IntArray, rows: IntArray, columns: IntArray
) -> Decisions:
    """The decisions at some ``nodes``, ascending: ``before`` is that of each place, ``after`` its right child."""
    owner, children = trie.children_of(nodes)
    tokens, which = np.unique(trie.token[children], return_inverse=True)
    is_child = np.zeros((len(nodes), len(tokens)), dtype=bool)
    is_child[owner, which] = True
    return Decisions(
        torch.from_numpy(rows),
        torch.from_numpy(columns),
        torch.from_numpy(tokens.astype(np.int64)),
        torch.from_numpy(np.searchsorted(tokens, trie.token[after])),
        None if len(nodes) == 1 else torch.from_numpy(is_child[np.searchsorted(nodes, before)]),
    )
