"""From prediction records to arrays, and what the probabilities of records are worth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from genlink.errors import DataError, UsageError
from genlink.evaluation.calibration_fit import cross_fit
from genlink.evaluation.calibration_report import CALIBRATED, EXP, SOFTMAX, Answers, gather_answers, report_calibration
from genlink.linkers.calibration import Calibration

NONE = -math.inf


def sampled(n: int = 400, *, seed: int = 0, nil_share: float = 0.5) -> Answers:
    """Answers that keep the probabilities of T = 3, b = -1 in forty documents; of the wrong ones a share is NIL."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.exponential(6, size=(n, 3)), axis=1)
    scores[rng.random(n) < 0.1] = NONE
    right = rng.random(n) < Calibration(3.0, -1.0, 3).probabilities(scores)[:, 0]
    nil = ~right & (rng.random(n) < nil_share)
    return Answers(tuple(str(i // 10) for i in range(n)), scores, right, nil, unlabelled=0)


# From records to arrays


def test_a_rank_has_one_score_however_many_concepts_share_it(record):
    answers = gather_answers([record([["D2"]], ("D1", 1, True), ("D2", 1, True), ("D3", 2)), record([["D1"]])])
    assert answers.scores.tolist() == [[-1, -2], [NONE, NONE]]
    assert answers.right.tolist() == [True, False]
    assert answers.answered.tolist() == [True, False]


def test_an_ambiguous_name_is_right_by_the_rule_that_is_asked_for(record):
    records = [record([["D2"]], ("D1", 1, True), ("D2", 1, True))]
    assert gather_answers(records, "lenient").right.tolist() == [True]
    assert gather_answers(records, "strict").right.tolist() == [False]
    with pytest.raises(UsageError, match="lenient"):
        gather_answers(records, "lenent")


def test_right_is_the_first_rank_only(record):
    assert gather_answers([record([["D2"]], ("D1", 1), ("D2", 2))]).right.tolist() == [False]


def test_nil_is_what_has_no_gold_in_the_knowledge_base_and_unlabelled_mentions_are_left_out(record):
    answers = gather_answers(
        [
            record([["D1"]], ("D1", 1)),
            record([[]], ("D1", 1), mention_id="1"),
            record([["D9"]], ("D1", 1), mention_id="2", out_of_kb=["D9"]),
            record([["D9"], ["D1"]], ("D1", 1), mention_id="3", out_of_kb=["D9"]),
            record([], ("D1", 1), mention_id="4"),
            record(None, ("D1", 1), mention_id="5"),
        ]
    )
    assert answers.nil.tolist() == [False, True, True, False, True]
    assert answers.right.tolist() == [True, False, False, True, False]
    assert answers.unlabelled == 1


def test_the_parts_of_a_split_composite_are_answers_of_their_own(record):
    parts = [record([["D1"]], ("D1", 1), part=0), record([["D2"]], ("D3", 1), ("D2", 2), part=1)]
    assert gather_answers(parts).right.tolist() == [True, False]


def test_without_gold_there_is_nothing_to_fit(record):
    with pytest.raises(DataError, match=r"None of the 2 mentions has gold ids.*genlink evaluate"):
        gather_answers([record(None, ("D1", 1)), record(None)])


@pytest.mark.parametrize("score", [math.nan, math.inf, NONE])
def test_a_score_that_is_not_finite_is_refused(record, score):
    one = record([["D1"]], ("D1", 1), document_id="77", mention_id="3")
    broken = replace(one, candidates=(replace(one.candidates[0], score=score),))
    with pytest.raises(DataError, match="Document 77, mention 3: the score of `name of D1`"):
        gather_answers([broken])


# The report


def test_calibration_brings_probabilities_nearer_to_the_truth():
    report = report_calibration(sampled(2000), resamples=100)
    before, after = report.rows[SOFTMAX], report.rows[CALIBRATED]
    for measure in ("ece", "brier", "nll"):
        assert after[measure].value < before[measure].value, measure
    # Chance alone gives answers that keep their probabilities an ECE of at most 1/2 sqrt(bins / n); here it is doubled.
    assert after["ece"].value < math.sqrt(15 / report.n_answered)


def test_nil_is_measured_by_counting():
    answers = sampled()
    report = report_calibration(answers, resamples=50)
    fitted = cross_fit(answers.scores, answers.right, answers.nil, answers.documents, folds=5, seed=0)
    for row, said in ((SOFTMAX, ~answers.answered), (CALIBRATED, fitted.is_nil)):
        both = int((said & answers.nil).sum())
        measures = {name: estimate.value for name, estimate in report.rows[row].items()}
        assert measures["nil_precision"] == pytest.approx(both / said.sum())
        assert measures["nil_recall"] == pytest.approx(both / answers.nil.sum())
        precision, recall = measures["nil_precision"], measures["nil_recall"]
        assert measures["nil_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        right = (said & answers.nil) | (answers.right & ~said)
        assert measures["accuracy"] == pytest.approx(right.mean())


def test_the_calibrated_row_is_of_answers_that_were_not_fitted():
    answers = sampled()
    report = report_calibration(answers, folds=4, seed=3, resamples=50)
    fitted = cross_fit(answers.scores, answers.right, answers.nil, answers.documents, folds=4, seed=3)
    p, right = fitted.probability[answers.answered], answers.right[answers.answered]
    assert report.rows[CALIBRATED]["brier"].value == pytest.approx(((p - right) ** 2).mean())
    assert report.folds == 4
    on_the_fit = report_calibration(answers, folds=1, resamples=50)
    p = on_the_fit.calibration.probabilities(answers.scores[answers.answered])[:, 0]
    assert on_the_fit.rows[CALIBRATED]["brier"].value == pytest.approx(((p - right) ** 2).mean())
    assert on_the_fit.calibration == report.calibration  # always of all mentions


def test_counts_are_those_of_the_answers():
    answers = sampled()
    report = report_calibration(answers, resamples=50)
    assert (report.n, report.documents) == (400, 40)
    assert (report.n_answered, report.n_nil) == (answers.answered.sum(), answers.nil.sum())
    for row in (SOFTMAX, EXP, CALIBRATED):
        assert sum(b.n for b in report.bins[row]) == report.n_answered == report.rows[row]["ece"].n
        assert report.rows[row]["accuracy"].n == 400


def test_scores_that_are_no_log_probabilities_are_not_taken_for_any():
    answers = sampled()
    assert EXP in report_calibration(answers, resamples=10).rows
    assert EXP not in report_calibration(replace(answers, scores=answers.scores + 8), resamples=10).rows


def test_without_nil_mentions_there_is_no_threshold_and_no_measure_of_nil():
    report = report_calibration(sampled(nil_share=0), resamples=10)
    assert report.calibration.nil_threshold is None
    assert set(report.rows[CALIBRATED]) == {"ece", "brier", "nll", "accuracy"}


def test_precision_of_nil_needs_an_answer_that_is_nil():
    answers = sampled()
    listed = replace(answers, scores=np.where(np.isfinite(answers.scores), answers.scores, -1.0))
    before = report_calibration(listed, resamples=10).rows[SOFTMAX]
    assert "nil_precision" not in before and before["nil_recall"].value == before["nil_f1"].value == 0


def test_one_document_is_measured_only_where_that_is_asked_for():
    answers = sampled()
    alone = replace(answers, documents=("1",) * 400)
    with pytest.raises(DataError, match="--folds 1"):
        report_calibration(alone)
    report = report_calibration(alone, folds=1)
    assert report.rows[CALIBRATED]["ece"].low is None
