"""Confidence intervals by resampling whole documents: the mentions of one document are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genlink.errors import DataError

__all__ = ["Difference", "Estimate", "bootstrap_difference", "bootstrap_ratios", "bootstrap_sums"]

# Resampled sums held at a time, so that ten thousand documents need no gigabytes.
_CELLS = 1 << 21
_ROUNDING = 1e-12  # sums that differ by no more are equal


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its interval; ``low`` and ``high`` are None where too few documents leave nothing to resample.

    ``n`` is the denominator: mentions, or gold parts for recall.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """As it is written to a result file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """The mean difference of two systems on the same mentions, with the p-value of there being none.

    ``p`` is None where there is no interval.
    """

    p: float | None


def bootstrap_ratios(
    numerators: ArrayLike,
    denominators: ArrayLike,
    groups: Sequence[str],
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Ratios of sums with percentile intervals over resampled groups (Efron and Tibshirani 1993, chapter 13).

    ``numerators`` and ``denominators`` have shape (measures, mentions), ``groups`` names the document of each mention.
    The same resampled documents serve every measure. A group whose denominators are all zero takes no part.

    Raises DataError if a denominator sums to zero: a share of nothing is undefined.
    """
    above, below = _group_sums(numerators, groups), _group_sums(denominators, groups)
    occupied = below.any(axis=0)
    above, below = above[:, occupied], below[:, occupied]
    totals = below.sum(axis=1)
    if not len(totals) or not totals.all():
        raise DataError("There are no mentions to score, and a share of nothing is not zero.")
    values = above.sum(axis=1) / totals
    if occupied.sum() < 2:
        return [Estimate(float(value), None, None, int(n)) for value, n in zip(values, totals, strict=True)]

    def ratio(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # a resample without any of a rare measure's mentions
            return np.asarray(a.sum(axis=axis) / b.sum(axis=axis))

    resampled = _resampled((above, below), ratio, seed, resamples, confidence)
    lows, highs = resampled.confidence_interval
    return [
        Estimate(float(value), _known(low), _known(high), int(n))
        for value, low, high, n in zip(values, lows, highs, totals, strict=True)
    ]


def bootstrap_sums(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    values: ArrayLike,
    groups: Sequence[str],
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Estimate:
    """One statistic of sums over mentions, with the same interval as ``bootstrap_ratios`` gives.

    ``values`` has shape (values, mentions), ``groups`` names the document of each mention. ``statistic`` takes sums of
    shape (values, ...) to shape (...). Raises DataError if there are no mentions.
    """
    sums = _group_sums(values, groups)
    if not sums.size:
        raise DataError("There are no mentions to score.")
    value = float(statistic(sums.sum(axis=-1)))
    if sums.shape[-1] < 2:
        return Estimate(value, None, None, len(groups))

    def resampled(sums: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return statistic(sums.sum(axis=axis))

    low, high = _resampled((sums,), resampled, seed, resamples, confidence).confidence_interval
    return Estimate(value, float(low), float(high), len(groups))


def bootstrap_difference(
    corpora: Sequence[tuple[NDArray[np.float64] | Sequence[float], Sequence[str]]],
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Difference:
    """The mean over corpora of mean differences between two systems, with a percentile interval and a p-value.

    Each corpus is the differences of its mentions, shape (mentions,), and the document of each. Documents are resampled
    within their corpus. ``p`` is two-sided: twice the share of resampled means that lie on the rarer side of zero,
    those at zero being on both, with one added to their count and to the number of resamples (Davison and Hinkley 1997,
    chapter 4), and 1 at most. So p is below 0.05 about where the interval of 95% leaves zero out, and never below
    2 / (resamples + 1).

    Raises DataError if there is no corpus, or one without mentions.
    """
    samples = tuple(_group_sums(np.stack([values, np.ones(len(groups))]), groups) for values, groups in corpora)
    if not samples or not all(sample.size for sample in samples):
        raise DataError("There are no mentions to compare.")

    def mean(*samples: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        sums = [sample.sum(axis=axis) for sample in samples]
        return np.asarray(np.mean([above / below for above, below in sums], axis=0))

    value, n = float(mean(*samples, axis=-1)), sum(len(groups) for _, groups in corpora)
    if min(sample.shape[-1] for sample in samples) < 2:
        return Difference(value, None, None, n, None)
    resampled = _resampled(samples, mean, seed, resamples, confidence, paired=False)
    low, high = resampled.confidence_interval
    means = resampled.bootstrap_distribution
    rarer = min((means <= _ROUNDING).sum(), (means >= -_ROUNDING).sum())
    return Difference(value, float(low), float(high), n, min(1.0, float(2 * (rarer + 1) / (resamples + 1))))


def _resampled(
    samples: tuple[NDArray[np.float64], ...],
    statistic: Callable[..., NDArray[np.float64]],
    seed: int,
    resamples: int,
    confidence: float,
    paired: bool = True,
) -> Any:
    """The distribution of a statistic and its percentiles; samples of shape (..., groups) are resampled together.

    Not ``paired``, each is resampled by itself.
    """
    from scipy import stats  # takes a second to import

    return stats.bootstrap(
        samples,
        statistic,
        paired=paired,
        vectorized=True,
        axis=-1,
        method="percentile",
        n_resamples=resamples,
        confidence_level=confidence,
        batch=max(1, _CELLS // max(sample.size for sample in samples)),
        rng=np.random.default_rng(seed),
    )


def _group_sums(values: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """Sum (measures, mentions) to (measures, groups)."""
    _, index = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    groups = int(index.max()) + 1 if index.size else 0
    return np.array([np.bincount(index, weights=row, minlength=groups) for row in rows]).reshape(len(rows), groups)


def _known(bound: float) -> float | None:
    return None if np.isnan(bound) else float(bound)
