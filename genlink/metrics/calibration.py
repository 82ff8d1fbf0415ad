"""Are probabilities kept? How far the share of right answers is from what was promised.

Arrays of shape (mentions,): the probability that an answer was given, and whether it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genlink.errors import UsageError
from genlink.metrics.bootstrap import Estimate, bootstrap_sums

__all__ = [
    "BINS",
    "ReliabilityBin",
    "expected_calibration_error",
    "negative_log_likelihoods",
    "reliability_bins",
    "squared_errors",
]

BINS = 15  # as in the tables of Guo et al. 2017
_LEAST = float(np.finfo(np.float64).eps)  # what a probability of 0 counts as in a logarithm


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The answers whose probability lies in (``low``, ``high``]; 0 belongs to the first bin.

    ``confidence`` is their mean probability, ``accuracy`` the share of them that is right; both are None where ``n``,
    their number, is 0.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability_bins(probabilities: ArrayLike, right: ArrayLike, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Equal-width bins of a reliability diagram (Guo et al. 2017, section 2), empty ones too."""
    p, y = _checked(probabilities, right)
    place = _places(p, bins)
    counts, promised, kept = (np.bincount(place, weights=w, minlength=bins) for w in (np.ones_like(p), p, y))
    edges = np.linspace(0, 1, bins + 1)
    return tuple(
        ReliabilityBin(
            low=float(low),
            high=float(high),
            n=int(n),
            confidence=float(confidence / n) if n else None,
            accuracy=float(accuracy / n) if n else None,
        )
        for low, high, n, confidence, accuracy in zip(edges[:-1], edges[1:], counts, promised, kept, strict=True)
    )


def expected_calibration_error(
    probabilities: ArrayLike,
    right: ArrayLike,
    groups: Sequence[str],
    *,
    seed: int,
    bins: int = BINS,
    resamples: int = 2000,
) -> Estimate:
    """ECE: the gap between confidence and accuracy, averaged over answers (Guo et al. 2017, equation 3).

    The interval is over resampled ``groups``. Noise within a bin never cancels, so ECE lies above its true value, the
    more so the fewer the answers, and that of a resample lies above that of the data: the interval reaches up too far.
    """
    p, y = _checked(probabilities, right)
    gaps = np.zeros((bins + 1, len(p)))
    gaps[_places(p, bins), np.arange(len(p))] = y - p
    gaps[bins] = 1  # the number of answers
    return bootstrap_sums(
        lambda sums: np.asarray(np.abs(sums[:bins]).sum(axis=0) / sums[bins]),
        gaps,
        groups,
        seed=seed,
        resamples=resamples,
    )


def squared_errors(probabilities: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """(p - right)²; their mean is the Brier score (Brier 1950) of right against wrong."""
    p, y = _checked(probabilities, right)
    return (p - y) ** 2


def negative_log_likelihoods(probabilities: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """-ln of the probability that was given to what came true, in nats.

    Probabilities are kept one floating-point step (2.2e-16) away from 0 and 1: otherwise one answer that was called
    certain and is wrong would make the sum infinite.
    """
    p, y = _checked(probabilities, right)
    return np.asarray(-np.log(np.clip(np.where(y > 0, p, 1 - p), _LEAST, 1)))


def _places(p: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    return np.digitize(p, np.linspace(0, 1, bins + 1)[1:-1], right=True)


def _checked(probabilities: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if p.shape != y.shape or p.ndim != 1:
        raise UsageError(f"Probabilities of shape {p.shape} for answers of shape {y.shape}: expected one for each.")
    if not ((p >= 0) & (p <= 1)).all():
        raise UsageError("A probability lies outside of [0, 1], or is not a number.")
    return p, y
