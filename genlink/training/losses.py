"""Training objectives as pure functions, and a model with its objective as one module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import BartForConditionalGeneration

from genlink.data.batches import IGNORED, TensorBatch
from genlink.data.decisions import Decisions

__all__ = ["TargetLoss", "target_loss", "trie_log_probs", "trie_loss"]


class TargetLoss(torch.nn.Module):
    """A BART and what it is trained for: the one module that is wrapped for several devices.

    What a batch brings is learnt: its decisions by :func:`trie_loss`, its labels by :func:`target_loss` with
    ``label_smoothing``, times ``full_weight``.
    """

    def __init__(
        self, bart: BartForConditionalGeneration, *, full_weight: float = 1.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.bart = bart
        self.full_weight = full_weight
        self.label_smoothing = label_smoothing

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        """The loss summed over the batch (nats), a scalar in float32.

        Of prefix and padding, and of places without a decision, nothing is multiplied with the vocabulary.
        """
        hidden = self.bart.model(
            input_ids=batch.source,
            attention_mask=batch.source_mask,
            decoder_input_ids=batch.decoder_input,
            use_cache=False,
        ).last_hidden_state
        head, bias = self.bart.lm_head, self.bart.final_logits_bias[0]
        # A batch that decides nothing still has its group of the root, so that every weight gets a gradient: of zero.
        losses = [trie_loss(hidden[d.rows, d.columns], head.weight, bias, d) for d in batch.decisions]
        if batch.labels is not None:
            learnt = batch.labels != IGNORED
            loss = target_loss(head(hidden[learnt]) + bias, batch.labels[learnt], self.label_smoothing)
            losses.append(self.full_weight * loss)
        return torch.stack(losses).sum()


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


def trie_loss(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, decisions: Decisions) -> torch.Tensor:
    """Cross-entropy of the right children over the children of their nodes, summed (nats), in float32.

    ``hidden`` (places, width) is the decoder's state at each place of ``decisions``; ``weight`` (vocabulary, width) and
    ``bias`` (vocabulary,) are those of the head, of which only the tokens that compete are read. A scalar, at most
    what :func:`target_loss` gives for the same tokens: the sum over fewer of them is smaller.
    """
    return -trie_log_probs(hidden, weight, bias, decisions).sum()


def trie_log_probs(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, decisions: Decisions
) -> torch.Tensor:
    """The log-probability of the right child at each place (nats), shape (places,), in float32; see ``trie_loss``."""
    # One product with all that competes anywhere: gathered row by row, the weights would be copied for every place.
    logits = F.linear(hidden, weight.index_select(0, decisions.tokens)).float() + bias[decisions.tokens].float()
    if decisions.is_child is not None:
        logits = logits.masked_fill(~decisions.is_child, -torch.inf)
    return -F.cross_entropy(logits, decisions.chosen, reduction="none")
