"""The predictions file: what is written is read back, and bad lines are named."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace

import pytest

from genlink.errors import DataError, FormatError
from genlink.evaluation import PredictionRecord, read_predictions, to_record, write_predictions
from genlink.schema import Candidate, Mention, Prediction


def test_gold_is_resolved_part_by_part(kb):
    mention = Mention(
        context="gout and plague",
        spans=((0, 4),),
        text="gout",
        document_id="1",
        mention_id="m",
        type="Disease",
        gold=(frozenset({"MESH:D4", "OLD4"}), frozenset({"D9"}), frozenset()),
    )
    record = to_record(Prediction(mention), kb)
    assert record.gold == mention.gold
    assert record.gold_concepts == (frozenset({"D4"}), frozenset(), frozenset())


def test_a_file_holds_what_was_written(tmp_path, record):
    records = [
        record([["B", "A"], []], ("A", 1, True), ("B", 1, True), part=None, type="Disease"),
        record(None, mention_id="1"),
        record([["A"]], ("C", 1), mention_id="2", part=0, surface="fièvre", out_of_kb=["A"]),
        replace(
            record([[]], mention_id="3"),
            candidates=(Candidate("A", "Ague", "ague", -1.5, 1, probability=0.125),),
            is_nil=True,
        ),
        replace(record([[]], mention_id="4"), is_nil=False, exact=True),
    ]
    for name in ("predictions.jsonl", "predictions.jsonl.gz"):
        write_predictions(tmp_path / name, records)
        assert read_predictions(tmp_path / name) == records
    assert gzip.decompress((tmp_path / name).read_bytes()) == (tmp_path / "predictions.jsonl").read_bytes()


def test_a_line_has_the_agreed_fields(tmp_path):
    candidate = Candidate("D1", "Colic", "Renal colic", 0.5, 1)
    gold = (frozenset({"X", "D1"}),)
    record = PredictionRecord("1", "m", "RC", "renal colic", gold, (frozenset({"D1"}),), (candidate,), spans=((3, 5),))
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [record])
    assert json.loads(path.read_text()) == {
        "document_id": "1",
        "mention_id": "m",
        "part": None,
        "text": "RC",
        "surface": "renal colic",
        "spans": [[3, 5]],
        "type": None,
        "gold": [["D1", "X"]],
        "gold_concepts": [["D1"]],
        "candidates": [
            {
                "concept_id": "D1",
                "concept_name": "Colic",
                "name": "Renal colic",
                "score": 0.5,
                "rank": 1,
                "ambiguous": False,
                "probability": None,
            }
        ],
        "exact": None,
        "is_nil": None,
    }


def test_files_from_before_exactness_and_calibration_are_read(tmp_path):
    path = tmp_path / "predictions.jsonl"
    old = {"concept_id": "A", "concept_name": "", "name": "", "score": 0, "rank": 1, "ambiguous": False}
    path.write_text(json.dumps(changed(candidates=[old])) + "\n")
    [record] = read_predictions(path)
    assert (record.exact, record.is_nil, record.candidates[0].probability) == (None, None, None)


def changed(**fields):
    line = {
        "document_id": "1", "mention_id": "m", "part": None, "text": "a", "surface": "a", "spans": [[0, 1]],
        "type": None, "gold": [["A"]], "gold_concepts": [["A"]], "candidates": [],
    }  # fmt: skip
    return {**line, **fields}


@pytest.mark.parametrize(
    "line",
    [
        {"document_id": "1"},
        changed(document_id=7),
        changed(gold=["A"]),
        changed(gold=[["A"], ["B"]]),
        changed(spans=[3]),
        changed(candidates=[{"concept_id": "A"}]),
        changed(
            candidates=[{"concept_id": "A", "concept_name": "", "name": "", "score": 0, "rank": 0, "ambiguous": False}]
        ),
        changed(exact=1),
        changed(is_nil="yes"),
        *(
            changed(
                candidates=[
                    {"concept_id": "A", "concept_name": "", "name": "", "score": 0, "rank": 1, "ambiguous": False}
                    | {"probability": probability}
                ]
            )
            for probability in (1.5, -0.1, math.nan, True, "likely")
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(changed()) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(FormatError, match=r"predictions\.jsonl:2: "):
        read_predictions(path)


def test_no_predictions_are_an_error(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("")
    with pytest.raises(DataError, match="no predictions"):
        read_predictions(path)
