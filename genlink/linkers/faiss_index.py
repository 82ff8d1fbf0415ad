"""The vectors of names in an exact index of faiss (Douze et al. 2024, arXiv 2401.08281): the extra ``faiss``."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genlink.errors import ModelError
from genlink.linkers.vectors import NameVectors, vectors_from_rows

__all__ = ["FaissIndex", "require_faiss"]


def require_faiss() -> None:
    """Raise ModelError, with the command that installs it, where there is no faiss."""
    if importlib.util.find_spec("faiss") is None:
        raise ModelError("faiss is not installed. Run: pip install 'genlink[faiss]'.")


class FaissIndex:
    """All vectors of a dictionary in memory, in float32, compared by ``IndexFlatIP``."""

    def __init__(self, vectors: NameVectors) -> None:
        import faiss

        self._names = np.concatenate([part.indices for part in vectors.parts])
        self._index: Any = None
        for part in vectors.parts:
            block = vectors_from_rows(part.rows).numpy()
            self._index = self._index or faiss.IndexFlatIP(block.shape[1])
            self._index.add(np.ascontiguousarray(block))

    @property
    def nbytes(self) -> int:
        """What the vectors take in memory."""
        return 4 * int(self._index.ntotal) * int(self._index.d)

    def search(self, queries: Tensor, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """As ``NameVectors.search``, but which of the names that tie for the last place is found is up to faiss."""
        scores, places = self._index.search(queries.cpu().numpy(), min(n, len(self._names)))
        names = self._names[places]
        order = np.lexsort((names, -scores))
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(names, order, axis=1)
