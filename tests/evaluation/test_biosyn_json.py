"""Predictions in BioSyn's form: a query for each span, a mention for each part, right where all parts are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genlink.evaluation.biosyn_json import biosyn_predictions
from genlink.evaluation.policy import PRESETS
from genlink.evaluation.predictions import PredictionRecord
from genlink.evaluation.report import result_rows, score_predictions
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
            record("breast cancer", "D4", "D9", "D8", "D3|D4", mention_id="b", part=1),
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
    # Both mentions of the composite have the gold of both, from which their labels follow.
    assert [mention["golden_cui"] for mention in written["queries"][1]["mentions"]] == ["D3|D4", "D3|D4"]
    for mention in (mention for query in written["queries"] for mention in query["mentions"]):
        gold = set(mention["golden_cui"].split("|"))
        assert [c["label"] for c in mention["candidates"]] == [
            int(bool(gold & set(c["cui"].split("|")))) for c in mention["candidates"]
        ]
    assert [c["label"] for c in written["queries"][1]["mentions"][1]["candidates"]] == [0, 0, 1]
    # Right at 2: gout. At 3: the composite too. Never: fever.
    assert [written[f"acc{k}"] for k in (1, 2, 3)] == [0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_what_biosyn_leaves_out_is_left_out_and_spans_are_those_of_the_preset():
    right = [record("gout", "D1", "D1", mention_id="a") for _ in range(2)]  # a corpus may hold a document twice
    no_label = replace(right[0], gold=None, gold_concepts=(), mention_id="b")
    nil = replace(right[0], gold=(frozenset(),), gold_concepts=(frozenset(),), mention_id="c")
    out_of_kb = replace(right[0], gold_concepts=(frozenset(),), mention_id="d")
    # The second part is out of the knowledge base, so that nothing is asked of it.
    half = [
        record("ovarian cancer", "D3", "D9", "D3", mention_id="e", part=0),
        replace(record("other cancer", "D4", "D8", mention_id="e", part=1), gold_concepts=(frozenset(),)),
    ]
    whole = PredictionRecord("doc", "f", "both", "both", ({"D1"}, {"D2"}), (frozenset({"D1"}), frozenset({"D2"})), ())
    records = [*right, no_label, nil, out_of_kb, *half, whole]
    written = biosyn_predictions(records, k=2)
    assert [len(query["mentions"]) for query in written["queries"]] == [1, 1, 2, 1]
    assert (written["acc1"], written["acc2"]) == (2 / 4, 3 / 4)
    scored = score_predictions(records, PRESETS["biosyn"], k=2)
    assert written["acc1"] == result_rows({"biosyn": scored})["biosyn"]["acc@1"].value


def test_candidates_after_the_kth_are_left_out():
    [query] = biosyn_predictions([record("gout", "D1", "D2", "D3", "D1", mention_id="a")], k=2)["queries"]
    assert len(query["mentions"][0]["candidates"]) == 2
