"""The vectors of a dictionary's names, in blocks, and exact search among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlink.decoding.precision import quantise
from genlink.errors import ModelError, UsageError

__all__ = [
    "MoreScores",
    "NameVectors",
    "Part",
    "VectorPrecision",
    "best_names",
    "rows_from_vectors",
    "vector_precision",
    "vectors_from_rows",
]

VectorPrecision = Literal["fp32", "fp16", "int8"]
# Scores to add to those of some names, which are given by key index: (queries, names).
MoreScores = Callable[[NDArray[np.int64]], Tensor]

# Scores at a time, queries x names: 8 MiB in float32.
_CELLS = 1 << 21
# Names at a time where their vectors have to be widened first: these should stay in the processor's cache.
_NAMES_WIDENED = 2048


def vector_precision(precision: str) -> VectorPrecision:
    """A precision that vectors are stored in. Raises UsageError for any other."""
    for known in get_args(VectorPrecision):
        if precision == known:
            return cast(VectorPrecision, known)
    raise UsageError(f"vectors in {precision}, expected one of {', '.join(get_args(VectorPrecision))}.")


def rows_from_vectors(vectors: Tensor, precision: VectorPrecision) -> NDArray[Any]:
    """Vectors in float32, (names, width), as they are stored: a row a name.

    ``int8``: the largest number of a row is 127 levels, a level is the row's ``scale``; so no number is off by more
    than half a level. Raises ModelError for vectors that are not finite, or not in ``fp16``.
    """
    if not bool(torch.isfinite(vectors).all()):
        raise ModelError("the encoder gives vectors that are not finite. Its weights are broken, or its training was.")
    if precision == "fp32":
        return vectors.numpy()
    if precision == "fp16":
        halves = vectors.half()
        if not bool(torch.isfinite(halves).all()):
            raise ModelError("the encoder gives numbers that are too large for fp16. Use the precision fp32 or int8.")
        return halves.numpy()
    levels, scale = quantise(vectors)
    rows = np.empty(len(vectors), dtype=[("scale", "<f4"), ("levels", "i1", (vectors.shape[1],))])
    rows["levels"], rows["scale"] = levels.numpy(), scale[:, 0].numpy()
    return rows


def vectors_from_rows(rows: NDArray[Any]) -> Tensor:
    """The vectors of stored rows in float32, (names, width); those in float32 are not copied."""
    if rows.dtype.names is None:
        return torch.from_numpy(rows).float()
    levels = torch.from_numpy(rows["levels"].astype(np.float32))
    scale = rows["scale"].copy()  # as a field, even of one row, it has a stride that PyTorch may refuse
    return levels.mul_(torch.from_numpy(scale)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some names: their key ``indices``, ascending, and the stored ``rows`` of their vectors, mapped or in memory."""

    indices: NDArray[np.int64]
    rows: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class NameVectors:
    """The vectors of all names of a dictionary, in ``parts`` of one precision; the parts share no name."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(len(part.indices) for part in self.parts)

    @property
    def nbytes(self) -> int:
        """What the vectors take on disk or in memory."""
        return sum(part.rows.nbytes for part in self.parts)

    def extended(self, rows: NDArray[Any]) -> NameVectors:
        """With more names at the end, of these rows."""
        first = len(self)
        return NameVectors((*self.parts, Part(np.arange(first, first + len(rows)), rows))) if len(rows) else self

    def selected(self, names: Sequence[int]) -> NameVectors:
        """The vectors of these names (by key index here), in this order; their rows are copied."""
        wanted = np.asarray(names, dtype=np.int64)
        order = np.argsort(wanted, kind="stable")
        parts = []
        for part in self.parts:
            # Where in `wanted` each name of the part stands, if it does.
            at = order[np.isin(wanted[order], part.indices, assume_unique=True)]
            at.sort()
            if len(at):
                parts.append(Part(at, part.rows[np.searchsorted(part.indices, wanted[at])]))
        return NameVectors(tuple(parts))

    def search(self, queries: Tensor, n: int, more: MoreScores | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """The ``n`` names (or all, if there are fewer) with the largest inner products: scores and key indices.

        Both have shape (queries, names), best first, equal scores by key index. Every name is compared, on the device
        of ``queries``, (queries, width), but never all of them at once. ``more`` is added to the products.
        """
        return best_names(self._scores(queries, more), n)

    def _scores(self, queries: Tensor, more: MoreScores | None) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        for part in self.parts:
            widened = part.rows.dtype != np.float32
            step = min(max(1, _CELLS // max(1, len(queries))), _NAMES_WIDENED if widened else len(part.rows))
            for start in range(0, len(part.rows), step):
                names = part.indices[start : start + step]
                vectors = vectors_from_rows(part.rows[start : start + step]).to(queries.device)
                scores = queries @ vectors.T
                yield names, scores if more is None else scores.add_(more(names).to(queries.device))


def best_names(scores: Iterable[tuple[NDArray[np.int64], Tensor]], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The ``n`` largest scores (or all) of each query, and whose they are, by key index: (queries, names) each.

    Best first, equal scores by key index. ``scores`` are those of some names at a time: their key indices, ascending,
    and (queries, names).
    """
    best = indices = torch.empty(0)
    for names, block in scores:
        if best.dim() == 1:
            best, indices = block[:, :0], torch.empty(len(block), 0, dtype=torch.long, device=block.device)
        if best.shape[1] == n and bool((block.amax(dim=1) < best[:, -1]).all()):
            continue
        top, at = _top(block, n)
        best = torch.cat([best, top], dim=1)
        indices = torch.cat([indices, torch.from_numpy(names).to(at.device)[at]], dim=1)
        # By index, and then by score in a way that keeps the order of equal ones.
        indices, order = indices.sort(dim=1)
        best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
        best, indices = best[:, :n], indices.gather(1, order)[:, :n]
    return best.cpu().numpy(), indices.cpu().numpy()


def _top(scores: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The largest ``n`` of each row and where they stand; of equal ones the first."""
    n = min(n, scores.shape[1])
    values, at = scores.topk(n, dim=1)
    if bool(((scores >= values[:, -1:]).sum(dim=1) > n).any()):  # others tie with the last one
        values, at = scores.sort(dim=1, descending=True, stable=True)
        return values[:, :n], at[:, :n]
    return values, at
