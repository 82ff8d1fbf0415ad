"""Confidence intervals by resampling whole documents: the mentions of one document are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from genlink.errors import DataError

__all__ = ["Estimate", "bootstrap_ratios", "bootstrap_sums"]

# Resampled sums held at a time, so that ten thousand documents need no gigabytes.
_CELLS = 1 << 21


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

    lows, highs = _interval((above, below), ratio, seed, resamples, confidence)
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

    low, high = _interval((sums,), resampled, seed, resamples, confidence)
    return Estimate(value, float(low), float(high), len(groups))


def _interval(
    samples: tuple[NDArray[np.float64], ...],
    statistic: Callable[..., NDArray[np.float64]],
    seed: int,
    resamples: int,
    confidence: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The percentiles of a statistic over samples of shape (..., groups), resampled together."""
    interval = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        axis=-1,
        method="percentile",
        n_resamples=resamples,
        confidence_level=confidence,
        batch=max(1, _CELLS // samples[0].size),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return interval.low, interval.high


def _group_sums(values: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """Sum (measures, mentions) to (measures, groups)."""
    _, index = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    groups = int(index.max()) + 1 if index.size else 0
    return np.array([np.bincount(index, weights=row, minlength=groups) for row in rows]).reshape(len(rows), groups)


def _known(bound: float) -> float | None:
    return None if np.isnan(bound) else float(bound)
