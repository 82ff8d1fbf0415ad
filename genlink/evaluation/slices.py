"""The rows of a report beside the one over everything: which outcomes belong to which kind of mention."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from genlink.evaluation.outcomes import Outcome
from genlink.evaluation.training import TrainingFacts
from genlink.kb import KnowledgeBase
from genlink.text import normalise

__all__ = ["slice_outcomes"]


def slice_outcomes(
    outcomes: Sequence[Outcome], kb: KnowledgeBase | None = None, training: TrainingFacts | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Row name -> which outcomes belong to it, shape (outcomes,). Rows without any outcome are left out.

    Types and composites need nothing else; the dictionary rows need the ``kb`` that was searched; the seen and unseen
    rows need both. A split composite is seen, or in the dictionary, if each of its sub-mentions is; its concepts are
    seen if one of each gold part is.
    """
    rows: dict[str, NDArray[np.bool_]] = {}

    def add(name: str, belongs: Callable[[Outcome], bool], otherwise: str = "") -> None:
        mask = np.fromiter(map(belongs, outcomes), dtype=bool, count=len(outcomes))
        rows[name] = mask
        if otherwise:
            rows[otherwise] = ~mask

    types = sorted({outcome.records[0].type or "" for outcome in outcomes} - {""})
    if len(types) > 1:
        for kind in types:
            add(f"type {kind}", lambda outcome, kind=kind: outcome.records[0].type == kind)  # type: ignore[misc]
    if kb is not None and training is not None:
        add(
            "mention seen",
            lambda o: all(normalise(r.surface, kb.normalisation) in training.surfaces for r in o.records),
            "mention unseen",
        )
        add(
            "concept seen",
            lambda o: all(not training.concepts.isdisjoint(part) for part in o.concepts),
            "concept unseen",
        )
    if kb is not None:
        add(
            "in dictionary",
            lambda o: all(kb.key_index(r.surface) is not None for r in o.records),
            "not in dictionary",
        )
        add("ambiguous mention", lambda o: any(len(kb.concept_ids(r.surface)) > 1 for r in o.records))
    add("composite", lambda outcome: len(outcome.parts) > 1)
    return {name: mask for name, mask in rows.items() if mask.any()}
