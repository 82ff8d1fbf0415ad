"""How alike two names are spelled: cosine of TF-IDF vectors over character trigrams.

GenBioEL (arXiv 2204.05164) and ANGEL choose the synonym to generate by this measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["NameSimilarity", "row_products"]


class NameSimilarity:
    """TF-IDF vectors of a fixed list of names, compared row by row: never all against all.

    ``vectors``: a sparse matrix (CSR) of shape (names, trigrams), each row of length one.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
        self.vectors = self._vectorizer.fit_transform(keys)

    def between(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of names ``a[i]`` and ``b[i]``, both indices of names; shape (n,)."""
        return row_products(self.vectors[a], self.vectors[b])

    def to_texts(self, texts: Sequence[str], text: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of ``texts[text[i]]`` and name ``name[i]``; shape (n,)."""
        return row_products(self._vectorizer.transform(texts)[text], self.vectors[name])


def row_products(a: Any, b: Any) -> NDArray[np.float32]:
    """The scalar product of row i of one sparse matrix and row i of another; shape (rows,)."""
    products: NDArray[np.float32] = np.asarray(a.multiply(b).sum(axis=1), dtype=np.float32).ravel()
    return products
