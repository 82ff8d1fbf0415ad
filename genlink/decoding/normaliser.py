"""What turns the head's logits into log-probabilities; separate functions, so that a score's meaning is one choice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["child_logits", "full_log_normaliser"]

# Columns of the vocabulary at a time: a block of logits stays in the processor's cache.
_BLOCK = 2048


def child_logits(hidden: Tensor, weight: Tensor, bias: Tensor, child_rows: Tensor, child_tokens: Tensor) -> Tensor:
    """The logits of some next tokens, in float32.

    ``hidden`` is (rows, width), ``weight`` (vocabulary, width), ``bias`` (vocabulary,); ``child_rows`` and
    ``child_tokens`` are (children,): the row that each asks about and the token. Returns (children,).
    """
    # Siblings and beams ask for the same tokens again and again: one product with each of them, then pick.
    asked = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    asked[child_tokens] = True
    tokens = asked.nonzero()[:, 0]
    column = torch.empty(len(weight), dtype=torch.long, device=weight.device)
    column[tokens] = torch.arange(len(tokens), device=weight.device)
    logits = functional.linear(hidden.float(), weight[tokens].float(), bias[tokens].float())
    return logits[child_rows, column[child_tokens]]


def full_log_normaliser(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The logarithm of the sum of exp(logit) over the whole vocabulary, (rows,), summed in float32."""
    total = torch.full((len(hidden),), -torch.inf, dtype=torch.float32, device=hidden.device)
    for start in range(0, len(weight), _BLOCK):
        block = slice(start, start + _BLOCK)
        logits = functional.linear(hidden, weight[block], bias[block].to(hidden.dtype)).float()
        total = torch.logaddexp(total, logits.logsumexp(dim=-1))
    return total
