"""Training objectives as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from genlink.data.batches import IGNORED

__all__ = ["target_loss"]


def target_loss(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of the target tokens over the whole vocabulary, summed over the batch (nats).

    ``logits`` (batch, T, vocabulary), ``labels`` (batch, T) with -100 where nothing is learnt. A scalar: the caller
    divides by the number of target tokens of the *optimiser step*, so that the result does not depend on how the step
    is cut into micro-batches and processes. Label smoothing as in GenBioEL: (1 - e) of the likelihood of the token and
    e of the mean over the vocabulary.
    """
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
