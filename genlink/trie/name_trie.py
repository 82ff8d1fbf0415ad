"""A prefix tree over the token sequences of names: a few flat arrays, built once, walked often, memory-mapped.

Nodes are numbered breadth first, so the children of a node have consecutive numbers. Text, tokenizers and models are
unknown here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genlink.errors import FormatError
from genlink.trie.build import build_tree, token_type
from genlink.trie.shape import BLOCK, IntArray, Shape, quick
from genlink.trie.store import BUILD_AGAIN, open_arrays, save_arrays
from genlink.trie.tree import Tree, merged, pruned, sequences, subtree

__all__ = ["NameTrie"]

_TYPES: dict[str, tuple[npt.DTypeLike, ...]] = {
    "token": (np.uint16, np.uint32),
    "blocks": (BLOCK,),
    "extra_children": (np.int32,),
    "leaf_name": (np.int32,),
    "name_leaf": (np.int32,),
}
# Fewer names than one for this many nodes are found from their leaves upwards, more by one pass over all nodes.
_NODES_SWEPT_FOR_A_NAME = 256


class NameTrie:
    """The token sequences of names, each closed by an explicit end token.

    The end token makes every name a leaf, even one that is a prefix of another: a node is never both leaf and inner. A
    trie may have no names: it is then a root without children.

    ``token`` (uint16 or uint32, shape (n_nodes,)): the token on the edge into each node. The root, node 0, has the end
    token. ``shape``: which node is whose child; siblings are in ascending order of their tokens.
    ``leaf_name`` (int32, shape (n_names,)): the id of the name of each leaf, in the order of the leaves.
    ``max_depth``: the number of tokens of the longest name, its end token included; 0 if there is none.

    The arrays are read only. Tries of the same names have equal arrays, however they were made.
    """

    __slots__ = ("_name_leaf", "_token", "leaf_name", "max_depth", "shape", "token")

    def __init__(self, token: IntArray, shape: Shape, leaf_name: IntArray, name_leaf: IntArray | None = None) -> None:
        """Wrap finished arrays; use :meth:`build` or :meth:`open` to get a trie."""
        # Plain views: a memmap pays for its subclass at every slice. The map stays alive as their base.
        self.token = token.view(np.ndarray)
        self.leaf_name = leaf_name.view(np.ndarray)
        for array in (self.token, self.leaf_name):
            array.setflags(write=False)
        self.shape = shape
        self.max_depth = len(shape.levels()) - 2
        self._token = quick(self.token)
        self._name_leaf = None if name_leaf is None else name_leaf.view(np.ndarray)

    @classmethod
    def build(
        cls,
        tokens: npt.ArrayLike,
        offsets: npt.ArrayLike,
        end_token: int,
        name_ids: npt.ArrayLike | None = None,
    ) -> NameTrie:
        """The trie of n names.

        ``tokens`` are the sequences end to end, *without* the end token, which is appended here; sequence i is
        ``tokens[offsets[i]:offsets[i + 1]]``, ``offsets`` has n + 1 entries. ``name_ids`` (distinct, default 0..n-1)
        says which name each sequence stands for, so that a trie can cover a part of the names. Arrays of any integer
        type are used as they are: :func:`genlink.trie.packed` makes small ones.

        Raises ValueError, naming the name ids: for a sequence that is empty or contains the end token, and for two
        names with the same tokens.
        """
        return cls._of(build_tree(tokens, offsets, end_token, name_ids))

    @classmethod
    def _of(cls, tree: Tree) -> NameTrie:
        token: IntArray = tree.token.astype(token_type(tree.token), copy=False)
        return cls(token, Shape.of_counts(tree.counts), tree.leaf_name)

    def _tree(self) -> Tree:
        return Tree(self.token, self.shape.counts(), self.leaf_name)

    @property
    def n_names(self) -> int:
        """The number of names."""
        return len(self.leaf_name)

    @property
    def n_nodes(self) -> int:
        """The number of nodes, the root and the leaves included."""
        return len(self.token)

    @property
    def nbytes(self) -> int:
        """What its arrays take on disk or in memory; of an opened trie with the leaf of each name."""
        arrays = [self.token, self.shape.blocks, self.shape.extra_children, self.leaf_name]
        return sum(array.nbytes for array in arrays) + (0 if self._name_leaf is None else self._name_leaf.nbytes)

    @property
    def end_token(self) -> int:
        """The token that ends every name."""
        return int(self.token[0])

    @property
    def name_leaf(self) -> IntArray:
        """The leaves in ascending order of the ids of their names (int32, shape (n_names,)).

        Of an opened trie it is mapped from its file; of any other it is sorted at first use.
        """
        if self._name_leaf is None:
            self._name_leaf = self.shape.leaves()[np.argsort(self.leaf_name)].astype(np.int32)
            self._name_leaf.setflags(write=False)
        return self._name_leaf

    def children(self, node: int) -> slice:
        """The children of a node, as a slice of node numbers; empty for a leaf."""
        return self.shape.children(node)

    def is_leaf(self, node: int) -> bool:
        """Whether a node has no children: it ends a name, or is the root of a trie without names."""
        return self.shape.is_leaf(node)

    def families(self, nodes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first child of each of many nodes and how many children it has, which follow one another."""
        return self.shape.families(nodes)

    def children_of(self, nodes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All children of many nodes, in order: the index into ``nodes`` of each one's parent, and its node number."""
        first, counts = self.shape.families(nodes)
        rows = np.repeat(np.arange(len(counts)), counts)
        # Position within the whole answer, less where the own family begins, plus the family's first node.
        return rows, np.arange(len(rows)) + np.repeat(first - (np.cumsum(counts) - counts), counts)

    def name_of(self, leaf: int) -> int:
        """The name that a leaf ends. Raises KeyError for a node that is no leaf."""
        if not leaf or not self.shape.is_leaf(leaf):
            raise KeyError(leaf)
        return int(self.leaf_name[self.shape.leaf_rank(leaf)])

    def leaf_of(self, name: int) -> int:
        """The leaf that ends a name. Raises KeyError for a name that is not in the trie."""
        leaves, is_there = self._look_up(np.array([name]))
        if not is_there[0]:
            raise KeyError(name)
        return int(leaves[0])

    def _look_up(self, names: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The leaf of each name, and whether it is in the trie; if it is not, the leaf is any."""
        n = self.n_names
        if not n:
            return np.zeros(len(names), np.int64), np.zeros(len(names), bool)
        lowest, highest = (self.name_of(int(self.name_leaf[i])) for i in (0, -1))
        # Were all ids in use between the lowest and the highest, a name's place would be its distance from the lowest.
        # It is less by at most the number of unused ones: often none, and then there is nothing to search.
        unused = highest - lowest + 1 - n
        high = np.clip(names - lowest, 0, n - 1)
        low = np.clip(names - lowest - unused, 0, n - 1)
        while (is_open := low < high).any():
            middle = (low + high) // 2
            is_before = self._names(self.name_leaf[middle]) < names
            low, high = np.where(is_open & is_before, middle + 1, low), np.where(is_open & ~is_before, middle, high)
        leaves = self.name_leaf[low].astype(np.int64)
        return leaves, self._names(leaves) == names

    def _names(self, leaves: IntArray) -> IntArray:
        return self.leaf_name[self.shape.leaf_ranks(leaves)]

    def find(self, tokens: Sequence[int] | IntArray) -> int | None:
        """The node that a sequence of tokens leads to from the root, or None. The root for the empty sequence."""
        node = 0
        for token in tokens:
            children = self.shape.children(node)
            node = bisect_left(self._token, token, children.start, children.stop)
            if node == children.stop or self._token[node] != token:
                return None
        return node

    def allowed_tokens(self, prefix_tokens: Sequence[int] | IntArray) -> IntArray:
        """The tokens that may follow a prefix, ascending: none after a whole name or outside the trie."""
        node = self.find(prefix_tokens)
        return self.token[:0] if node is None else self.token[self.children(node)]

    def path(self, node: int) -> list[int]:
        """The tokens from the root to a node: for a leaf, those of its name with the end token."""
        tokens: list[int] = []
        while node:
            tokens.append(int(self.token[node]))
            node = self.shape.parent(node)
        return tokens[::-1]

    def sequences(self) -> tuple[IntArray, npt.NDArray[np.int64], IntArray]:
        """The tokens, offsets and name ids that :meth:`build` makes an equal trie of: shorter names first."""
        return *sequences(self._tree()), self.leaf_name

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (name, its tokens without the end token), shorter names first. For checks, not for speed."""
        tokens, offsets, names = self.sequences()
        for i, name in enumerate(names.tolist()):
            yield name, tokens[offsets[i] : offsets[i + 1]].tolist()

    def restricted_to(self, names: npt.ArrayLike) -> NameTrie:
        """The trie of those of its names that are among ``names`` (ids, in any order), under the same ids.

        Ids that are not in this trie are passed over; if none is in it, the result has no names. The cost is that of
        the permitted names, whatever the size of this trie.
        """
        leaves, is_there = self._look_up(np.unique(np.asarray(names, np.int64)))
        leaves = np.sort(leaves[is_there])
        if len(leaves) * _NODES_SWEPT_FOR_A_NAME < self.n_nodes:
            return self._of(subtree(self.shape, self.token, self.leaf_name, leaves))
        return self._of(pruned(self._tree(), self._is_leaf_of(leaves)))

    def updated(
        self,
        tokens: npt.ArrayLike = (),
        offsets: npt.ArrayLike = (0,),
        name_ids: npt.ArrayLike = (),
        *,
        removed: npt.ArrayLike = (),
    ) -> NameTrie:
        """The trie without some names and with others: equal to one built of the resulting names.

        ``removed`` are ids. The rest is as for :meth:`build`; an id that is removed can be given to a new name. Arrays
        are copied, but no old name is sorted or spelled again.

        Raises KeyError for removed ids that are not in the trie, and ValueError as :meth:`build` does, also for new
        names with the id or the tokens of one that stays.
        """
        tree = self._tree()
        gone = np.unique(np.asarray(removed, np.int64))
        if len(gone):
            leaves, is_there = self._look_up(gone)
            if not is_there.all():
                raise KeyError(f"not in the trie: {', '.join(map(str, gone[~is_there]))}")
            tree = pruned(tree, ~self._is_leaf_of(leaves))
        added = build_tree(tokens, offsets, self.end_token, name_ids)
        taken = added.leaf_name[self._look_up(added.leaf_name.astype(np.int64))[1]]
        taken = np.setdiff1d(taken, gone)
        if len(taken):
            raise ValueError(f"names that are in the trie already: {', '.join(map(str, taken))}")
        return self._of(merged(tree, added))

    def _is_leaf_of(self, leaves: IntArray) -> npt.NDArray[np.bool_]:
        """Which leaves of the trie, in their order, are among these."""
        chosen = np.zeros(self.n_names, bool)
        chosen[self.shape.leaf_ranks(leaves)] = True
        return chosen

    def save(self, directory: str | Path) -> None:
        """Write the arrays as ``.npy`` files into a directory, each atomically; other files there are left alone."""
        arrays = (self.token, self.shape.blocks, self.shape.extra_children, self.leaf_name, self.name_leaf)
        save_arrays(directory, dict(zip(_TYPES, arrays, strict=True)))

    @classmethod
    def open(cls, directory: str | Path) -> NameTrie:
        """Memory-map a saved trie. Raises FormatError for files that are missing, broken or do not belong together."""
        token, blocks, extra_children, leaf_name, name_leaf = open_arrays(directory, _TYPES).values()
        try:
            shape = Shape(len(token), blocks, extra_children)
            if shape.is_whole() and len(leaf_name) == len(name_leaf) == shape.n_leaves * (shape.n > 1):
                return cls(token, shape, leaf_name, name_leaf)
        except IndexError:  # numbers that lead out of the arrays
            pass
        raise FormatError(directory, "the arrays of this trie do not belong together.", advice=BUILD_AGAIN)
