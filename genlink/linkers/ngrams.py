"""The sparse half of BioSyn (arXiv 2005.00239): TF-IDF of the letters of a text and of their pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlink.linkers.base import sparse_bytes
from genlink.linkers.vectors import MoreScores, best_names

__all__ = ["NGRAM_RANGE", "Ngrams"]

NGRAM_RANGE = (1, 2)

# Names that are counted at a time: as scikit-learn counts, a number takes thrice the memory that it takes in the end.
_COUNTED = 1 << 14
# Scores at a time, texts x names.
_CELLS = 1 << 21


class Ngrams:
    """Vectors of length one over the n-grams of ``fitted`` names, white space included; products of two are cosines.

    Texts are compared with the fitted names, by key index, unless others took their place.
    """

    def __init__(self, fitted: Sequence[str]) -> None:
        self._fitted: Sequence[str] | Ngrams = fitted
        self._names = fitted

    def with_names(self, names: Sequence[str]) -> Ngrams:
        """The same n-grams and weights for other names."""
        other = Ngrams(names)
        other._fitted = self
        return other

    @cached_property
    def vectorizer(self) -> Any:
        """scikit-learn's ``TfidfVectorizer`` with the settings of BioSyn, fitted without a matrix of all names."""
        if isinstance(self._fitted, Ngrams):
            return self._fitted.vectorizer
        from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

        settings = {"analyzer": "char", "ngram_range": NGRAM_RANGE, "dtype": np.float32}
        analyse = TfidfVectorizer(**settings).build_analyzer()
        counts = Counter(ngram for name in self._fitted for ngram in set(analyse(name)))
        terms = sorted(counts)
        frequencies = np.array([counts[term] for term in terms], dtype=np.float32)
        vectorizer = TfidfVectorizer(**settings, vocabulary=terms)
        # Its own smoothed weight, in its own order of steps.
        vectorizer.idf_ = np.log(np.float32(len(self._fitted) + 1) / (frequencies + 1)) + 1
        return vectorizer

    @cached_property
    def _matrix(self) -> Any:
        from scipy.sparse import vstack

        starts = range(0, max(1, len(self._names)), _COUNTED)
        blocks = (self.vectorizer.transform(self._names[start : start + _COUNTED]) for start in starts)
        return vstack(list(blocks), format="csr")

    @property
    def nbytes(self) -> int:
        """What the vectors of the names take in memory."""
        return sparse_bytes(self._matrix)

    def scores(self, texts: Sequence[str]) -> MoreScores:
        """The cosines of texts with any names, the latter by key index."""
        # Nearly every name has a letter of nearly every text, so the texts are rather dense than sparse.
        queries = self.vectorizer.transform(texts).toarray().T

        def of(names: NDArray[np.int64]) -> Tensor:
            contiguous = names[-1] - names[0] == len(names) - 1
            rows = self._matrix[names[0] : names[-1] + 1] if contiguous else self._matrix[names]
            return torch.from_numpy(rows @ queries).T

        return of

    def search(self, texts: Sequence[str], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The ``n`` names with the largest cosines for each text; as ``NameVectors.search``."""
        scores, names = self.scores(texts), np.arange(self._matrix.shape[0])
        step = max(1, _CELLS // max(1, len(texts)))
        blocks = (names[start : start + step] for start in range(0, len(names), step))
        return best_names(((block, scores(block)) for block in blocks), n)

    def weights(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The n-grams of each text with their weights, the heaviest first, equal ones by the alphabet."""
        terms, matrix = self.vectorizer.get_feature_names_out(), self.vectorizer.transform(texts)
        found = []
        for start, end in pairwise(matrix.indptr):
            pairs = zip(terms[matrix.indices[start:end]].tolist(), matrix.data[start:end].tolist(), strict=True)
            found.append(dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))))
        return found
