"""Fitting a calibration to answers whose gold is known, and applying it to answers it was not fitted to.

The likelihood is that of the event that is reported and decided on: "the first rank is right". That of the right rank,
wherever it stands, would let the order of far candidates set the temperature too.

Arrays: ``scores`` (mentions, ranks), best first, -inf behind the last of a shorter list; ``right`` and ``nil``
(mentions,): is the first rank right, and has the knowledge base no right answer at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from genlink.errors import DataError
from genlink.linkers.calibration import Calibration

__all__ = ["CrossFit", "best_nil_threshold", "cross_fit", "document_folds", "fit_calibration", "fit_temperature"]

Floats = NDArray[np.float64]

# Where the optimiser starts: (ln of spread / T, b) of scores moved and scaled to a mean of 0 and a spread of 1. The
# likelihood need not have one minimum; these starts lead to one that no grid of the tests has found wanting.
_STARTS = ((0.0, 0.0), (1.5, 0.0), (3.0, 0.0))
_BOUNDS = ((math.log(1e-3), math.log(1e3)), (-50.0, 50.0))


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Probabilities of mentions that the parameters had not seen.

    ``fold`` (mentions,) is the fold of each mention; ``calibrations[f]`` was fitted to all mentions but those of fold
    f, and gave these their ``probability`` (of the first rank, 0 without one) and ``is_nil``, both (mentions,).
    """

    fold: NDArray[np.intp]
    calibrations: tuple[Calibration, ...]
    probability: Floats
    is_nil: NDArray[np.bool_]


def fit_calibration(scores: ArrayLike, right: ArrayLike, nil: ArrayLike) -> Calibration:
    """Fit temperature and rest logit, and then the NIL threshold if any mention is NIL.

    Raises DataError if no mention has a candidate.
    """
    values, missing = np.asarray(scores, dtype=np.float64), np.asarray(nil, dtype=bool)
    temperature, rest_logit = fit_temperature(values, right)
    calibration = Calibration(temperature, rest_logit, values.shape[1])
    if not missing.any():
        return calibration
    threshold = best_nil_threshold(calibration.probabilities(values)[:, 0], missing)
    return Calibration(temperature, rest_logit, values.shape[1], threshold)


def fit_temperature(scores: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """The temperature and the rest logit of the greatest likelihood of ``right``; mentions without candidate are out.

    The targets are Platt's (1999), (r + 1) / (r + 2) for the r right answers and 1 / (w + 2) for the w wrong ones, so
    that the optimum is finite even if every answer is right. Raises DataError if no mention has a candidate.
    """
    values, y = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    answered = np.isfinite(values).any(axis=1)
    values, y = values[answered], y[answered]
    if not len(values):
        raise DataError("No mention has a candidate: there are no scores to fit a temperature to.")
    # The fit is done on scores without unit, so that it takes the same course for every linker.
    listed = values[np.isfinite(values)]
    centre, spread = float(values[:, 0].mean()), float(listed.std()) or 1.0
    targets = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    loss = _loss((values - centre) / spread, targets)
    fits = [optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS) for start in _STARTS]
    log_slope, rest = min(fits, key=lambda fit: float(fit.fun)).x
    slope = math.exp(log_slope) / spread
    return 1 / slope, float(rest) + slope * centre


def _loss(scores: Floats, targets: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """The mean negative log-likelihood, and its gradient, as a function of (ln(1 / T), b)."""
    n, none = len(scores), np.isneginf(scores)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, rest = math.exp(parameters[0]), parameters[1]
        logits = np.concatenate([slope * scores, np.full((n, 1), rest)], axis=1)
        # What a logit gains from ln(1 / T): itself, and nothing for the rest and for what is not there.
        gains = np.concatenate([np.where(none, 0, slope * scores), np.zeros((n, 1))], axis=1)
        others, everything = (special.logsumexp(part, axis=1) for part in (logits[:, 1:], logits))
        of_others, of_all = np.exp(logits[:, 1:] - others[:, None]), np.exp(logits - everything[:, None])
        value = targets * logits[:, 0] + (1 - targets) * others - everything
        by_slope = (
            targets * gains[:, 0]
            + (1 - targets) * (of_others * gains[:, 1:]).sum(axis=1)
            - (of_all * gains).sum(axis=1)
        )
        by_rest = (1 - targets) * of_others[:, -1] - of_all[:, -1]
        return -float(value.mean()), -np.array([by_slope.mean(), by_rest.mean()])

    return loss


def best_nil_threshold(probabilities: ArrayLike, nil: ArrayLike) -> float:
    """The threshold in [0, 1] below which answers are NIL with the greatest F1 of NIL; the lowest of equally good ones.

    Both arrays are (mentions,). A threshold lies midway between the probabilities that it parts. A probability of 0 (no
    candidate) is NIL at every threshold but 0, and ``Calibration.is_nil`` has it so there too.
    """
    p, missing = np.asarray(probabilities, dtype=np.float64), np.asarray(nil, dtype=bool)
    levels, place, counts = np.unique(np.append(p, 0.0), return_inverse=True, return_counts=True)
    counts[0] -= 1  # the level 0 is there even if no mention has it
    found = np.bincount(place[:-1], weights=missing, minlength=len(levels)).cumsum()
    f1 = 2 * found / np.maximum(counts.cumsum() + missing.sum(), 1)  # NIL is everything up to a level
    cut = int(np.argmax(f1))
    if cut == 0:
        return 0.0
    above = float(levels[cut + 1]) if cut + 1 < len(levels) else 1.0
    return max((float(levels[cut]) + above) / 2, float(np.nextafter(levels[cut], above)))


def document_folds(documents: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    """The fold, from 0, of each mention: whole documents, drawn, as many in each fold as in any other or one less.

    ``documents`` names the document of each mention. With fewer documents than folds, each document is a fold.
    """
    names, index = np.unique(np.asarray(documents, dtype=object).astype(str), return_inverse=True)
    return np.asarray((np.random.default_rng(seed).permutation(len(names)) % min(folds, len(names)))[index])


def cross_fit(
    scores: ArrayLike, right: ArrayLike, nil: ArrayLike, documents: Sequence[str], *, folds: int, seed: int
) -> CrossFit:
    """Fit to all folds but one and apply to that one, in turn: no document is judged by what was fitted to it.

    Raises DataError if all mentions are of one document.
    """
    values, y, missing = np.asarray(scores, dtype=np.float64), np.asarray(right), np.asarray(nil)
    fold = document_folds(documents, folds, seed)
    count = int(fold.max(initial=0)) + 1
    if count < 2:
        raise DataError(f"Cross-fitting needs two documents and two folds, and there is {count} of them.")
    probability, is_nil, calibrations = np.zeros(len(y)), np.zeros(len(y), dtype=bool), []
    for held_out in (fold == f for f in range(count)):
        calibration = fit_calibration(values[~held_out], y[~held_out], missing[~held_out])
        probability[held_out] = calibration.probabilities(values[held_out])[:, 0]
        is_nil[held_out] = calibration.is_nil(values[held_out])
        calibrations.append(calibration)
    return CrossFit(fold, tuple(calibrations), probability, is_nil)
