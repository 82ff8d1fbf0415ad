"""For a name, the names of other concepts that are spelled most like it: exact, without comparing all with all.

The measure is the cosine of ``NameSimilarity``. A product of all vectors costs as many steps as there are pairs of
names for each trigram they share, and most of these steps are spent on a few trigrams that hundreds of thousands of
names have, which say the least. Here a name's trigrams are taken from the rarest on, only until the rest of its vector
is so short that it cannot make up for having none of them in common (prefix filtering: Chaudhuri et al. 2006, Bayardo
et al. 2007). Let a query be ``q = p + r`` with ``|p| = cos f`` and ``|r| = sin f``. A name of length one whose product
with ``p`` is ``cos f cos b`` is no nearer to ``q`` than ``cos(b - f)``, so that one of cosine ``t = cos a`` or more has
``b <= f + a``: only names whose product with ``p`` is ``cos f cos(f + a)`` or more have to be compared in full, where
``t`` is the cosine of the last neighbour among any names that have been compared already.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genlink.data.similarity import NameSimilarity, row_products
from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase

__all__ = ["OtherNames"]

# A product of queries and names holds 8 bytes for each pair that shares a trigram: 64 MiB at the most. The names are
# few enough for the sums of a query to stay in the processor's cache.
_QUERIES, _NAMES = 512, 1 << 14
# Pairs compared in full at a time.
_PAIRS = 1 << 16
# The names compared first, which give each query its first bound, are the best of those that share its rarest trigrams,
# as many trigrams as are in this many names.
_FIRST_POSTINGS, _FIRST_COMPARED = 1 << 13, 64
# How long the rest of a query may be, in units of the bound: below 1. More leaves more names to compare in full.
_REST = 0.75
# For the rounding of single precision, in both the product and the bound.
_SLACK = 1e-5
# Cosines that agree so far are equal: a tie goes to the smaller key index.
_DECIMALS = 6

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class OtherNames:
    """The names of a knowledge base, indexed for the question which names of other concepts are nearest.

    Names of more than ``max_name_length`` characters (None: there is no limit) are neither asked for nor found, and
    count for no trigram's frequency. KnowledgeBaseError if that leaves none.
    """

    def __init__(self, kb: KnowledgeBase, max_name_length: int | None = None) -> None:
        self._kb = kb
        limit = float("inf") if max_name_length is None else max_name_length
        self._key = np.array([i for i in range(kb.n_keys) if len(kb.key(i)) <= limit], dtype=np.int64)
        if not len(self._key):
            raise KnowledgeBaseError(f"no name has at most {max_name_length} characters. Raise max_name_length.")
        self._name = np.full(kb.n_keys, -1, dtype=np.int64)
        self._name[self._key] = np.arange(len(self._key))
        vectors = NameSimilarity(kb.key(i) for i in self._key).vectors
        frequency = np.bincount(vectors.indices, minlength=vectors.shape[1])
        rarest_first = np.argsort(frequency, kind="stable")
        self._frequency = frequency[rarest_first]
        self._vectors = vectors[:, rarest_first].sorted_indices()
        starts = range(0, len(self._key), _NAMES)
        self._parts = [(start, self._vectors[start : start + _NAMES].T.tocsr()) for start in starts]

    def nearest(self, keys: Ints, top: int) -> NDArray[np.int32]:
        """The ``top`` nearest names of other concepts for each key, nearest first; shape (keys, top), of key indices.

        A name that shares a concept with the key is none of another concept, nor is the key itself. -1 stands where
        fewer names have a trigram in common with the key. Equal cosines are in the order of the key indices.
        """
        found = np.full((len(keys), top), -1, dtype=np.int32)
        names = self._name[keys]
        asked = np.flatnonzero(names >= 0)
        for start in range(0, len(asked), _QUERIES):
            rows = asked[start : start + _QUERIES]
            nearest = self._nearest(names[rows], top)
            found[rows] = np.where(nearest < 0, -1, self._key[nearest])
        return found

    def cosines(self, a: Ints, b: Ints) -> NDArray[np.float32]:
        """The cosine of keys ``a[i]`` and ``b[i]``, neither of them too long; shape (n,)."""
        return self._products(self._name[a], self._name[b])

    def _nearest(self, names: Ints, top: int) -> Ints:
        """For each query the names that are its neighbours, -1 where there are fewer; shape (queries, top)."""
        queries = self._vectors[names]
        excluded = self._of_same_concepts(names)
        bound = np.maximum(self._first_bounds(names, excluded, top) - _SLACK, 0)
        row, squares = _rows(queries), queries.data.astype(np.float64) ** 2
        behind = np.concatenate([[0.0], np.cumsum(squares)])
        behind = behind[queries.indptr[1:]][row] - behind[:-1]  # from each trigram to the end of its row
        keep = behind > ((_REST * bound) ** 2)[row]
        rest = np.sqrt(np.bincount(row, squares * ~keep, minlength=len(names)))
        heads = _only(queries, keep)

        best = np.full((len(names), top), -1, dtype=np.int64)
        cosine = np.zeros((len(names), top))
        for start, part in self._parts:
            product = heads @ part
            row = _rows(product)
            bound = np.maximum(bound, cosine[:, -1] - _SLACK)
            near = np.flatnonzero(product.data >= _least_products(bound, rest)[row])
            row, name, found = self._compared(names, row[near], start + product.indices[near], excluded)
            if len(row):
                known_row, known = np.nonzero(best >= 0)
                best, cosine = _first(
                    np.concatenate([known_row, row]),
                    np.concatenate([best[known_row, known], name]),
                    np.concatenate([cosine[known_row, known], found]),
                    shape=best.shape,
                )
        return best

    def _of_same_concepts(self, names: Ints) -> Ints:
        """The pairs of a query and a name that share a concept, as sorted codes ``query * names + name``."""
        codes = []
        for row, name in enumerate(names.tolist()):
            concepts = self._kb.key_concepts(int(self._key[name]))
            keys = {key for concept in concepts for key in self._kb.concept_keys(concept)}
            same = self._name[np.fromiter(keys, dtype=np.int64, count=len(keys))]
            codes.append(row * len(self._key) + np.sort(same[same >= 0]))
        return np.concatenate(codes)

    def _first_bounds(self, names: Ints, excluded: Ints, top: int) -> Floats:
        """A cosine for each query that its last neighbour has or exceeds; 0 where none is known."""
        queries = self._vectors[names]
        postings = np.cumsum(self._frequency[queries.indices])
        row = _rows(queries)
        before = np.concatenate([[0], postings])[queries.indptr[:-1]]
        heads = _only(queries, postings - before[row] <= _FIRST_POSTINGS)
        product = sparse.hstack([heads @ part for _, part in self._parts], format="csr")
        compared = _FIRST_COMPARED + np.bincount(excluded // len(self._key), minlength=len(names))
        near = [
            start + np.argpartition(product.data[start:end], -min(most, end - start))[-min(most, end - start) :]
            for start, end, most in zip(product.indptr[:-1], product.indptr[1:], compared, strict=True)
            if end > start
        ]
        if not near:
            return np.zeros(len(names))
        cells = np.concatenate(near)
        row, name, found = self._compared(names, _rows(product)[cells], product.indices[cells], excluded)
        return _first(row, name, found, shape=(len(names), top))[1][:, -1]

    def _compared(self, names: Ints, row: Ints, name: Ints, excluded: Ints) -> tuple[Ints, Ints, Floats]:
        """The pairs of a query and a name that share no concept, and their cosines; each of shape (pairs left,)."""
        code = row * len(self._key) + name
        at = np.searchsorted(excluded, code)
        other = excluded[np.minimum(at, len(excluded) - 1)] != code
        row, name = row[other], name[other]
        cosine: Floats = self._products(names[row], name).astype(np.float64)
        return row, name, cosine.round(_DECIMALS)

    def _products(self, a: Ints, b: Ints) -> NDArray[np.float32]:
        pieces = [slice(start, start + _PAIRS) for start in range(0, len(a), _PAIRS)]
        products = [row_products(self._vectors[a[piece]], self._vectors[b[piece]]) for piece in pieces]
        return np.concatenate(products) if products else np.empty(0, dtype=np.float32)


def _least_products(bound: Floats, rest: Floats) -> Floats:
    """What the product of a query's head and a name is at least if their cosine is at least ``bound``.

    ``rest`` is the length of the rest of the query; all have shape (queries,).
    """
    angle = np.arcsin(np.minimum(rest, 1))
    least: Floats = np.cos(angle) * np.cos(angle + np.arccos(np.minimum(bound, 1))) - _SLACK
    return least


def _first(row: Ints, name: Ints, cosine: Floats, shape: tuple[int, int]) -> tuple[Ints, Floats]:
    """The names of largest cosine in each row, and the cosines, both of a shape (rows, top); else -1, and 0."""
    order = np.lexsort((name, -cosine, row))
    row, name, cosine = row[order], name[order], cosine[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < shape[1]
    best, largest = np.full(shape, -1, dtype=np.int64), np.zeros(shape)
    best[row[kept], rank[kept]] = name[kept]
    largest[row[kept], rank[kept]] = cosine[kept]
    return best, largest


def _rows(matrix: sparse.csr_matrix) -> Ints:
    """The row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _only(matrix: sparse.csr_matrix, keep: NDArray[np.bool_]) -> sparse.csr_matrix:
    """The matrix with some of its entries."""
    starts = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[keep], matrix.indices[keep], starts), shape=matrix.shape)
