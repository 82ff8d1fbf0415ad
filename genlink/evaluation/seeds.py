"""Systems that were trained several times: what a method is worth, apart from the luck of one seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlink.errors import DataError
from genlink.evaluation.outcomes import score_outcomes
from genlink.evaluation.policy import Policy
from genlink.evaluation.predictions import Parts, PredictionRecord
from genlink.metrics import Difference, Estimate, bootstrap_difference, bootstrap_ratios, hits_at_k

__all__ = ["ScoredRun", "compare_seeds", "pool_differences", "score_run"]


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One run under one policy: the spans that count, in the order of what identifies them, and their ranks.

    A span is its document, mention and occurrence, with its gold as annotated. ``ranks`` has shape (spans,).
    """

    spans: tuple[tuple[tuple[str, str, int], Parts], ...]
    ranks: NDArray[np.float64]

    @property
    def documents(self) -> list[str]:
        return [identity[0] for identity, _ in self.spans]


def score_run(records: Iterable[PredictionRecord], policy: Policy) -> ScoredRun:
    """The little of a run's predictions that comparisons need."""
    outcomes = sorted(score_outcomes(records, policy)[0], key=lambda outcome: outcome.identity)
    ranks = np.array([outcome.rank for outcome in outcomes], dtype=np.float64)
    return ScoredRun(tuple((outcome.identity, outcome.parts) for outcome in outcomes), ranks)


def compare_seeds(
    systems: Mapping[str, Sequence[ScoredRun]],
    *,
    before: Mapping[str, str] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, dict[str, Estimate]]:
    """System -> measure -> estimate, for systems of which each has several runs, all over the same mentions.

    ``acc@1``, ``acc@5``: the mean over runs; ``difference``: acc@1 less that of the system that it is compared with,
    mention by mention (a ``Difference``, with its p-value); ``lowest`` and ``highest``: acc@1 of the worst and of the
    best run, without an interval. ``before`` names what each system is compared with; one that it leaves out has no
    difference. Without ``before`` all are compared with the first.
    Intervals are over documents, whose outcomes are averaged over runs first: they say how sure the means of these runs
    are, and ``lowest`` and ``highest`` how far runs lie apart.

    Raises DataError for a system without runs, and for runs that are not over the same mentions.
    """
    if before is None:
        before = dict.fromkeys(list(systems)[1:], next(iter(systems), ""))
    first = _same_mentions(systems)
    rows: dict[str, dict[str, Estimate]] = {}
    for name, runs in systems.items():
        values = np.stack([_mean_hits(runs, k) for k in (1, 5)])
        estimates = bootstrap_ratios(values, np.ones_like(values), first.documents, seed=seed, resamples=resamples)
        rows[name] = dict(zip(("acc@1", "acc@5"), estimates, strict=True))
        if name in before:
            differences = values[0] - _mean_hits(systems[before[name]], 1)
            rows[name]["difference"] = bootstrap_difference(
                [(differences, first.documents)], seed=seed, resamples=resamples
            )
        of_runs = [float(hits_at_k(run.ranks, 1).mean()) for run in runs]
        rows[name]["lowest"] = Estimate(min(of_runs), None, None, len(first.spans))
        rows[name]["highest"] = Estimate(max(of_runs), None, None, len(first.spans))
    return rows


def pool_differences(
    corpora: Iterable[Sequence[tuple[Sequence[ScoredRun], Sequence[ScoredRun]]]],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Difference:
    """The mean difference in acc@1 between two systems over several corpora, each of which weighs the same.

    A corpus has a pair for each dictionary, all over the same mentions: the runs of the system, and the runs of the one
    that it is compared with. Documents are resampled within their corpus, under all its dictionaries together.

    Raises DataError as ``compare_seeds`` does.
    """
    strata = []
    for pairs in corpora:
        runs = {f"dictionary {i}, system {j}": s for i, pair in enumerate(pairs, 1) for j, s in enumerate(pair, 1)}
        first = _same_mentions(runs)
        differences = [_mean_hits(system, 1) - _mean_hits(before, 1) for system, before in pairs]
        strata.append((np.mean(differences, axis=0), first.documents))
    return bootstrap_difference(strata, seed=seed, resamples=resamples)


def _mean_hits(runs: Sequence[ScoredRun], k: int) -> NDArray[np.float64]:
    return np.asarray(np.mean([hits_at_k(run.ranks, k) for run in runs], axis=0))


def _same_mentions(systems: Mapping[str, Sequence[ScoredRun]]) -> ScoredRun:
    """Any run, since all are over the same mentions."""
    first: ScoredRun | None = None
    for name, runs in systems.items():
        if not runs:
            raise DataError(f"{name}: no predictions to compare.")
        for run in runs:
            first = first or run
            if run.spans != first.spans:
                raise DataError(
                    f"{name}: a run has {len(run.spans)} mentions that count, and they are not the {len(first.spans)} "
                    "of the first run with their gold ids. Compare runs on one corpus and one knowledge base."
                )
    if first is None:
        raise DataError("There are no systems to compare.")
    return first
