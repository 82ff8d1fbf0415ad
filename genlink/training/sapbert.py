"""SapBERT's self-alignment (Liu et al. 2021, arXiv 2010.11784): names of one concept are drawn together.

All names of a step are compared with all, whichever process has read them: each has the vectors of the others, and the
gradient of its own. So a step is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from genlink.config import SapbertConfig
from genlink.data.name_pairs import NamePair, NamePairBatches, NamePairs
from genlink.encoders.encoder import TextEncoder
from genlink.training.encoders import gather_rows, trained_vectors
from genlink.training.mining import euclidean, hard_pairs, random_pairs, same_concept
from genlink.training.multi_similarity import PRESETS, multi_similarity_loss
from genlink.training.task import Task

__all__ = ["PairBatch", "SapbertLoss", "sapbert_task"]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """The names of some pairs, the two of a pair side by side.

    ``labels`` (names,): the concept of each; ``draws`` (names,): the random number of its pair.
    """

    texts: list[str]
    labels: torch.Tensor
    draws: torch.Tensor

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on a device."""
        return PairBatch(self.texts, self.labels.to(device), self.draws.to(device))


class SapbertLoss(torch.nn.Module):
    """An encoder and what it learns from name pairs: the one module that is wrapped for several devices."""

    def __init__(self, encoder: TextEncoder, settings: SapbertConfig) -> None:
        super().__init__()
        self.model = encoder.model
        self._encoder, self._settings = encoder, settings

    def forward(self, batch: PairBatch) -> torch.Tensor:
        """This process's part of the loss, a scalar: the parts add up to the sum over all names of the step.

        Its gradient is that of the whole sum, with respect to the names of this process.
        """
        trained = trained_vectors(self._encoder, batch.texts)
        # Cosines are multiplied by up to 60 in exponents: the three digits of bfloat16 are too few for them.
        with torch.autocast(trained.device.type, enabled=False):
            own = torch.nn.functional.normalize(trained, dim=1)
            vectors, labels = gather_rows(own), gather_rows(batch.labels)
            cosines = vectors @ vectors.T
            positive, negative = self._pairs(cosines.detach(), labels, int(gather_rows(batch.draws)[0]))
            loss = multi_similarity_loss(cosines, positive, negative, PRESETS[self._settings.loss]).sum()
        return loss + (len(own) / len(vectors) - 1) * loss.detach()

    def _pairs(self, cosines: torch.Tensor, labels: torch.Tensor, draw: int) -> tuple[torch.Tensor, torch.Tensor]:
        mining, margin = self._settings.mining, self._settings.margin
        if mining == "all":
            return same_concept(labels)
        if mining == "random":
            return random_pairs(euclidean(cosines), labels, margin, torch.Generator().manual_seed(draw))
        return hard_pairs(euclidean(cosines), labels, margin)


def sapbert_task(
    encoder: TextEncoder, pairs: NamePairs, settings: SapbertConfig, batch_size: int, seed: int
) -> Task[NamePair]:
    """Steps of ``batch_size`` pairs; the loss is the mean over their names."""
    return Task(
        batch=NamePairBatches(pairs, batch_size=batch_size, seed=seed).batch,
        collate=partial(_collate, pairs=pairs),
        loss=SapbertLoss(encoder, settings),
        size=lambda examples: 2 * len(examples),
        settings={"stage": "sapbert", **settings.model_dump(exclude={"epochs"})},
    )


def _collate(examples: Sequence[NamePair], pairs: NamePairs) -> PairBatch:
    keys = [key for pair in examples for key in (pair.first, pair.second)]
    return PairBatch(
        [pairs.kb.key(key) for key in keys],
        torch.tensor([pair.concept for pair in examples]).repeat_interleave(2),
        torch.tensor([pair.draw for pair in examples]).repeat_interleave(2),
    )
