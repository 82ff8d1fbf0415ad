"""BioSyn's synonym marginalisation (Sung et al. 2020, arXiv 2005.00239, section 3): right names win together.

The score of a name is the product of its vector and the mention's, plus a learnt weight times their cosine over
character n-grams; the loss is minus the log of the share of the right names in the softmax over the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from genlink.config import BiosynConfig
from genlink.encoders.encoder import TextEncoder
from genlink.kb import KnowledgeBase
from genlink.training.candidates import CandidateBatches, CandidateList
from genlink.training.encoders import trained_vectors
from genlink.training.preferences import marginal_loss
from genlink.training.task import Task

__all__ = ["BiosynLoss", "CandidateBatch", "SparseWeight", "biosyn_task", "candidate_loss", "collate_candidates"]


def candidate_loss(scores: torch.Tensor, right: torch.Tensor, owner: torch.Tensor, lists: int) -> torch.Tensor:
    """``marginal_loss`` of each list of candidates, shape (lists,).

    A list without a right name costs 0 and has no gradient, as in BioSyn's code.
    """
    found = torch.zeros(lists, dtype=torch.bool, device=right.device).index_put((owner[right],), right.new_ones(()))
    # There every name counts as right: the share is one, whatever the scores.
    return marginal_loss(scores, right | ~found[owner], owner, lists)


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """Q mentions and their N candidates in all; each text is encoded once.

    ``mentions`` (Q,) and ``names`` (N,): indices of ``texts``; ``owner`` (N,): the mention of each candidate;
    ``sparse`` (N,): the cosines over n-grams; ``right`` (N,).
    """

    texts: list[str]
    mentions: torch.Tensor
    names: torch.Tensor
    owner: torch.Tensor
    sparse: torch.Tensor
    right: torch.Tensor

    def to(self, device: torch.device) -> CandidateBatch:
        """The same batch on a device."""
        tensors = (self.mentions, self.names, self.owner, self.sparse, self.right)
        return CandidateBatch(self.texts, *(tensor.to(device) for tensor in tensors))


def collate_candidates(examples: Sequence[CandidateList], kb: KnowledgeBase) -> CandidateBatch:
    """The tensors of some lists; keys are those of ``kb``."""
    names = [kb.key(key) for example in examples for key in example.keys]
    place = {text: i for i, text in enumerate(dict.fromkeys([*(example.text for example in examples), *names]))}
    return CandidateBatch(
        list(place),
        torch.tensor([place[example.text] for example in examples]),
        torch.tensor([place[name] for name in names]),
        torch.repeat_interleave(torch.tensor([len(example.keys) for example in examples])),
        torch.tensor(list(chain.from_iterable(example.sparse for example in examples)), dtype=torch.float32),
        torch.tensor(list(chain.from_iterable(example.right for example in examples))),
    )


class SparseWeight(torch.nn.Module):
    """The one number that the sparse score is multiplied with."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([start]))


class BiosynLoss(torch.nn.Module):
    """An encoder, the weight of the sparse score, and what they learn: the one module that is wrapped for devices."""

    def __init__(self, encoder: TextEncoder, sparse_weight: float) -> None:
        super().__init__()
        self.model = encoder.model
        self.sparse = SparseWeight(sparse_weight)
        self._encoder = encoder

    @property
    def sparse_weight(self) -> float:
        """The weight as it is now."""
        return float(self.sparse.weight.detach())

    def forward(self, batch: CandidateBatch) -> torch.Tensor:
        """The loss summed over the mentions of the batch (nats), a scalar in float32."""
        vectors = trained_vectors(self._encoder, batch.texts)
        dense = (vectors[batch.mentions][batch.owner] * vectors[batch.names]).sum(dim=1)
        scores = dense + self.sparse.weight * batch.sparse
        return candidate_loss(scores, batch.right, batch.owner, len(batch.mentions)).sum()


def biosyn_task(
    loss: BiosynLoss,
    batches: CandidateBatches,
    kb: KnowledgeBase,
    settings: BiosynConfig,
    say: Callable[[str], None],
) -> Task[CandidateList]:
    """The loss of a step is the mean over its mentions that have a right candidate.

    How many mentions have one is said at the beginning of each epoch: of the others nothing is learnt.
    """

    def batch(step: int) -> list[CandidateList]:
        examples = batches.batch(step)
        if step % batches.epoch_steps == 0:
            epoch = step // batches.epoch_steps
            say(f"epoch {epoch + 1}: {batches.learnable(epoch)} of {len(batches)} mentions have a right candidate")
        return examples

    return Task(
        batch=batch,
        collate=lambda examples: collate_candidates(examples, kb),
        loss=loss,
        size=lambda examples: max(1, sum(any(example.right) for example in examples)),
        settings={"stage": "biosyn", **settings.model_dump(exclude={"epochs"})},
        rates={"sparse.weight": settings.sparse_learning_rate},
    )
