"""Confidence intervals by resampling whole documents: the mentions of one document are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from genlink.errors import DataError

__all__ = ["Estimate", "bootstrap_ratios"]

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
    _, index = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    above, below = _group_sums(numerators, index), _group_sums(denominators, index)
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

    interval = stats.bootstrap(
        (above, below),
        ratio,
        paired=True,
        vectorized=True,
        axis=-1,
        method="percentile",
        n_resamples=resamples,
        confidence_level=confidence,
        batch=max(1, _CELLS // above.size),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return [
        Estimate(float(value), _known(low), _known(high), int(n))
        for value, low, high, n in zip(values, interval.low, interval.high, totals, strict=True)
    ]


def _group_sums(values: ArrayLike, index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum (measures, mentions) to (measures, groups)."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    groups = int(index.max()) + 1 if index.size else 0
    return np.array([np.bincount(index, weights=row, minlength=groups) for row in rows]).reshape(len(rows), groups)


def _known(bound: float) -> float | None:
    return None if np.isnan(bound) else float(bound)
