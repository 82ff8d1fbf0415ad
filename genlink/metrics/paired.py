"""Is one system better than another on the same mentions?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from genlink.errors import UsageError
from genlink.metrics.bootstrap import Estimate, bootstrap_ratios

__all__ = ["PairedComparison", "compare_paired", "mcnemar_p"]


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Two systems on the same mentions: what each gets right, and how sure the difference is.

    ``difference`` is second minus first, with its document bootstrap interval. ``p`` is McNemar's, exact, two-sided; it
    takes mentions as independent, which the interval does not.
    """

    first: float
    second: float
    difference: Estimate
    only_first: int
    only_second: int
    p: float


def mcnemar_p(only_first: int, only_second: int) -> float:
    """The exact two-sided McNemar test (McNemar 1947) from the mentions that just one system gets right."""
    from scipy import stats  # takes a second to import

    discordant = only_first + only_second
    return float(stats.binomtest(only_second, discordant, 0.5).pvalue) if discordant else 1.0


def compare_paired(
    first: ArrayLike, second: ArrayLike, groups: Sequence[str], *, seed: int, resamples: int = 2000
) -> PairedComparison:
    """Compare two arrays of right (1) and wrong (0), shape (mentions,), of the same mentions in the same order.

    Raises UsageError if the lengths differ, DataError if there are no mentions.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise UsageError(f"Cannot pair {one.size} outcomes with {two.size}: both have to be of the same mentions.")
    [difference] = bootstrap_ratios([two - one], [np.ones_like(one)], groups, seed=seed, resamples=resamples)
    only_first, only_second = int((one > two).sum()), int((two > one).sum())
    return PairedComparison(
        first=float(one.mean()),
        second=float(two.mean()),
        difference=difference,
        only_first=only_first,
        only_second=only_second,
        p=mcnemar_p(only_first, only_second),
    )
