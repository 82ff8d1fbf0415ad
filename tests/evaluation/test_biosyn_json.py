"""Predictions in BioSyn's form: a query for each span, a mention for each part, right where all parts are."""

from __future__ import annotations

import pytest

from genlink.evaluation.biosyn_json import biosyn_predictions
from genlink.evaluation.predictions import PredictionRecord
from genlink.schema import Candidate


def record(surface, gold, *ranks, mention_id, part=None) -> PredictionRecord:
    candidates = tuple(
        Candidate(i, i, f"name of {ids}", 1.0, rank) for rank, ids in enumerate(ranks, start=1) for i in ids.split("|")
    )
    return PredictionRecord("doc", mention_id, surface, surface, ({gold},), (frozenset({gold}),), candidates, part)


def test_predictions_are_written_as_biosyn_writes_them():
    written = biosyn_predictions(
        [
            record("gout", "D1", "D2", "D1|D7", mention_id="a"),
            record("ovarian cancer", "D3", "D3", mention_id="b", part=0),
            record("breast cancer", "D4", "D9", "D8", "D3", mention_id="b", part=1),
            record("fever", "D5", mention_id="c"),
        ],
        k=3,
    )
    assert [len(query["mentions"]) for query in written["queries"]] == [1, 2, 1]
    assert written["queries"][0]["mentions"][0] == {
        "mention": "gout",
        "golden_cui": "D1",
        "candidates": [
            {"name": "name of D2", "cui": "D2", "label": 0},
            {"name": "name of D1|D7", "cui": "D1|D7", "label": 1},
        ],
    }
    # The second part of the composite is right at 3, with the gold of the first: that is BioSyn's rule.
    assert [c["label"] for c in written["queries"][1]["mentions"][1]["candidates"]] == [0, 0, 1]
    # Right at 2: gout. At 3: the composite too. Never: fever.
    assert [written[f"acc{k}"] for k in (1, 2, 3)] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_candidates_after_the_kth_are_left_out():
    [query] = biosyn_predictions([record("gout", "D1", "D2", "D3", "D1", mention_id="a")], k=2)["queries"]
    assert len(query["mentions"][0]["candidates"]) == 2
