"""Predictions in the form that BioSyn's own evaluation writes (github.com/dmis-lab/BioSyn, ``eval.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from genlink.evaluation.predictions import PredictionRecord

__all__ = ["biosyn_predictions"]


def biosyn_predictions(records: Iterable[PredictionRecord], k: int = 5) -> dict[str, Any]:
    """``queries`` with their ``mentions``, and ``acc1`` to ``acc<k>``, in [0, 1], by BioSyn's rule.

    An annotated span is a query, the parts that it was split into are its mentions. A candidate is a name; it has all
    the ids of a rank, and ``label`` 1 where one of them is gold for any part of the query. A query is right at k where
    each of its mentions has such a candidate among the first k. Gold ids are those of the knowledge base.
    """
    queries: list[dict[str, Any]] = []
    places: list[int] = []  # of each query, the rank by which all its mentions are right
    for _, parts in groupby(records, key=lambda record: (record.key, record.spans)):
        group = list(parts)
        gold = frozenset(concept for record in group for ids in record.gold_concepts for concept in ids)
        mentions = [_mention(record, gold, k) for record in group]
        queries.append({"mentions": mentions})
        places.append(max(_first_right(mention, k) for mention in mentions))
    right = {f"acc{i}": sum(place <= i for place in places) / max(1, len(places)) for i in range(1, k + 1)}
    return {"queries": queries, **right}


def _mention(record: PredictionRecord, gold: frozenset[str], k: int) -> dict[str, Any]:
    candidates = []
    for rank, group in groupby(record.candidates, key=lambda candidate: candidate.rank):
        named = list(group)
        ids = [candidate.concept_id for candidate in named]
        if rank <= k:
            candidates.append({"name": named[0].name, "cui": "|".join(ids), "label": int(not gold.isdisjoint(ids))})
    own = frozenset(concept for ids in record.gold_concepts for concept in ids)
    return {"mention": record.surface, "golden_cui": "|".join(sorted(own)), "candidates": candidates}


def _first_right(mention: dict[str, Any], k: int) -> int:
    candidates: Sequence[dict[str, Any]] = mention["candidates"]
    return next((rank for rank, candidate in enumerate(candidates, start=1) if candidate["label"]), k + 1)
