"""Preference objectives as pure functions of log-probabilities, and a model with one of them as a module.

Log-probabilities of names are sums over their tokens and the end token, in nats, as the search adds them up; the given
prefix has none. Every objective here is one number for each pair, or each list, which the caller averages.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from transformers import BartForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from genlink.data.batches import IGNORED
from genlink.data.preference_batches import PreferenceBatch
from genlink.training.losses import trie_log_probs

__all__ = [
    "Preference",
    "PreferenceLoss",
    "dpo_loss",
    "first_right",
    "marginal_loss",
    "name_log_probs",
    "simpo_loss",
]

Preference = Literal["dpo", "simpo", "marginal", "likelihood"]


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, equation 7), shape (pairs,).

    All arguments are log-probabilities of whole names, shape (pairs,), under the policy and under the reference:
    minus the log of the sigmoid of ``beta`` times how much more the policy prefers the chosen name than the reference
    does.
    """
    return -F.logsigmoid(beta * ((chosen - reference_chosen) - (rejected - reference_rejected)))


def simpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    chosen_lengths: torch.Tensor,
    rejected_lengths: torch.Tensor,
    beta: float,
    margin: float,
) -> torch.Tensor:
    """SimPO (Meng et al. 2024, arXiv 2405.14734, equation 6), shape (pairs,): no reference, means over tokens.

    ``margin`` is the paper's gamma: the chosen name should win by as much, ``beta`` applied.
    """
    return -F.logsigmoid(beta * (chosen / chosen_lengths - rejected / rejected_lengths) - margin)


def marginal_loss(log_probs: torch.Tensor, right: torch.Tensor, owner: torch.Tensor, lists: int) -> torch.Tensor:
    """Minus the log of the share of the right names in the probability of all names of a list, shape (lists,).

    BioSyn's marginal likelihood over candidates (arXiv 2005.00239, equations 5 and 6), with a generator's
    log-probabilities for its similarity scores. ``log_probs``, ``right`` and ``owner`` have shape (names,); each list
    must have a right name.
    """
    return _log_sum_exp(log_probs, owner, lists) - _log_sum_exp(log_probs.masked_fill(~right, -torch.inf), owner, lists)


def _log_sum_exp(values: torch.Tensor, owner: torch.Tensor, lists: int) -> torch.Tensor:
    """log of the sum of exp over the values of each list, shape (lists,)."""
    highest = values.new_full((lists,), -torch.inf).scatter_reduce(0, owner, values.detach(), "amax")
    return highest + values.new_zeros(lists).index_add(0, owner, (values - highest[owner]).exp()).log()


def first_right(right: torch.Tensor, owner: torch.Tensor, lists: int) -> torch.Tensor:
    """The index of the first right name of each list, shape (lists,); each must have one."""
    places = torch.arange(len(right), device=right.device).masked_fill(~right, len(right))
    return torch.full((lists,), len(right), device=right.device).scatter_reduce(0, owner, places, "amin")


def name_log_probs(bart: BartForConditionalGeneration, batch: PreferenceBatch) -> torch.Tensor:
    """The log-probability of every name of a batch (nats), shape (names,), in float32.

    Over the children of the trie if the batch has decisions, over the vocabulary if it has labels. The encoder reads
    each mention once.
    """
    encoded = bart.model.encoder(input_ids=batch.source, attention_mask=batch.source_mask).last_hidden_state
    hidden = bart.model(
        encoder_outputs=BaseModelOutput(last_hidden_state=encoded[batch.owner]),
        attention_mask=batch.source_mask[batch.owner],
        decoder_input_ids=batch.decoder_input,
        use_cache=False,
    ).last_hidden_state
    head, bias = bart.lm_head, bart.final_logits_bias[0]
    scores = torch.zeros(len(batch.owner), device=hidden.device)
    if batch.labels is None:
        for d in batch.decisions:
            log_probs = trie_log_probs(hidden[d.rows, d.columns], head.weight, bias, d)
            scores = scores.index_add(0, d.rows, log_probs)
        return scores
    rows, columns = (batch.labels != IGNORED).nonzero(as_tuple=True)
    logits = (head(hidden[rows, columns]) + bias).float()
    return scores.index_add(0, rows, -F.cross_entropy(logits, batch.labels[rows, columns], reduction="none"))


class PreferenceLoss(torch.nn.Module):
    """A BART and the objective that it learns lists by: the one module that is wrapped for several devices.

    ``nll`` times the negative log-likelihood of the chosen name of a pair, or of the first right name of a list,
    divided by its tokens, is added (as in Pang et al. 2024, arXiv 2404.19733, equation 2). ``likelihood`` is that
    alone: the control, which sees no wrong name.
    """

    def __init__(
        self, bart: BartForConditionalGeneration, loss: Preference, *, nll: float, beta: float, margin: float
    ) -> None:
        super().__init__()
        self.bart = bart
        self.loss, self.nll, self.beta, self.margin = loss, nll, beta, margin

    def forward(self, batch: PreferenceBatch) -> torch.Tensor:
        """The loss summed over the pairs (dpo, simpo) or lists of the batch (nats), a scalar in float32."""
        log_probs = name_log_probs(self.bart, batch)
        lists = len(batch.source)
        if self.loss in ("dpo", "simpo"):
            learnt = batch.chosen
            losses = self._of_pairs(log_probs, batch)
        else:
            learnt = first_right(batch.right, batch.owner, lists)
            losses = torch.zeros(lists, device=log_probs.device)
            if self.loss == "marginal":
                losses = marginal_loss(log_probs, batch.right, batch.owner, lists)
        weight = 1.0 if self.loss == "likelihood" else self.nll
        if weight:
            losses = losses - weight * log_probs[learnt] / batch.lengths[learnt]
        return losses.sum()

    def _of_pairs(self, log_probs: torch.Tensor, batch: PreferenceBatch) -> torch.Tensor:
        chosen, rejected = log_probs[batch.chosen], log_probs[batch.rejected]
        if self.loss == "simpo":
            lengths = batch.lengths
            return simpo_loss(chosen, rejected, lengths[batch.chosen], lengths[batch.rejected], self.beta, self.margin)
        assert batch.reference is not None  # examples for this loss have it
        reference = batch.reference
        return dpo_loss(chosen, rejected, reference[batch.chosen], reference[batch.rejected], self.beta)
