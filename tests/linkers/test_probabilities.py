"""Calibrations: the formula, what it makes of a prediction, and the file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MENTIONS

from genlink.errors import FormatError, UsageError
from genlink.linkers.calibration import Calibration, FittedOn
from genlink.schema import Candidate, Mention, Prediction

NONE = -math.inf

# The formula


def test_a_probability_is_a_share_of_the_listed_and_the_rest():
    # exp(s / T) is 4, 2 and 1, exp(b) is 3.
    scores = [2 * math.log(4), 2 * math.log(2), 0.0]
    calibration = Calibration(temperature=2.0, rest_logit=math.log(3), ranks=3)
    assert calibration.probabilities(scores) == pytest.approx([0.4, 0.2, 0.1])


def test_a_single_candidate_is_not_certain():
    assert Calibration(1.0, 0.0, 1).probabilities([0.0]) == pytest.approx([0.5])


def test_missing_ranks_have_no_share_and_a_list_may_be_empty():
    calibration = Calibration(0.5, -1.0, 3)
    lists = [[-1.0, -2.0, NONE], [-0.5, NONE, NONE], [NONE, NONE, NONE]]
    together = calibration.probabilities(lists)
    assert together[0, :2] == pytest.approx(calibration.probabilities([-1.0, -2.0]))
    assert together[1, :1] == pytest.approx(calibration.probabilities([-0.5]))
    assert together[0, 2] == 0 and together[2].tolist() == [0, 0, 0]
    assert calibration.probabilities([]).tolist() == []


@given(
    scores=st.lists(st.floats(-20, 0), min_size=1, max_size=4),
    temperature=st.floats(0.1, 10),
    rest=st.floats(-5, 5),
    factor=st.floats(0.1, 10),
    shift=st.floats(-5, 5),
)
def test_a_factor_is_taken_up_by_the_temperature_and_a_constant_by_the_rest(scores, temperature, rest, factor, shift):
    moved = [factor * score + shift for score in scores]
    other = Calibration(factor * temperature, rest + shift / (factor * temperature), 4)
    expected = Calibration(temperature, rest, 4).probabilities(scores)
    assert other.probabilities(moved) == pytest.approx(expected, abs=1e-9)


def test_an_answer_is_nil_if_nothing_is_listed_or_it_is_too_unsure():
    scores = [[0.0, NONE], [-3.0, NONE], [NONE, NONE]]
    assert Calibration(1.0, 0.0, 2, nil_threshold=0.4).is_nil(scores).tolist() == [False, True, True]
    assert Calibration(1.0, 0.0, 2).is_nil(scores).tolist() == [False, False, True]
    assert Calibration(1.0, 0.0, 2).is_nil([])
    assert not Calibration(1.0, 0.0, 1, nil_threshold=0.5).is_nil([0.0])  # exactly at the threshold


# A prediction

MENTION = Mention.in_context("a case of ", "fever")
# Rank 2 is an ambiguous name: two concepts, one share. exp(score) is 4, 2, 1, 1, and exp(b) is 2.
CANDIDATES = tuple(
    Candidate(concept, concept.lower(), concept.lower(), math.log(value), rank, ambiguous)
    for concept, value, rank, ambiguous in [
        ("A", 4, 1, False),
        ("B", 2, 2, True),
        ("C", 2, 2, True),
        ("D", 1, 3, False),
        ("E", 1, 4, False),
    ]
)
PREDICTION = Prediction(MENTION, CANDIDATES, exact=False)


def listed(prediction: Prediction) -> dict[str, float | None]:
    return {candidate.concept_id: candidate.probability for candidate in prediction.candidates}


def test_each_candidate_has_the_probability_of_its_rank() -> None:
    found = Calibration(1.0, math.log(2), ranks=4).apply(PREDICTION)
    assert listed(found) == pytest.approx({"A": 0.4, "B": 0.2, "C": 0.2, "D": 0.1, "E": 0.1})
    # Nothing else changes.
    assert (found.mention, found.exact) == (MENTION, False)
    assert tuple(replace(candidate, probability=None) for candidate in found.candidates) == CANDIDATES


@pytest.mark.parametrize(("k", "kept"), [(1, "A"), (2, "ABC"), (3, "ABCD"), (None, "ABCDE"), (9, "ABCDE")])
def test_a_list_is_cut_after_its_probabilities_are_known(k: int | None, kept: str) -> None:
    expected = dict(zip("ABCDE", [0.4, 0.2, 0.2, 0.1, 0.1], strict=True))
    found = Calibration(1.0, math.log(2), ranks=4).apply(PREDICTION, k)
    assert listed(found) == pytest.approx({concept: expected[concept] for concept in kept})


@pytest.mark.parametrize("k", [None, 9])
def test_ranks_that_the_calibration_was_not_fitted_on_are_left_out_of_sum_and_list(k: int | None) -> None:
    found = Calibration(1.0, math.log(2), ranks=2).apply(PREDICTION, k)
    assert listed(found) == pytest.approx({"A": 4 / 8, "B": 2 / 8, "C": 2 / 8})


def test_an_answer_that_is_too_improbable_is_nil_and_keeps_its_candidates() -> None:
    def at(threshold: float | None) -> Prediction:
        return Calibration(1.0, math.log(2), 4, threshold).apply(PREDICTION, k=1)

    assert [at(threshold).is_nil for threshold in (None, 0.39, 0.41)] == [False, False, True]
    assert listed(at(0.41)) == pytest.approx({"A": 0.4})
    assert PREDICTION.is_nil is None


@pytest.mark.parametrize("threshold", [None, 0.0, 0.5])
def test_nothing_found_is_nil_whatever_the_threshold(threshold: float | None) -> None:
    found = Calibration(1.0, 0.0, 4, threshold).apply(Prediction(MENTION))
    assert found == Prediction(MENTION, is_nil=True)


def test_a_prediction_has_a_first_rank() -> None:
    with pytest.raises(UsageError, match="k is 0"):
        Calibration(1.0, 0.0, 4).apply(PREDICTION, k=0)


@given(
    scores=st.lists(st.floats(-20, 0), min_size=1, max_size=8),
    ranks=st.integers(1, 10),
    k=st.integers(1, 10),
    threshold=st.floats(0, 1),
)
def test_a_prediction_is_given_what_the_formula_gives(scores, ranks, k, threshold):
    scores.sort(reverse=True)
    calibration = Calibration(1.5, -1.0, ranks, threshold)
    candidates = tuple(Candidate(str(i), "", "", score, i) for i, score in enumerate(scores, 1))
    found = calibration.apply(Prediction(MENTION, candidates), k)
    weights = [math.exp(score / 1.5) for score in scores[:ranks]]
    expected = [weight / (sum(weights) + math.exp(-1.0)) for weight in weights]
    assert [c.probability for c in found.candidates] == pytest.approx(expected[:k])
    if abs(expected[0] - threshold) > 1e-9:
        assert found.is_nil == (expected[0] < threshold)


def test_answers_of_a_linker_share_one_with_all_that_is_not_listed(linker):
    calibration = Calibration(temperature=4.0, rest_logit=-1.0, ranks=4)
    for whole in linker.link(MENTIONS, k=calibration.ranks):
        scores = {candidate.rank: candidate.score for candidate in whole.candidates}
        total = sum(math.exp(score / 4) for score in scores.values()) + math.exp(-1)
        found = calibration.apply(whole, k=2).candidates
        assert {candidate.rank for candidate in found} == {1, 2}
        for candidate in found:
            assert candidate.probability == pytest.approx(math.exp(candidate.score / 4) / total)


# The file

SAVED = Calibration(1.25, -3.5, 10, 0.4, FittedOn("data/dev.jsonl", "0" * 64, n=7, n_nil=2, ambiguous="lenient"))


@pytest.mark.parametrize("calibration", [SAVED, replace(SAVED, nil_threshold=None, fitted_on=None)])
def test_a_calibration_is_read_as_it_was_saved(calibration, tmp_path):
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.read(tmp_path / "calibration.json") == calibration


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "model"}, "is no calibration"),
        ({"format_version": 2}, "format version 2"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": True}, "expected a number, found True"),
        ({"temperature": "warm"}, "expected a number, found 'warm'"),
        ({"temperature": 10**400}, "too large"),
        ({"rest_logit": math.nan}, "rest_logit is nan"),
        ({"rest_logit": None}, "expected a number, found None"),
        ({"nil_threshold": 1.5}, "nil_threshold is 1.5"),
        ({"ranks": 0}, "ranks is 0"),
        ({"ranks": 2.5}, "expected a whole number"),
        ({"fitted_on": "dev"}, "expected an object"),
        ({"fitted_on": {"path": "dev"}}, "'sha256'"),
        ({"fitted_on": {"path": 1, "sha256": "", "n": 1, "n_nil": 0, "ambiguous": ""}}, "path is 1"),
    ],
)
def test_a_bad_calibration_is_refused_by_file_and_field(change, says, tmp_path):
    path = tmp_path / "calibration.json"
    SAVED.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FormatError, match=says) as error:
        Calibration.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("field", ["temperature", "rest_logit", "ranks", "nil_threshold", "fitted_on"])
def test_a_calibration_has_every_field(field, tmp_path):
    path = tmp_path / "calibration.json"
    SAVED.save(path)
    value = json.loads(path.read_text())
    del value[field]
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match=f"no '{field}' field"):
        Calibration.read(path)


def test_what_is_no_object_is_no_calibration(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text("[1, 2]")
    with pytest.raises(FormatError, match="is no calibration"):
        Calibration.read(path)
