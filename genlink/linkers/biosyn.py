"""What is BioSyn's own (arXiv 2005.00239): its published checkpoints, its candidates and its file of predictions.

The score itself, dense and sparse, is that of ``DenseLinker``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlink.errors import ModelError
from genlink.files import write_json
from genlink.schema import Mention, Prediction

__all__ = ["SPARSE_WEIGHT", "half_and_half", "prediction_record", "read_sparse_weight", "write_biosyn_predictions"]

# The file of a published checkpoint that holds the weight; beside it lies a pickle, the fitted n-grams.
SPARSE_WEIGHT = "sparse_weight.pt"

logger = logging.getLogger(__name__)


def read_sparse_weight(directory: Path) -> float | None:
    """The sparse weight of a published checkpoint, by PyTorch's reader of tensors alone; None where there is none.

    The n-grams that were published with it are pickled, so they are not read: they are fitted to the dictionary, which
    is what they were fitted to in the first place. Raises ModelError for a file that does not hold one number.
    """
    path = directory / SPARSE_WEIGHT
    if not path.is_file():
        return None
    try:
        weight = torch.load(path, map_location="cpu", weights_only=True)
        value = float(weight.detach().reshape(()))
    except Exception:  # whatever a file that is something else makes the reader raise
        raise ModelError(f"{path}: does not hold one number in PyTorch's format. Download it again.") from None
    logger.warning(
        "%s: the n-grams of the checkpoint are pickled and not read; they are fitted to the dictionary.", path
    )
    return value


def half_and_half(
    dense: NDArray[np.int64], sparse: NDArray[np.int64], k: int = 20, dense_ratio: float = 0.5
) -> NDArray[np.int64]:
    """The ``k`` names that a mention is trained against: the best sparse ones, then the best dense ones, each once.

    ``dense`` and ``sparse`` are names by key index, (mentions, at least k each), best first; of the sparse ones
    k - floor(k * dense_ratio) are taken.
    """
    first = k - int(k * dense_ratio)
    rows = [
        list(dict.fromkeys([*few[:first], *many]))[:k]
        for few, many in zip(sparse.tolist(), dense.tolist(), strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)


def write_biosyn_predictions(path: str | Path, predictions: Sequence[Prediction], k: int = 5) -> None:
    """Write predictions of labelled mentions as BioSyn does; see ``prediction_record``."""
    write_json(path, prediction_record(predictions, k))


def prediction_record(predictions: Sequence[Prediction], k: int = 5) -> dict[str, Any]:
    """Predictions in BioSyn's form: ``queries`` with their ``mentions``, and ``acc1`` to ``acc<k>`` in [0, 1].

    The parts of a composite mention, if it was split, are the mentions of one query; they come one after the other. A
    candidate's ``label`` is 1 where its id is among those of the whole query. A query is right at k if all its mentions
    have a right candidate among their first k.
    """
    queries: list[dict[str, Any]] = []
    places: list[int] = []  # for each query, the rank at which the last of its mentions comes right
    for _, parts in groupby(enumerate(predictions), key=_query):
        mentions, ranks = [], []
        for _, prediction in parts:
            gold = prediction.mention.gold_ids
            chosen = prediction.candidates[:k]
            labels = [int(candidate.concept_id in gold) for candidate in chosen]
            mentions.append(
                {
                    "mention": prediction.mention.surface,
                    "golden_cui": "|".join(sorted(gold)),
                    "candidates": [
                        {"name": candidate.name, "cui": candidate.concept_id, "label": label}
                        for candidate, label in zip(chosen, labels, strict=True)
                    ],
                }
            )
            ranks.append(labels.index(1) + 1 if 1 in labels else k + 1)
        queries.append({"mentions": mentions})
        places.append(max(ranks))
    right = {f"acc{i}": sum(place <= i for place in places) / max(1, len(places)) for i in range(1, k + 1)}
    return {"queries": queries, **right}


def _query(item: tuple[int, Prediction]) -> object:
    i, prediction = item
    mention: Mention = prediction.mention
    return (*mention.key, mention.spans) if mention.part is not None else i
