"""BioSyn's candidates, and the n-grams of its sparse half."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from genlink.linkers.biosyn import half_and_half
from genlink.linkers.ngrams import Ngrams


def test_candidates_are_half_sparse_and_filled_up_with_dense_ones():
    dense, sparse = np.array([[1, 2, 3, 4, 5, 6]]), np.array([[2, 9, 8, 7, 6, 5]])
    assert half_and_half(dense, sparse, k=4).tolist() == [[2, 9, 1, 3]]
    assert half_and_half(dense, sparse, k=5).tolist() == [[2, 9, 8, 1, 3]]  # of an odd number most are sparse
    assert half_and_half(dense, sparse, k=4, dense_ratio=0.0).tolist() == [[2, 9, 8, 7]]
    assert half_and_half(dense, sparse, k=4, dense_ratio=1.0).tolist() == [[1, 2, 3, 4]]


def test_ngrams_are_the_letters_and_pairs_of_letters_with_the_weights_of_the_dictionary():
    names = ["aa b", "ab", "b"]
    ngrams = Ngrams(names)
    assert ngrams.vectorizer.get_feature_names_out().tolist() == [" ", " b", "a", "a ", "aa", "ab", "b"]
    # scikit-learn's smoothed weight, ln((1 + n) / (1 + df)) + 1: `ab` is in one name of three, `a` in two, `b` in all.
    a, b, ab = np.log(4 / 3) + 1, 1.0, np.log(4 / 2) + 1
    length = (a**2 + b**2 + ab**2) ** 0.5
    [weights] = ngrams.weights(["ab"])
    assert weights == pytest.approx({"ab": ab / length, "a": a / length, "b": b / length})
    assert list(weights) == ["ab", "a", "b"]


def test_ngrams_fitted_piece_by_piece_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("genlink.linkers.ngrams._COUNTED", 3)
    names = ["fever", "salt  fever", "ovarian\tcancer", "fever", "gout", "gauß", "tidal colic", "blue gout", "a"]
    ngrams, whole = Ngrams(names), TfidfVectorizer(analyzer="char", ngram_range=(1, 2), dtype=np.float32).fit(names)
    assert ngrams.vectorizer.get_feature_names_out().tolist() == whole.get_feature_names_out().tolist()
    assert ngrams.vectorizer.idf_.tolist() == whole.idf_.tolist()
    found, expected = ngrams._matrix, whole.transform(names)
    assert (found.dtype, found.shape, found.nnz) == (expected.dtype, expected.shape, expected.nnz)
    assert (found.indptr.tolist(), found.indices.tolist()) == (expected.indptr.tolist(), expected.indices.tolist())
    assert found.data.tolist() == expected.data.tolist()
    others = ngrams.with_names(["gout", "xyz", "salt", "of the"])
    assert (others._matrix != whole.transform(["gout", "xyz", "salt", "of the"])).nnz == 0


def test_sparse_search_is_sorting_all_cosines(monkeypatch):
    monkeypatch.setattr("genlink.linkers.ngrams._CELLS", 5)
    names = ["fever", "salt fever", "silver fever", "fever", "gout", "tidal colic", "blue gout"]
    ngrams, texts = Ngrams(names), ["fevers", "gout", "xyz"]
    vectorizer = ngrams.vectorizer
    cosines = (vectorizer.transform(texts) @ vectorizer.transform(names).T).toarray()
    scores, found = ngrams.search(texts, 4)
    expected = [sorted(range(7), key=lambda i, row=row: (-row[i], i))[:4] for row in cosines.round(5).tolist()]
    assert found.tolist() == expected
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, np.array(expected), axis=1), atol=1e-5)
