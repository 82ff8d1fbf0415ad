"""What is BioSyn's own (arXiv 2005.00239): its published checkpoints and its candidates.

The score itself, dense and sparse, is that of ``DenseLinker``.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genlink.errors import ModelError

__all__ = ["SPARSE_WEIGHT", "half_and_half", "read_sparse_weight"]

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
