"""BioSyn's candidates and its file of predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from genlink.linkers.biosyn import half_and_half, write_biosyn_predictions
from genlink.linkers.ngrams import Ngrams
from genlink.schema import Candidate, Mention, Prediction


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


def prediction(text, gold, *ids, mention_id="", part=None) -> Prediction:
    mention = Mention("x", ((0, 1),), text, "doc", mention_id, gold=tuple(map(frozenset, gold)), part=part)
    return Prediction(mention, tuple(Candidate(i, i, f"name of {i}", 1.0, r) for r, i in enumerate(ids, start=1)))


def test_predictions_in_the_form_of_biosyn(tmp_path):
    predictions = [
        prediction("gout", [{"D1"}], "D2", "D1"),
        prediction("ovarian cancer", [{"D3"}, {"D4"}], "D3", mention_id="m", part=0),
        prediction("breast cancer", [{"D3"}, {"D4"}], "D9", "D8", "D4", mention_id="m", part=1),
        prediction("fever", [{"D5"}]),
    ]
    write_biosyn_predictions(tmp_path / "predictions.json", predictions, k=3)
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert [len(query["mentions"]) for query in written["queries"]] == [1, 2, 1]
    assert written["queries"][0]["mentions"][0] == {
        "mention": "gout",
        "golden_cui": "D1",
        "candidates": [
            {"name": "name of D2", "cui": "D2", "label": 0},
            {"name": "name of D1", "cui": "D1", "label": 1},
        ],
    }
    # Right at 2: gout. Right at 3: the composite too, of which the second mention comes right last. Never: fever.
    assert written["queries"][1]["mentions"][1]["golden_cui"] == "D3|D4"
    assert [written[f"acc{k}"] for k in (1, 2, 3)] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
