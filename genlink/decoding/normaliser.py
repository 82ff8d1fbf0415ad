"""From hidden states to log-probabilities of next tokens: the logits asked for, and what they are measured against.

A log-probability is a logit less a normaliser. Which one is a property of the model, decided by how it was trained:

- ``full``: all tokens of the vocabulary. Exact, and the dearest part of a search.
- ``active``: the tokens that names are made of. The same order for a prefix's children, other sums along a name.
- ``trie``: the children that are asked for, no other. Names share out a probability of 1 at every branch of the trie,
  and a forced token is certain.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from genlink.decoding.bart import AnyBart

__all__ = ["Head", "Normaliser", "child_logits", "log_normaliser", "log_softmax_within_rows"]

Normaliser = Literal["full", "active", "trie"]
IntArray = npt.NDArray[np.integer[Any]]

# Columns of the head at a time on a CPU: a block of logits stays in the processor's cache.
_BLOCK = 2048
# A row of more children than this is worth a matrix product of its own.
_WIDE = 32
# Sets of children whose rows of the head are kept: the root's, which every mention asks for, and a few more.
_KEPT = 8


def child_logits(hidden: Tensor, weight: Tensor, bias: Tensor, child_rows: Tensor, child_tokens: Tensor) -> Tensor:
    """The logits of some next tokens, in float32 whatever the dtype of the weights.

    ``hidden`` is (rows, width), ``weight`` (vocabulary, width), ``bias`` (vocabulary,); ``child_rows`` and
    ``child_tokens`` are (children,): the row that each asks about and the token. Returns (children,).
    """
    products = weight[child_tokens].float().mul_(hidden[child_rows].float())
    return products.sum(dim=-1) + bias[child_tokens].float()


def log_softmax_within_rows(logits: Tensor, child_rows: Tensor) -> Tensor:
    """Log-probabilities under ``trie``: log-softmax over the children of each row, both (children,), as is the answer.

    The only child of its row gets exactly 0.
    """
    largest = _largest_of_rows(logits, child_rows, int(child_rows.max()) + 1)
    above = logits - largest[child_rows]
    total = torch.zeros_like(largest).index_add_(0, child_rows, above.exp())
    return above - total.log()[child_rows]


def log_normaliser(
    hidden: Tensor, weight: Tensor, bias: Tensor, child_rows: Tensor, child_columns: Tensor, logits: Tensor
) -> Tensor:
    """The logarithm of the sum of exp(logit) over all columns of a head, (rows,), summed in float32.

    ``hidden`` (rows, width) and ``weight`` (columns, width) are multiplied in their common dtype; ``bias`` (columns,)
    and the answer are float32. ``logits`` are the float32 logits of some children, given by row and column, (children,)
    all three. They cost little and save much where the common dtype is of low precision:

    - Logits are measured from the largest child of their row *before* they are rounded, so a logit is rounded to a
      share of its distance from there, and logits near the top, which make up the sum, lose next to nothing.
    - The children themselves enter the sum as they are. What is left of the rounding error is that of the other
      columns' share of the probability.
    """
    low = weight.dtype != torch.float32
    largest = torch.zeros(len(hidden), device=hidden.device)
    if len(logits):
        largest = _largest_of_rows(logits, child_rows, len(hidden)).nan_to_num_(neginf=0.0)
    step = _BLOCK if weight.device.type == "cpu" else len(weight)
    starts = range(0, len(weight), step)
    block_of = child_columns // step
    children = torch.split(block_of.argsort(), block_of.bincount(minlength=len(starts)).tolist()) if low else ()

    def blocks(shift: Tensor) -> Iterator[Tensor]:
        """The logits less ``shift``, (rows, columns of a block)."""
        for i, start in enumerate(starts):
            part = slice(start, start + step)
            if low:
                # The shift is the bias of the product, which is added before the result is rounded.
                block = functional.linear(weight[part], hidden, -shift) + bias[part, None]
                known, rows = children[i], child_rows[children[i]]
                block[child_columns[known] - start, rows] = logits[known] - shift[rows].float()
                yield block.T
            else:
                yield functional.linear(hidden, weight[part], bias[part]).sub_(shift[:, None])

    def total(shift: Tensor) -> Tensor:
        return sum((block.exp_().sum(dim=-1) for block in blocks(shift)), torch.zeros_like(largest))

    shift = largest.to(weight.dtype)
    sums = total(shift)
    if bool(sums.isinf().any()):  # some token is more than e^88 times as likely as the likeliest child
        above = torch.stack([block.amax(dim=-1) for block in blocks(shift)]).amax(dim=0)
        shift = (shift.float() + above).to(weight.dtype)
        sums = total(shift)
    return shift.float() + sums.log()


class Head:
    """The output head of a BART under one normaliser, as one scorer reads it.

    It keeps rows of the head that it has gathered or converted. They are read when first needed and not again: a head
    is for the time that the weights stay as they are.
    """

    def __init__(
        self,
        model: AnyBart,
        normaliser: Normaliser,
        active_tokens: npt.ArrayLike | None,
        normaliser_dtype: torch.dtype | None,
    ) -> None:
        if normaliser not in ("full", "active", "trie"):
            raise ValueError(f"the normaliser is {normaliser!r}, expected full, active or trie")
        if normaliser == "active" and active_tokens is None:
            raise ValueError("the normaliser `active` needs the tokens of the dictionary: give active_tokens")
        self._model = model
        self._normaliser = normaliser
        self._active = np.unique(np.asarray(active_tokens, np.int64)) if normaliser == "active" else None
        self._dtype = normaliser_dtype
        self._gathered: dict[bytes, tuple[Tensor, Tensor]] = {}

    def log_probs(self, hidden: Tensor, child_rows: IntArray, child_tokens: IntArray) -> npt.NDArray[np.float32]:
        """The log-probability of some next tokens, (children,).

        ``hidden`` is (rows, width); ``child_rows``, ascending, and ``child_tokens`` are (children,).
        Raises ValueError for a token that is not active, where that is the normaliser.
        """
        rows, tokens = np.asarray(child_rows, np.int64), np.asarray(child_tokens, np.int64)
        if self._normaliser == "trie":
            result = np.zeros(len(rows), np.float32)  # a single child is certain, and the head is not asked
            is_open = np.bincount(rows)[rows] > 1
            if is_open.any():
                logits = self._logits(hidden, rows[is_open], tokens[is_open])
                result[is_open] = log_softmax_within_rows(logits, self._on_device(rows[is_open])).cpu().numpy()
            return result
        columns = tokens
        if self._active is not None:
            columns = np.searchsorted(self._active, tokens)
            if not (self._active.take(columns, mode="clip") == tokens).all():
                raise ValueError("a child is not among the active tokens: they must be those of the whole trie")
        weight, bias = self._measure
        logits, r, c = self._logits(hidden, rows, tokens), self._on_device(rows), self._on_device(columns)
        scores = logits - log_normaliser(hidden.to(weight.dtype), weight, bias, r, c, logits)[r]
        answer: npt.NDArray[np.float32] = scores.cpu().numpy()
        return answer

    @cached_property
    def _measure(self) -> tuple[Tensor, Tensor]:
        """The rows of the head that the normaliser sums over, in its dtype, and their bias."""
        weight, bias = self._model.lm_head.weight, self._model.final_logits_bias[0]
        if self._active is not None:
            active = self._on_device(self._active)
            weight, bias = weight[active], bias[active]
        return weight.to(self._dtype or weight.dtype), bias.float()

    def _logits(self, hidden: Tensor, rows: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]) -> Tensor:
        """The children's logits in float32: a product for each set of many children, dot products for the others."""
        weight, bias = self._model.lm_head.weight, self._model.final_logits_bias[0]
        is_wide = np.bincount(rows)[rows] > _WIDE
        narrow = self._on_device(np.flatnonzero(~is_wide))
        logits = torch.empty(len(rows), device=hidden.device)
        r, t = self._on_device(rows), self._on_device(tokens)
        logits[narrow] = child_logits(hidden, weight, bias, r[narrow], t[narrow])
        if not is_wide.any():
            return logits
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        ends = np.append(starts[1:], len(rows))
        spans: dict[bytes, list[slice]] = {}
        for first, end in zip(starts[is_wide[starts]].tolist(), ends[is_wide[starts]].tolist(), strict=True):
            spans.setdefault(tokens[first:end].tobytes(), []).append(slice(first, end))
        for key, same in spans.items():
            if key not in self._gathered:
                wanted = t[same[0]]
                self._gathered[key] = weight[wanted].float(), bias[wanted].float()
            asking = hidden[r[[span.start for span in same]]].float()
            for span, values in zip(same, functional.linear(asking, *self._gathered[key]), strict=True):
                logits[span] = values
        while len(self._gathered) > _KEPT:
            self._gathered.pop(min(self._gathered, key=len))
        return logits

    def _on_device(self, array: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._model.device)


def _largest_of_rows(values: Tensor, rows: Tensor, n_rows: int) -> Tensor:
    """The largest value of each row, (n_rows,); minus infinity for a row without any."""
    return torch.full((n_rows,), -torch.inf, device=values.device).scatter_reduce_(0, rows, values, "amax")
