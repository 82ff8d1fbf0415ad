"""Systems that were trained several times: what a method is worth, apart from the luck of one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genlink.errors import DataError
from genlink.evaluation.outcomes import Outcome, score_outcomes
from genlink.evaluation.policy import Policy
from genlink.evaluation.predictions import PredictionRecord
from genlink.metrics import Estimate, bootstrap_ratios, hits_at_k

__all__ = ["compare_seeds"]


def compare_seeds(
    systems: Mapping[str, Sequence[Sequence[PredictionRecord]]], policy: Policy, *, seed: int = 0, resamples: int = 2000
) -> dict[str, dict[str, Estimate]]:
    """System -> measure -> estimate, for systems of which each has the predictions of several runs.

    ``acc@1``, ``acc@5``: the mean over runs; ``difference``: acc@1 less that of the first system, mention by mention,
    left out of its own row; ``lowest`` and ``highest``: acc@1 of the worst and of the best run, without an interval.
    Intervals are over documents, whose outcomes are averaged over runs first: they say how sure the means of these runs
    are, and ``lowest`` and ``highest`` how far runs lie apart.

    Raises DataError for a system without runs, and for runs that are not over the same mentions.
    """
    rows: dict[str, dict[str, Estimate]] = {}
    first: list[Outcome] | None = None
    first_hits = np.zeros(0)
    for name, runs in systems.items():
        if not runs:
            raise DataError(f"{name}: no predictions to compare.")
        outcomes = [sorted(score_outcomes(run, policy)[0], key=lambda o: o.identity) for run in runs]
        for other in outcomes:
            first = first or other
            if [(o.identity, o.parts) for o in other] != [(o.identity, o.parts) for o in first]:
                raise DataError(
                    f"{name}: a run has {len(other)} mentions that count, and they are not the {len(first)} of the "
                    "first run with their gold ids. Compare runs on one corpus and one knowledge base."
                )
        assert first is not None  # a system has runs
        hits = {k: np.array([hits_at_k([o.rank for o in run], k) for run in outcomes], float) for k in (1, 5)}
        measures = {"acc@1": hits[1].mean(axis=0), "acc@5": hits[5].mean(axis=0)}
        if rows:
            measures["difference"] = measures["acc@1"] - first_hits
        else:
            first_hits = measures["acc@1"]
        values = np.stack(list(measures.values()))
        documents = [outcome.document_id for outcome in first]
        estimates = bootstrap_ratios(values, np.ones_like(values), documents, seed=seed, resamples=resamples)
        rows[name] = dict(zip(measures, estimates, strict=True))
        of_runs = hits[1].mean(axis=1)
        for extreme, value in (("lowest", of_runs.min()), ("highest", of_runs.max())):
            rows[name][extreme] = Estimate(float(value), None, None, len(first))
    return rows
