"""The shape of a tree, without a pointer: two bits a node say which of them end and which branch."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "IntArray", "Shape", "quick"]

IntArray = npt.NDArray[np.integer[Any]]

# What is known of 64 nodes: which are leaves and which branch, a bit each, the lowest first; how many were before them.
BLOCK = np.dtype([("leaf", "<u8"), ("branch", "<u8"), ("leaves", "<u4"), ("branches", "<u4")])
_BITS_BYTES = 16
_ONE = np.uint64(1)
_LANES = np.arange(64)
# Parents that are found sooner one by one.
_FEW = 8
# Rows of 64 nodes that are unpacked at a time, so that a million nodes need no gigabyte.
_UNPACKED = 1 << 12


class Shape:
    """Which node of a tree is whose child.

    Nodes are numbered breadth first, so the children of the nodes before n stand together, behind the root and before
    the children of n. Each of those nodes has one child, but for the leaves, which have none, and for the nodes that
    branch, which have more. Hence::

        first child of n = n + 1 - leaves before n + extra children of the branching nodes before n

    Both are counted in constant time by the bits and running totals of ``blocks`` (rank by Jacobson 1989), which take
    three bits a node; ``extra_children`` (int32, shape (branching nodes + 1,)) has the sums of what each branching node
    has beyond its first child. An ``int32`` for every node would take ten times as much.
    """

    __slots__ = ("_block_first", "_branch", "_branches", "_extra", "_leaf", "_leaves", "blocks", "extra_children", "n")

    def __init__(self, n: int, blocks: npt.NDArray[Any], extra_children: IntArray) -> None:
        """Wrap finished arrays for ``n`` nodes."""
        self.n = n
        # Plain views: a memmap pays for its subclass at every index. The map stays alive as their base.
        self.blocks = blocks.view(np.ndarray)
        self.extra_children = extra_children.view(np.ndarray)
        for array in (self.blocks, self.extra_children):
            array.setflags(write=False)
        self._leaf, self._branch = quick(self.blocks["leaf"]), quick(self.blocks["branch"])
        self._leaves, self._branches = quick(self.blocks["leaves"]), quick(self.blocks["branches"])
        self._extra = quick(self.extra_children)
        self._block_first: memoryview | None = None

    @classmethod
    def of_counts(cls, counts: npt.NDArray[np.int32]) -> Shape:
        """The shape of a tree whose nodes, breadth first, have so many children; ``counts`` has shape (n,).

        Raises ValueError for more nodes than 31 bits can number.
        """
        if len(counts) > np.iinfo(np.int32).max:
            raise ValueError(f"{len(counts)} trie nodes do not fit 31 bits: split the names over several tries")
        blocks = np.zeros(-(-len(counts) // 64), BLOCK)
        branching = counts > 1
        for bits, totals, flags in (("leaf", "leaves", counts == 0), ("branch", "branches", branching)):
            padded = np.zeros(len(blocks) * 8, np.uint8)
            packed = np.packbits(flags, bitorder="little")
            padded[: len(packed)] = packed
            blocks[bits] = padded.view("<u8")
            ones = _ones(blocks[bits])
            blocks[totals] = np.cumsum(ones) - ones
        extra = np.zeros(np.count_nonzero(branching) + 1, np.int32)
        np.cumsum(counts[branching] - 1, out=extra[1:])
        return cls(len(counts), blocks, extra)

    def children(self, node: int) -> slice:
        """The children of a node, as a slice of node numbers; empty for a leaf."""
        node = int(node)  # the shifts below would overflow a number of numpy's
        block, bit = node >> 6, node & 63
        below = (1 << bit) - 1
        leaf, branch = self._leaf[block], self._branch[block]
        branches = self._branches[block] + (branch & below).bit_count()
        extra = self._extra[branches]
        first = node + 1 - self._leaves[block] - (leaf & below).bit_count() + extra
        if branch >> bit & 1:
            return slice(first, first + 1 + self._extra[branches + 1] - extra)
        return slice(first, first + 1 - (leaf >> bit & 1))

    def is_leaf(self, node: int) -> bool:
        """Whether a node has no children."""
        return bool(self._leaf[node >> 6] >> (int(node) & 63) & 1)

    def leaf_rank(self, node: int) -> int:
        """How many leaves come before a node."""
        node = int(node)
        block = node >> 6
        rank: int = self._leaves[block] + (self._leaf[block] & ((1 << (node & 63)) - 1)).bit_count()
        return rank

    def families(self, nodes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first child and the number of children of each node; for a leaf, where a child would be, and 0."""
        nodes = np.asarray(nodes, np.int64)
        block, bit = self.blocks[nodes >> 6], (nodes & 63).astype(np.uint64)
        below = (_ONE << bit) - _ONE
        branches = block["branches"] + _ones(block["branch"] & below)
        extra = self.extra_children[branches]
        first = nodes + 1 - block["leaves"] - _ones(block["leaf"] & below) + extra
        is_leaf, is_branch = (_bit(block[kind], bit) for kind in ("leaf", "branch"))
        return first, 1 - is_leaf + self.extra_children[branches + is_branch] - extra

    def leaf_ranks(self, nodes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """How many leaves come before each node."""
        nodes = np.asarray(nodes, np.int64)
        block, bit = self.blocks[nodes >> 6], (nodes & 63).astype(np.uint64)
        return np.asarray(block["leaves"] + _ones(block["leaf"] & ((_ONE << bit) - _ONE)))

    def parent(self, node: int) -> int:
        """The parent of a node other than the root."""
        block = bisect_right(self._first_of_blocks, node) - 1
        leaf, branch, branches = self._leaf[block], self._branch[block], self._branches[block]
        start = (block << 6) + 1 - self._leaves[block]
        low, high = 0, 63
        while low < high:
            middle = (low + high + 1) >> 1
            below = (1 << middle) - 1
            extra = self._extra[branches + (branch & below).bit_count()]
            if start + middle - (leaf & below).bit_count() + extra <= node:
                low = middle
            else:
                high = middle - 1
        return (block << 6) + low

    def parents(self, nodes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The parent of each node; none of them may be the root. Ascending nodes have ascending parents."""
        nodes = np.asarray(nodes, np.int64)
        if len(nodes) <= _FEW:
            return np.array([self.parent(node) for node in nodes.tolist()], np.int64)
        starts = range(0, len(nodes), _UNPACKED)
        return np.concatenate([self._parents(nodes[start : start + _UNPACKED]) for start in starts])

    def _parents(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        # The parent's block is the last one whose first node has its children at or before the node. The type has to
        # be the array's own, or numpy would copy the array to the wider one.
        number = np.searchsorted(np.asarray(self._first_of_blocks), nodes.astype(np.int32), side="right") - 1
        block = self.blocks[number]
        packed = block.view(np.uint8).reshape(-1, BLOCK.itemsize)[:, :_BITS_BYTES]
        within = np.cumsum(np.unpackbits(packed, axis=1, bitorder="little").reshape(-1, 2, 64), axis=2, dtype=np.uint8)
        extra = self.extra_children[block["branches"][:, None] + within[:, 1]]
        start = 64 * number
        # Where the children of each node of the block end. The parent is the first whose children end after the node.
        ends = (start + 2 - block["leaves"])[:, None] + _LANES - within[:, 0] + extra
        return np.asarray(start + (ends <= nodes[:, None]).sum(axis=1))

    @property
    def _first_of_blocks(self) -> memoryview:
        """The first child of each block's first node, found at first use: half a bit a node."""
        if self._block_first is None:
            starts = np.arange(0, 64 * len(self.blocks), 64)
            first = starts + 1 - self.blocks["leaves"] + self.extra_children[self.blocks["branches"]]
            self._block_first = quick(first.astype(np.int32))
        return self._block_first

    def levels(self) -> list[int]:
        """Where each level of the tree starts, and the end of the last."""
        starts = [0, 1]
        while (end := self.children(starts[-1] - 1).stop) > starts[-1]:
            starts.append(end)
        return starts

    def counts(self) -> npt.NDArray[np.int32]:
        """The number of children of every node: the inverse of :meth:`of_counts`."""
        counts = np.ones(self.n, np.int32)
        counts -= self._flags("leaf")
        counts[np.flatnonzero(self._flags("branch"))] += np.diff(self.extra_children)
        return counts

    def leaves(self) -> npt.NDArray[np.int64]:
        """All leaves, ascending."""
        return np.flatnonzero(self._flags("leaf"))

    @property
    def n_leaves(self) -> int:
        """The number of leaves."""
        n: int = self._leaves[-1] + self._leaf[-1].bit_count()
        return n

    def is_whole(self) -> bool:
        """Whether the arrays belong together, as far as a few looks can tell. IndexError where they lead astray."""
        if not self.n or len(self.blocks) != -(-self.n // 64) or not len(self.extra_children):
            return False
        branches = self._branches[-1] + self._branch[-1].bit_count()
        n_edges = self.n - self.n_leaves + self._extra[-1]
        return branches == len(self._extra) - 1 and n_edges == self.n - 1 and self.levels()[-1] == self.n

    def _flags(self, bits: str) -> npt.NDArray[np.uint8]:
        packed = np.ascontiguousarray(self.blocks[bits]).view(np.uint8)
        return np.unpackbits(packed, count=self.n, bitorder="little")


def quick(array: Any) -> memoryview:
    """An array to take single numbers from: out of a memoryview they are plain ints, and come faster."""
    return memoryview(array)


def _ones(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The number of ones in each word (Warren, Hacker's Delight, 5-1); numpy has a function for it only from 2.0."""
    pairs = words - (words >> _ONE & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + (pairs >> np.uint64(2) & np.uint64(0x3333333333333333))
    eights = fours + (fours >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray(eights * np.uint64(0x0101010101010101) >> np.uint64(56), np.int64)


def _bit(words: npt.NDArray[np.uint64], bit: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return np.asarray(words >> bit & _ONE, np.int64)
