"""Fitting the weight of a union: which share the retriever has in the score, chosen where the gold is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlink.errors import DataError
from genlink.evaluation.calibration_fit import document_folds
from genlink.evaluation.policy import Policy
from genlink.evaluation.predictions import to_record
from genlink.evaluation.seeds import ScoredRun, compare_seeds, score_run
from genlink.linkers.union import Pooled, UnionLinker
from genlink.metrics import Estimate, hits_at_k
from genlink.schema import Mention, Prediction

__all__ = ["FusionFit", "best_weight", "cross_fitted", "fit_fusion", "weight_grid"]

# Steps of the grid: times the spread of the similarities, so many nats.
_NATS = [0.0, *(2.0**step for step in range(-4, 9))]


@dataclass(frozen=True, slots=True)
class FusionFit:
    """``weight``: that of the greatest Acc@1 on all mentions. ``rows``: row -> measure -> estimate.

    ``weight 0`` ranks all candidates by the generator alone; ``cross-fitted`` ranks those of a document by a weight
    that was fitted without it, and has the difference to weight 0; ``fitted`` is measured on the mentions of the fit.
    """

    weight: float
    grid: tuple[float, ...]
    fold_weights: tuple[float, ...]
    rows: Mapping[str, Mapping[str, Estimate]]


def fit_fusion(
    linker: UnionLinker, mentions: Sequence[Mention], policy: Policy, *, folds: int, seed: int, progress: bool = False
) -> FusionFit:
    """Fit the weight of a union to labelled mentions, which are prepared.

    Raises DataError where none counts, or all that count are of one document.
    """
    pools = linker.pools(mentions, progress=progress)
    grid = weight_grid(pools)
    runs = [_scored(linker, mentions, pools, policy, weight) for weight in grid]
    if not runs[0].spans:
        raise DataError("No mention counts: the corpus has no gold concept of the knowledge base.")
    hits = np.stack([hits_at_k(run.ranks, 1) for run in runs])
    chosen, weights = cross_fitted(hits, runs[0].documents, folds=folds, seed=seed)
    ranks = np.stack([run.ranks for run in runs])[chosen, np.arange(hits.shape[1])]
    systems = {
        "weight 0": [runs[0]],
        "cross-fitted": [ScoredRun(runs[0].spans, ranks)],
        "fitted": [runs[best := best_weight(hits)]],
    }
    rows = {
        row: {measure: estimate for measure, estimate in measures.items() if measure not in ("lowest", "highest")}
        for row, measures in compare_seeds(systems, before={"cross-fitted": "weight 0"}, seed=seed).items()
    }
    return FusionFit(grid[best], tuple(grid), tuple(grid[i] for i in weights), rows)


def weight_grid(pools: Sequence[Sequence[Pooled]]) -> list[float]:
    """The weights to choose from, ascending from 0: similarities of linkers have different scales.

    The unit is the median over mentions of what lies between the largest and the smallest similarity.
    """
    spreads = [max(values) - min(values) for pool in pools if len(values := [p.similarity for p in pool]) > 1]
    unit = float(np.median([spread for spread in spreads if spread > 0] or [1.0]))
    return [nats / unit for nats in _NATS]


def best_weight(hits: NDArray[np.float64]) -> int:
    """The first of the weights with the most hits: the smallest one. ``hits``: (weights, spans), 1 where right."""
    return int(np.argmax(hits.sum(axis=1)))


def cross_fitted(
    hits: NDArray[np.float64], documents: Sequence[str], *, folds: int, seed: int
) -> tuple[NDArray[np.intp], list[int]]:
    """For each span the weight that is best without its fold of documents, (spans,), and for each fold its weight."""
    fold = document_folds(documents, folds, seed)
    count = int(fold.max(initial=0)) + 1
    if count < 2:
        raise DataError(f"Cross-fitting needs two documents and two folds, and there is {count} of them.")
    weights = [best_weight(hits[:, fold != f]) for f in range(count)]
    return np.asarray(weights, dtype=np.intp)[fold], weights


def _scored(
    linker: UnionLinker, mentions: Sequence[Mention], pools: Sequence[Sequence[Pooled]], policy: Policy, weight: float
) -> ScoredRun:
    predictions = (
        Prediction(mention, linker.ranked(pool, weight, 5)) for mention, pool in zip(mentions, pools, strict=True)
    )
    return score_run([to_record(prediction, linker.kb) for prediction in predictions], policy)
