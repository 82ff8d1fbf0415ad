"""Ranking measures over arrays of ranks: pure functions that know of no corpus, no policy and no file.

A rank counts from one and is the place of the right answer; ``inf`` says that it is not among the candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genlink.errors import DataError

__all__ = ["accuracy_at_k", "hits_at_k", "mean_reciprocal_rank", "reciprocal_ranks"]


def _ranks(ranks: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(ranks, dtype=np.float64)
    if not array.size:
        raise DataError(
            "There are no mentions to score, and a share of nothing is not zero. "
            "Check that the gold ids are in the knowledge base, and what the policy drops."
        )
    return array


def hits_at_k(ranks: ArrayLike, k: int) -> NDArray[np.float64]:
    """1.0 where the right answer is among the first ``k``, else 0.0; any shape."""
    return (np.asarray(ranks, dtype=np.float64) <= k).astype(np.float64)


def reciprocal_ranks(ranks: ArrayLike) -> NDArray[np.float64]:
    """1 / rank, and 0.0 where the right answer is missing; any shape."""
    return 1.0 / np.asarray(ranks, dtype=np.float64)


def accuracy_at_k(ranks: ArrayLike, k: int) -> float:
    """The share, in [0, 1], of mentions whose right answer is among the first ``k``. Shape (mentions,).

    With the ranks of gold parts in place of mentions the same share is recall at ``k``.
    Raises DataError if there are no mentions.
    """
    return float(hits_at_k(_ranks(ranks), k).mean())


def mean_reciprocal_rank(ranks: ArrayLike) -> float:
    """The mean of 1 / rank, a missing answer counting 0. Shape (mentions,). Raises DataError if there are none."""
    return float(reciprocal_ranks(_ranks(ranks)).mean())
