"""Training objectives as pure functions, and the model's answer in the shape that they need."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import BartForConditionalGeneration

from genlink.data.batches import IGNORED, TensorBatch

__all__ = ["TargetLogits", "target_loss"]


class TargetLogits(torch.nn.Module):
    """A BART asked about its target tokens only: prefix and padding are never multiplied with the vocabulary."""

    def __init__(self, bart: BartForConditionalGeneration) -> None:
        super().__init__()
        self.bart = bart

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        """Logits where a label is given, in row order; shape (target tokens, vocabulary)."""
        hidden = self.bart.model(
            input_ids=batch.source,
            attention_mask=batch.source_mask,
            decoder_input_ids=batch.decoder_input,
            use_cache=False,
        ).last_hidden_state
        logits: torch.Tensor = self.bart.lm_head(hidden[batch.labels != IGNORED]) + self.bart.final_logits_bias[0]
        return logits


def target_loss(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy of the target tokens over the whole vocabulary, summed over the batch (nats).

    ``logits`` (..., vocabulary), ``labels`` (...) with -100 where nothing is learnt. A scalar: the caller
    divides by the number of target tokens of the *optimiser step*, so that the result does not depend on how the step
    is cut into micro-batches and processes. Label smoothing as in GenBioEL: (1 - e) of the likelihood of the token and
    e of the mean over the vocabulary.
    """
    return F.cross_entropy(
        logits.flatten(0, -2).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
