"""Predictions in the form that BioSyn's own evaluation writes (github.com/dmis-lab/BioSyn, ``eval.py``)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from genlink.evaluation.outcomes import score_outcomes
from genlink.evaluation.policy import PRESETS
from genlink.evaluation.predictions import PredictionRecord

__all__ = ["biosyn_predictions"]


def biosyn_predictions(records: Iterable[PredictionRecord], k: int = 5) -> dict[str, Any]:
    """``queries`` with their ``mentions``, and ``acc1`` to ``acc<k>``, in [0, 1], as the preset ``biosyn`` scores.

    An annotated span is a query, the parts that it was split into are its mentions. Those without a label, NIL and out
    of the knowledge base are left out. ``golden_cui`` has, for every mention, all gold ids of the query; they are those
    of the knowledge base. A candidate is a name; it has all the ids of a rank, and ``label`` 1 where one of them is in
    ``golden_cui``. BioSyn's own code counts a query as right where each mention has such a candidate; the preset asks
    besides that every gold part is found, and nothing of a mention whose part is out of the knowledge base.
    """
    outcomes, _ = score_outcomes(records, PRESETS["biosyn"])
    queries = [
        {"mentions": [_mention(record, frozenset().union(*outcome.concepts), k) for record in outcome.records]}
        for outcome in outcomes
    ]
    right = {f"acc{i}": sum(o.rank <= i for o in outcomes) / max(1, len(outcomes)) for i in range(1, k + 1)}
    return {"queries": queries, **right}


def _mention(record: PredictionRecord, gold: frozenset[str], k: int) -> dict[str, Any]:
    candidates = []
    for rank, group in groupby(record.candidates, key=lambda candidate: candidate.rank):
        named = list(group)
        ids = [candidate.concept_id for candidate in named]
        if rank <= k:
            candidates.append({"name": named[0].name, "cui": "|".join(ids), "label": int(not gold.isdisjoint(ids))})
    return {"mention": record.surface, "golden_cui": "|".join(sorted(gold)), "candidates": candidates}
