"""The best of many scores, with ties decided by index: never by the order in which blocks come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_columns"]


def best_columns(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The columns of the ``k`` highest scores of each row, best first and equal ones by column, shape (rows, k).

    ``scores`` (rows, columns); with fewer than ``k`` columns, all of them.
    """
    n = scores.shape[1]
    k = min(k, n)
    threshold = np.partition(scores, n - k, axis=1)[:, n - k]
    best = np.empty((len(scores), k), dtype=np.int64)
    for row, values in enumerate(scores):
        candidates = np.flatnonzero(values >= threshold[row])
        best[row] = candidates[np.lexsort((candidates, -values[candidates]))[:k]]
    return best
