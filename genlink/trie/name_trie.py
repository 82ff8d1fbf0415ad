"""A prefix tree over the token sequences of names: a few flat arrays, built once, walked often, memory-mapped.

Nodes are numbered breadth first, so the children of a node have consecutive numbers and one array of offsets
(compressed sparse rows) holds the whole shape. Text, tokenizers and models are unknown here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genlink.errors import FormatError
from genlink.files import atomic_file

__all__ = ["NameTrie"]

IntArray = npt.NDArray[np.integer[Any]]

_FILES = ("token", "first_child", "leaf_node", "leaf_name")
_DTYPES = {"token": ("uint16", "uint32"), "first_child": ("int32",), "leaf_node": ("int32",), "leaf_name": ("int32",)}
_BUILD_AGAIN = "Build the trie again."


class NameTrie:
    """The token sequences of names, each closed by an explicit end token.

    The end token makes every name a leaf, even one that is a prefix of another: a node is never both leaf and inner.

    ``token`` (uint16 or uint32, shape (n_nodes,)): the token on the edge into each node; that of the root is unused.
    ``first_child`` (int32, shape (n_nodes + 1,)): the children of node n are the nodes
    ``first_child[n]:first_child[n + 1]``, in ascending order of their tokens. The root is node 0.
    ``leaf_node`` (int32, shape (n_names,)): the leaves, ascending; ``leaf_name``: the name index of each.
    ``max_depth``: the number of tokens of the longest name, its end token included.

    The arrays are read only.
    """

    __slots__ = ("_by_name", "first_child", "leaf_name", "leaf_node", "max_depth", "token")

    def __init__(self, token: IntArray, first_child: IntArray, leaf_node: IntArray, leaf_name: IntArray) -> None:
        """Wrap finished arrays; use :meth:`build` or :meth:`open` to get a trie."""
        # Plain views: a memmap pays for its subclass at every slice. The map stays alive as their base.
        self.token = token.view(np.ndarray)
        self.first_child = first_child.view(np.ndarray)
        self.leaf_node = leaf_node.view(np.ndarray)
        self.leaf_name = leaf_name.view(np.ndarray)
        for array in (self.token, self.first_child, self.leaf_node, self.leaf_name):
            array.setflags(write=False)
        self.max_depth = _depth(self.first_child)
        self._by_name: npt.NDArray[np.intp] | None = None

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
        says which name each sequence stands for, so that a trie can cover a part of the names.

        Raises ValueError, naming the name ids: for a sequence that is empty or contains the end token, and for two
        names with the same tokens.
        """
        flat, bounds, names = _checked(tokens, offsets, end_token, name_ids)
        lengths = np.diff(bounds)
        leaf_of = np.empty(len(names), np.int64)
        level_tokens = [np.zeros(1, np.int64)]
        child_counts: list[npt.NDArray[np.int64]] = []
        # The sequences that reach the current depth, in trie order, and the node that each has reached.
        active = np.arange(len(names))
        parents = np.zeros(len(names), np.int64)
        level_start, level_end = 0, 1
        depth = 0
        while len(active):
            ends = lengths[active] == depth
            here = np.full(len(active), end_token, np.int64)
            here[~ends] = flat[bounds[active[~ends]] + depth]
            keys = parents << 32 | here
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            is_new = np.concatenate(([True], keys[1:] != keys[:-1]))
            nodes = np.cumsum(is_new) - 1 + level_end
            edges = keys[is_new]
            level_tokens.append(edges & 0xFFFFFFFF)
            child_counts.append(np.bincount((edges >> 32) - level_start, minlength=level_end - level_start))
            active, ends = active[order], ends[order]
            leaf_of[active[ends]] = nodes[ends]
            active, parents = active[~ends], nodes[~ends]
            level_start, level_end = level_end, level_end + len(edges)
            depth += 1
        child_counts.append(np.zeros(level_end - level_start, np.int64))

        order = np.argsort(leaf_of, kind="stable")
        leaf_node = leaf_of[order]
        _refuse_duplicates(leaf_node, names[order])
        token = np.concatenate(level_tokens)
        if len(token) > np.iinfo(np.int32).max:
            raise ValueError(f"{len(token)} trie nodes do not fit 32 bits: split the names over several tries")
        first_child = 1 + np.concatenate(([0], np.cumsum(np.concatenate(child_counts))))
        return cls(
            token.astype(np.uint16 if token.max() <= 0xFFFF else np.uint32),
            first_child.astype(np.int32),
            leaf_node.astype(np.int32),
            names[order].astype(np.int32),
        )

    @property
    def n_names(self) -> int:
        """The number of names."""
        return len(self.leaf_node)

    @property
    def n_nodes(self) -> int:
        """The number of nodes, the root and the leaves included."""
        return len(self.token)

    def children(self, node: int) -> slice:
        """The children of a node, as a slice of node numbers; empty for a leaf."""
        return slice(int(self.first_child[node]), int(self.first_child[node + 1]))

    def is_leaf(self, node: int) -> bool:
        """Whether a node ends a name."""
        return bool(self.first_child[node] == self.first_child[node + 1])

    def name_of(self, leaf: int) -> int:
        """The name that a leaf ends. Raises KeyError for a node that is no leaf."""
        # bisect, not np.searchsorted: that would convert the whole array to the type of the number sought.
        i = bisect_left(self.leaf_node, leaf)
        if i == self.n_names or self.leaf_node[i] != leaf:
            raise KeyError(leaf)
        return int(self.leaf_name[i])

    def leaf_of(self, name: int) -> int:
        """The leaf that ends a name. Raises KeyError for a name that is not in the trie."""
        if self._by_name is None:
            self._by_name = np.argsort(self.leaf_name)
        i = bisect_left(self._by_name, name, key=self.leaf_name.__getitem__)
        if i == self.n_names or self.leaf_name[self._by_name[i]] != name:
            raise KeyError(name)
        return int(self.leaf_node[self._by_name[i]])

    def find(self, tokens: Sequence[int] | IntArray) -> int | None:
        """The node that a sequence of tokens leads to from the root, or None. The root for the empty sequence."""
        node = 0
        for token in tokens:
            first, last = int(self.first_child[node]), int(self.first_child[node + 1])
            node = bisect_left(self.token, token, first, last)
            if node == last or self.token[node] != token:
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
            # The parent is the last node whose children start at or before this one.
            node = bisect_right(self.first_child, node) - 1
        return tokens[::-1]

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (name, its tokens without the end token), shorter names first. For checks, not for speed."""
        for leaf, name in zip(self.leaf_node.tolist(), self.leaf_name.tolist(), strict=True):
            yield name, self.path(leaf)[:-1]

    def save(self, directory: str | Path) -> None:
        """Write the arrays as ``.npy`` files into a directory, each atomically; other files there are left alone."""
        for name in _FILES:
            with atomic_file(Path(directory) / f"{name}.npy", "wb") as f:
                np.save(f, getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, directory: str | Path) -> NameTrie:
        """Memory-map a saved trie. Raises FormatError for files that are missing, broken or do not belong together."""
        arrays = {name: _open_array(Path(directory) / f"{name}.npy", _DTYPES[name]) for name in _FILES}
        n_nodes, n_names = len(arrays["token"]), len(arrays["leaf_node"])
        first_child = arrays["first_child"]
        sizes_agree = len(first_child) == n_nodes + 1 and len(arrays["leaf_name"]) == n_names
        try:
            if sizes_agree and first_child[0] == 1 and first_child[-1] == n_nodes:
                return cls(**arrays)
        except IndexError:  # offsets that lead out of the arrays
            pass
        raise FormatError(directory, "the arrays of this trie do not belong together.", advice=_BUILD_AGAIN)


def _checked(
    tokens: npt.ArrayLike, offsets: npt.ArrayLike, end_token: int, name_ids: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The arguments of ``build`` as int64 arrays, or a ValueError."""
    flat, bounds = np.asarray(tokens, np.int64), np.asarray(offsets, np.int64)
    n = len(bounds) - 1
    if n < 1:
        raise ValueError("a trie needs at least one name")
    lengths = np.diff(bounds)
    if bounds[0] != 0 or bounds[-1] != len(flat) or (lengths < 0).any():
        raise ValueError(f"offsets must ascend from 0 to the number of tokens, {len(flat)}")
    names = np.arange(n) if name_ids is None else np.asarray(name_ids, np.int64)
    if len(names) != n:
        raise ValueError(f"{len(names)} name ids for {n} sequences")
    if len(np.unique(names)) != n or names.min() < 0 or names.max() > np.iinfo(np.int32).max:
        raise ValueError("name ids must be distinct and fit 31 bits")
    if (lengths == 0).any():
        raise ValueError(f"no tokens for the names {_some(names[lengths == 0])}")
    if not 0 <= end_token < 1 << 32 or flat.min() < 0 or flat.max() >= 1 << 32:
        raise ValueError("token ids must lie in 0..2**32-1")
    if (flat == end_token).any():
        where = np.unique(np.searchsorted(bounds, np.flatnonzero(flat == end_token), side="right") - 1)
        raise ValueError(f"the end token {end_token} occurs inside the names {_some(names[where])}")
    return flat, bounds, names


def _refuse_duplicates(leaf_node: npt.NDArray[np.int64], names: npt.NDArray[np.int64]) -> None:
    """Raise ValueError where neighbours share a leaf."""
    same = np.flatnonzero(leaf_node[1:] == leaf_node[:-1])
    if len(same):
        pairs = ", ".join(f"{names[i]} and {names[i + 1]}" for i in same[:5])
        more = f" and {len(same) - 5} more" if len(same) > 5 else ""
        raise ValueError(f"names with the same tokens: {pairs}{more}")


def _some(names: npt.NDArray[np.int64]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(map(str, names[:10])) + more


def _depth(first_child: IntArray) -> int:
    """The number of levels below the root: the children of the level ``start:end`` are ``end:first_child[end]``."""
    depth, start, end = -1, 0, 1
    while end > start:
        start, end = end, int(first_child[end])
        depth += 1
    return depth


def _open_array(path: Path, dtypes: tuple[str, ...]) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise FormatError(path, "no such file: the trie is not complete.", advice=_BUILD_AGAIN) from None
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(path, f"not a whole .npy file ({error}).", advice=_BUILD_AGAIN) from None
    if array.ndim != 1 or array.dtype.name not in dtypes:
        raise FormatError(
            path, f"{array.ndim}-d {array.dtype} array, expected 1-d {' or '.join(dtypes)}.", advice=_BUILD_AGAIN
        )
    return array
