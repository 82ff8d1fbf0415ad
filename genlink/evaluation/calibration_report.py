"""What probabilities are worth: before and after calibration, on mentions that the calibration was not fitted to.

The unit is the linked mention, since it is what has scores: the parts of a split composite mention count one by one,
and for one that was not split any of its concepts is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genlink.errors import DataError
from genlink.evaluation.calibration_fit import cross_fit, fit_calibration
from genlink.evaluation.outcomes import score_outcomes
from genlink.evaluation.policy import choose_policy
from genlink.evaluation.predictions import PredictionRecord
from genlink.linkers.calibration import Calibration, rank_scores
from genlink.metrics import (
    Estimate,
    ReliabilityBin,
    bootstrap_ratios,
    expected_calibration_error,
    negative_log_likelihoods,
    reliability_bins,
    squared_errors,
)

__all__ = ["CALIBRATED", "EXP", "SOFTMAX", "Answers", "CalibrationReport", "gather_answers", "report_calibration"]

# The rows. Before: the softmax of the listed scores (T = 1, no rest); and exp(score), for log-probabilities alone.
SOFTMAX, EXP, CALIBRATED = "softmax(score)", "exp(score)", "calibrated"


@dataclass(frozen=True, slots=True)
class Answers:
    """The labelled mentions of a predictions file as arrays.

    ``scores`` (mentions, ranks), -inf behind the last candidate; ``right``: the first rank holds a gold concept;
    ``nil``: no gold concept in the knowledge base, be it annotated as NIL or out of it. ``unlabelled`` mentions were
    left out.
    """

    documents: tuple[str, ...]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    nil: NDArray[np.bool_]
    unlabelled: int

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which mentions have a candidate."""
        return np.isfinite(self.scores[:, 0])


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration, and what its probabilities are worth.

    ``calibration`` is fitted to all mentions. ``rows`` maps row -> measure -> estimate and ``bins`` row -> reliability
    diagram; the row "calibrated" is cross-fitted over ``folds`` folds of documents, or, if ``folds`` is 1, measured on
    the mentions of the fit. ece, brier and nll (nats) are over the ``n_answered`` mentions with a candidate; accuracy
    is the share of all ``n`` whose answer is right, where NIL is the right answer of the ``n_nil`` that are NIL;
    nil_precision is left out where no answer is NIL, and all of NIL where no mention is.
    """

    calibration: Calibration
    rows: dict[str, dict[str, Estimate]]
    bins: dict[str, tuple[ReliabilityBin, ...]]
    n: int
    n_answered: int
    n_nil: int
    unlabelled: int
    documents: int
    folds: int


def gather_answers(records: Sequence[PredictionRecord], ambiguous: str = "lenient") -> Answers:
    """The arrays that a calibration is fitted to; ``ambiguous`` is the policy's rule for ambiguous names.

    Raises DataError if no mention is labelled and for a score that is not finite, UsageError for an unknown rule.
    """
    policy = choose_policy(ambiguous=ambiguous, composite="any", nil="drop")
    labelled = [record for record in records if record.gold is not None]
    if not labelled:
        raise DataError(
            f"None of the {len(records)} mentions has gold ids. Take the predictions of an annotated corpus, as "
            "`genlink evaluate` writes them."
        )
    lists = [_rank_scores(record) for record in labelled]
    scores = np.full((len(labelled), max(1, *map(len, lists))), -np.inf)
    right = np.zeros(len(labelled), dtype=bool)
    for row, (record, of_ranks) in enumerate(zip(labelled, lists, strict=True)):
        scores[row, : len(of_ranks)] = list(of_ranks.values())
        outcomes, _ = score_outcomes([record], policy)
        right[row] = bool(outcomes) and outcomes[0].rank == min(of_ranks, default=0)
    return Answers(
        documents=tuple(record.document_id for record in labelled),
        scores=scores,
        right=right,
        nil=np.array([not any(record.concepts) for record in labelled]),
        unlabelled=len(records) - len(labelled),
    )


def report_calibration(answers: Answers, *, folds: int = 5, seed: int = 0, resamples: int = 2000) -> CalibrationReport:
    """Fit a calibration, and measure probabilities with and without one; intervals are over resampled documents.

    Raises DataError if no mention has a candidate, in all or in the documents that a fold is fitted to, and if folds
    are asked for and there is one document.
    """
    scores, right, nil, answered = answers.scores, answers.right, answers.nil, answers.answered
    calibration = fit_calibration(scores, right, nil)
    documents = len(set(answers.documents))
    before = {SOFTMAX: special.softmax(scores[answered], axis=1)[:, 0]}
    if (scores[answered] <= 0).all():
        before[EXP] = np.exp(scores[answered, 0])
    probabilities = {row: (p, ~answered) for row, p in before.items()}
    if folds == 1:
        probabilities[CALIBRATED] = calibration.probabilities(scores[answered])[:, 0], calibration.is_nil(scores)
    elif documents == 1:
        raise DataError(
            "All mentions are of one document, so there is none to fit a calibration to and another to measure it on. "
            "Take more documents, or say --folds 1 to measure on the mentions of the fit."
        )
    else:
        fitted = cross_fit(scores, right, nil, answers.documents, folds=folds, seed=seed)
        probabilities[CALIBRATED] = fitted.probability[answered], fitted.is_nil
    return CalibrationReport(
        calibration=calibration,
        rows={row: _measures(answers, p, is_nil, seed, resamples) for row, (p, is_nil) in probabilities.items()},
        bins={row: reliability_bins(p, right[answered]) for row, (p, _) in probabilities.items()},
        n=len(right),
        n_answered=int(answered.sum()),
        n_nil=int(nil.sum()),
        unlabelled=answers.unlabelled,
        documents=documents,
        folds=min(folds, documents),
    )


def _rank_scores(record: PredictionRecord) -> dict[int, float]:
    """``rank_scores`` of a record, where they are finite."""
    for candidate in record.candidates:
        if not math.isfinite(candidate.score):
            raise DataError(
                f"Document {record.document_id}, mention {record.mention_id}: the score of `{candidate.name}` is "
                f"{candidate.score}, and has to be finite. Link the corpus again."
            )
    return rank_scores(record.candidates)


def _measures(
    answers: Answers, p: NDArray[np.float64], is_nil: NDArray[np.bool_], seed: int, resamples: int
) -> dict[str, Estimate]:
    """``p`` has shape (answered mentions,), ``is_nil`` (mentions,)."""
    answered, nil = answers.answered, answers.nil
    right = answers.right[answered]
    of_answered = [document for document, is_one in zip(answers.documents, answered, strict=True) if is_one]
    ece = expected_calibration_error(p, right, of_answered, seed=seed, resamples=resamples)
    losses = np.stack([squared_errors(p, right), negative_log_likelihoods(p, right)])
    brier, nll = bootstrap_ratios(losses, np.ones_like(losses), of_answered, seed=seed, resamples=resamples)
    ratios = {
        "accuracy": (np.where(nil, is_nil, answers.right & ~is_nil), np.ones(len(nil))),
        "nil_precision": (is_nil & nil, is_nil),
        "nil_recall": (is_nil & nil, nil),
        "nil_f1": (2.0 * (is_nil & nil), 1.0 * is_nil + nil),
    }
    if not nil.any():
        ratios = {"accuracy": ratios["accuracy"]}
    ratios = {measure: ratio for measure, ratio in ratios.items() if ratio[1].any()}
    estimates = bootstrap_ratios(
        np.stack([above for above, _ in ratios.values()]),
        np.stack([below for _, below in ratios.values()]),
        answers.documents,
        seed=seed,
        resamples=resamples,
    )
    return {"ece": ece, "brier": brier, "nll": nll, **dict(zip(ratios, estimates, strict=True))}
