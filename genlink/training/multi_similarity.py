"""The multi-similarity loss (Wang et al. 2019, arXiv 1904.06627, equation 15), as SapBERT uses it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["PRESETS", "MultiSimilarity", "multi_similarity_loss"]


@dataclass(frozen=True, slots=True)
class MultiSimilarity:
    """Temperatures of positive (``alpha``) and negative (``beta``) pairs, and the cosine ``base`` that parts them.

    SapBERT's paper (arXiv 2010.11784, equation 3) calls the last one epsilon, Wang et al. call it lambda.
    """

    alpha: float
    beta: float
    base: float


PRESETS = {
    "paper": MultiSimilarity(alpha=2, beta=50, base=0.5),
    "code": MultiSimilarity(alpha=1, beta=60, base=0.5),
}


def multi_similarity_loss(
    similarities: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, settings: MultiSimilarity
) -> torch.Tensor:
    """The loss of each anchor, shape (anchors,); all arguments have shape (anchors, names).

    log(1 + sum over kept positives of exp(-alpha (s - base))) / alpha, and the same over kept negatives of
    exp(beta (s - base)) / beta. ``similarities`` are cosines; an anchor of which no pair is kept costs nothing.
    """
    pulled = _log_one_plus_sum(settings.alpha * (settings.base - similarities), positive) / settings.alpha
    pushed = _log_one_plus_sum(settings.beta * (similarities - settings.base), negative) / settings.beta
    return pulled + pushed


def _log_one_plus_sum(exponents: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """log(1 + sum of exp over what is kept of a row)."""
    masked = exponents.masked_fill(~kept, -torch.inf)
    return torch.cat([masked, masked.new_zeros(len(masked), 1)], dim=1).logsumexp(dim=1)
