"""How alike two names are spelled: cosine of TF-IDF vectors over character trigrams.

GenBioEL (arXiv 2204.05164) and ANGEL choose the synonym to generate by this measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["NameSimilarity"]


class NameSimilarity:
    """TF-IDF vectors of a fixed list of names, compared row by row: never all against all."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
        self._vectors = self._vectorizer.fit_transform(keys)

    def between(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of names ``a[i]`` and ``b[i]``, both indices of names; shape (n,)."""
        product = self._vectors[a].multiply(self._vectors[b])
        similarity: NDArray[np.float32] = np.asarray(product.sum(axis=1), dtype=np.float32).ravel()
        return similarity

    def to_texts(self, texts: Sequence[str], text: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of ``texts[text[i]]`` and name ``name[i]``; shape (n,)."""
        vectors = self._vectorizer.transform(texts)
        product = vectors[text].multiply(self._vectors[name])
        similarity: NDArray[np.float32] = np.asarray(product.sum(axis=1), dtype=np.float32).ravel()
        return similarity
