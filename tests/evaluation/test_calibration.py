"""Calibrations: the formula, the fit, the threshold, the folds and the file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import DataError, FormatError
from genlink.evaluation.calibration import Calibration, FittedOn
from genlink.evaluation.calibration_fit import (
    best_nil_threshold,
    cross_fit,
    document_folds,
    fit_calibration,
    fit_temperature,
)

NONE = -math.inf


def draw(n: int, temperature: float, rest_logit: float, seed: int, ranks: int = 5):
    """Lists of log-probability-like scores, and whether their first rank is right, drawn from a known calibration."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.exponential(4, size=(n, ranks)), axis=1)
    scores[np.arange(ranks) >= rng.integers(1, ranks + 1, size=(n, 1))] = NONE
    right = rng.random(n) < Calibration(temperature, rest_logit, ranks).probabilities(scores)[:, 0]
    return scores, right


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


# The fit


@pytest.mark.parametrize(("temperature", "rest_logit"), [(1.0, -2.0), (2.5, -1.0), (0.4, -5.0)])
def test_the_temperature_that_answers_were_drawn_with_is_found(temperature, rest_logit):
    scores, right = draw(20_000, temperature, rest_logit, seed=1)
    found = fit_temperature(scores, right)

    # The standard errors of maximum likelihood: p is a Bernoulli parameter, so the information about (T, b) is the sum
    # of dp dp' / (p (1 - p)) over mentions.
    def first(t: float, b: float):
        return Calibration(t, b, 5).probabilities(scores)[:, 0]

    p, step = first(temperature, rest_logit), 1e-4
    slopes = np.stack(
        [
            (first(temperature + step, rest_logit) - first(temperature - step, rest_logit)) / (2 * step),
            (first(temperature, rest_logit + step) - first(temperature, rest_logit - step)) / (2 * step),
        ]
    )
    errors = np.sqrt(np.diag(np.linalg.inv((slopes / (p * (1 - p))) @ slopes.T)))
    assert errors[0] < 0.05 * temperature  # or the next line would hold for anything
    assert abs(found[0] - temperature) < 4 * errors[0] and abs(found[1] - rest_logit) < 4 * errors[1]


@pytest.mark.parametrize("seed", range(6))
def test_no_other_parameters_are_likelier(seed):
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.exponential(3, size=(60, 4)), axis=1)
    right = rng.random(60) < rng.random()
    r, w = right.sum(), (~right).sum()
    targets = np.where(right, (r + 1) / (r + 2), 1 / (w + 2))

    def loss(temperature: float, rest_logit: float) -> float:
        p = Calibration(temperature, rest_logit, 4).probabilities(scores)[:, 0].clip(1e-300, 1 - 1e-16)
        return -float((targets * np.log(p) + (1 - targets) * np.log1p(-p)).mean())

    best = min(loss(t, b) for t in np.geomspace(0.02, 500, 60) for b in np.linspace(-15, 15, 91))
    assert loss(*fit_temperature(scores, right)) <= best + 1e-6


@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_the_fit_does_not_depend_on_the_unit_of_scores(factor, shift):
    scores, right = draw(200, 1.5, -2.0, seed=4)
    moved = factor * scores + shift
    expected = fit_calibration(scores, right, np.zeros(200)).probabilities(scores)
    assert fit_calibration(moved, right, np.zeros(200)).probabilities(moved) == pytest.approx(expected, abs=1e-4)


def test_even_answers_that_are_all_right_are_not_certain():
    found = Calibration(*fit_temperature([[1.0]] * 8, [True] * 8), ranks=1)
    assert found.probabilities([1.0]) == pytest.approx([9 / 10], abs=1e-4)  # (r + 1) / (r + 2)


def test_scores_that_part_right_from_wrong_leave_the_temperature_finite():
    temperature, rest = fit_temperature([[-1.0], [-2.0], [-8.0], [-9.0]], [True, True, False, False])
    assert 0 < temperature < math.inf and math.isfinite(rest)


def test_mentions_without_candidate_do_not_count_in_the_fit():
    scores, right = draw(300, 1.0, -2.0, seed=6)
    with_more = np.concatenate([scores, np.full((50, 5), NONE)]), np.concatenate([right, np.zeros(50, bool)])
    assert fit_temperature(*with_more) == pytest.approx(fit_temperature(scores, right))
    with pytest.raises(DataError, match="No mention has a candidate"):
        fit_temperature([[NONE]], [False])


# The threshold


def f1_of_nil(p, nil, threshold: float) -> float:
    said = [value == 0 or value < threshold for value in p]
    both = sum(s and n for s, n in zip(said, nil, strict=True))
    return 2 * both / (sum(said) + sum(nil)) if sum(said) + sum(nil) else 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, 0.9]), st.booleans()), min_size=1, max_size=12))
def test_the_threshold_is_the_lowest_of_the_best(mentions):
    p, nil = zip(*mentions, strict=True)
    found = best_nil_threshold(p, nil)
    # No probability lies between one of these and the next, so no other threshold parts the mentions otherwise.
    every = [0.0, 0.05, 0.15, 0.25, 0.4, 0.7, 0.95]
    scores = [f1_of_nil(p, nil, t) for t in every]
    assert f1_of_nil(p, nil, found) == max(scores)
    said = [value == 0 or value < found for value in p]
    lowest = every[scores.index(max(scores))]
    assert said == [value == 0 or value < lowest for value in p]


def test_a_threshold_lies_midway_between_the_probabilities_that_it_parts():
    assert best_nil_threshold([0.2, 0.4, 0.8], [True, False, False]) == pytest.approx(0.3)
    assert best_nil_threshold([0.2, 0.4, 0.8], [True, True, True]) == pytest.approx(0.9)


def test_a_calibration_has_a_threshold_only_if_there_was_a_nil_to_fit_it():
    scores, right = draw(100, 1.0, -2.0, seed=2)
    assert fit_calibration(scores, right, np.zeros(100)).nil_threshold is None
    assert fit_calibration(scores, right, ~right).nil_threshold is not None


# The folds


def test_folds_are_of_whole_documents_and_of_equal_size():
    documents = [str(i) for i in range(11) for _ in range(i + 1)]
    fold = document_folds(documents, 3, seed=0)
    of_document = {d: {f for other, f in zip(documents, fold, strict=True) if other == d} for d in documents}
    assert all(len(folds) == 1 for folds in of_document.values())
    assert sorted(sum(folds == {f} for folds in of_document.values()) for f in range(3)) == [3, 4, 4]
    assert document_folds(documents, 3, seed=0).tolist() == fold.tolist()
    assert document_folds(documents, 3, seed=1).tolist() != fold.tolist()
    assert sorted(document_folds(["a", "b"], 5, seed=0)) == [0, 1]


def test_cross_fitting_never_scores_a_document_with_parameters_fitted_to_it():
    scores, right = draw(120, 1.0, -1.0, seed=7)
    nil = ~right & (np.arange(120) % 2 == 0)
    documents = [str(i // 10) for i in range(120)]
    before = cross_fit(scores, right, nil, documents, folds=4, seed=0)
    for document in ("0", "5", "11"):
        own = np.array(documents) == document
        # Whatever the gold of a document says, its own probabilities do not hear of it, and other documents' do.
        after = cross_fit(scores, right ^ own, nil ^ own, documents, folds=4, seed=0)
        assert after.probability[own].tolist() == before.probability[own].tolist()
        assert after.is_nil[own].tolist() == before.is_nil[own].tolist()
        other_folds = before.fold != before.fold[own][0]
        assert (after.probability[other_folds] != before.probability[other_folds]).all()


def test_a_cross_fit_keeps_the_parameters_of_each_fold():
    scores, right = draw(90, 1.0, -1.0, seed=8)
    fitted = cross_fit(scores, right, ~right, [str(i // 10) for i in range(90)], folds=3, seed=0)
    for f, calibration in enumerate(fitted.calibrations):
        inside = fitted.fold == f
        assert calibration == fit_calibration(scores[~inside], right[~inside], ~right[~inside])
        assert fitted.probability[inside].tolist() == calibration.probabilities(scores[inside])[:, 0].tolist()
        assert fitted.is_nil[inside].tolist() == calibration.is_nil(scores[inside]).tolist()


def test_one_document_cannot_be_cross_fitted():
    with pytest.raises(DataError, match="two documents"):
        cross_fit([[0.0]] * 4, [True] * 4, [False] * 4, ["1"] * 4, folds=5, seed=0)


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
