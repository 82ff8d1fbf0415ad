"""How alike two names are spelled: cosine of TF-IDF vectors over character n-grams.

GenBioEL (arXiv 2204.05164) and ANGEL choose the synonym to generate by trigrams within words; BioSyn (arXiv 2005.00239)
adds the cosine over single characters and pairs, across words, to that of its encoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from genlink.data.nearest import best_columns

__all__ = ["NameSimilarity", "row_products"]

# Texts x names compared at a time: 32 MiB of float32.
_CELLS = 1 << 23


class NameSimilarity:
    """TF-IDF vectors of a fixed list of names, compared row by row or block by block: never all against all.

    ``vectors``: a sparse matrix (CSR) of shape (names, n-grams), each row of length one. The n-grams are trigrams
    within words, or those of BioSyn.
    """

    def __init__(self, keys: Iterable[str], ngrams: Literal["trigrams", "biosyn"] = "trigrams") -> None:
        analyzer, ngram_range = ("char", (1, 2)) if ngrams == "biosyn" else ("char_wb", (3, 3))
        self._vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=ngram_range, dtype=np.float32)
        self.vectors = self._vectorizer.fit_transform(keys)

    def between(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of names ``a[i]`` and ``b[i]``, both indices of names; shape (n,)."""
        return row_products(self.vectors[a], self.vectors[b])

    def to_texts(self, texts: Sequence[str], text: NDArray[np.int64], name: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarity of ``texts[text[i]]`` and name ``name[i]``; shape (n,)."""
        return row_products(self._vectorizer.transform(texts)[text], self.vectors[name])

    def nearest(self, texts: Sequence[str], k: int) -> NDArray[np.int64]:
        """The indices of the ``k`` names most like each text, best first, shape (texts, k); all names if fewer."""
        names = self.vectors.T.tocsr()
        rows = max(1, _CELLS // self.vectors.shape[0])
        blocks = [
            best_columns((self._vectorizer.transform(texts[start : start + rows]) @ names).toarray(), k)
            for start in range(0, len(texts), rows)
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, min(k, self.vectors.shape[0])), dtype=np.int64)


def row_products(a: Any, b: Any) -> NDArray[np.float32]:
    """The scalar product of row i of one sparse matrix and row i of another; shape (rows,)."""
    products: NDArray[np.float32] = np.asarray(a.multiply(b).sum(axis=1), dtype=np.float32).ravel()
    return products
