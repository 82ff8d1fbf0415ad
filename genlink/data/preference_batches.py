"""Batches of preference examples: the encoder reads a mention once, the decoder each of its names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import torch

from genlink.data.batches import POOLED_BATCHES, pad_sources, pad_targets, pool, shuffled
from genlink.data.decisions import Decisions
from genlink.data.preferences import PreferenceExample
from genlink.trie import NameTrie

__all__ = ["PreferenceBatch", "PreferenceBatches", "collate_preferences"]


class PreferenceBatches:
    """Batches of lists in endless shuffled epochs; list i comes ``copies[i]`` times an epoch.

    As many steps as it takes to read an epoch do read all of it: lists of like length are sought within them alone.
    """

    def __init__(
        self, examples: Sequence[PreferenceExample], copies: Sequence[int], *, batch_size: int, seed: int
    ) -> None:
        self._examples = [e for e, n in zip(examples, copies, strict=True) for _ in range(n)]
        self._batch_size, self._seed = batch_size, seed
        self._epoch_steps = math.ceil(len(self._examples) / batch_size)
        self._pool_from = lru_cache(maxsize=1)(self._make_pool)

    def __len__(self) -> int:
        """How many lists make an epoch."""
        return len(self._examples)

    def _make_pool(self, first: int) -> list[list[PreferenceExample]]:
        """The batches from step ``first`` on."""
        steps = min(POOLED_BATCHES, self._epoch_steps - first % self._epoch_steps)
        items = shuffled(len(self._examples), first * self._batch_size, steps * self._batch_size, self._seed)
        rng = np.random.default_rng([self._seed, 2, first])
        return pool([self._examples[item] for item in items], self._batch_size, rng)

    def batch(self, step: int) -> list[PreferenceExample]:
        """The examples of a step."""
        at = step % self._epoch_steps % POOLED_BATCHES
        return self._pool_from(step - at)[at]


@dataclass(frozen=True, slots=True)
class PreferenceBatch:
    """Padded lists: L of them, with N names and P pairs in all.

    Shapes: ``source`` and ``source_mask`` (L, S); ``owner`` (N,), the list of each name; ``decoder_input`` (N, T) and
    ``labels`` or ``decisions`` as in :class:`genlink.data.batches.TensorBatch`, a row for each name; ``lengths`` (N,),
    tokens of each name, its end included; ``right`` (N,); ``chosen`` and ``rejected`` (P,), as indices of names;
    ``reference`` (N,), log-probabilities in nats.
    """

    source: torch.Tensor
    source_mask: torch.Tensor
    owner: torch.Tensor
    decoder_input: torch.Tensor
    labels: torch.Tensor | None
    decisions: tuple[Decisions, ...]
    lengths: torch.Tensor
    right: torch.Tensor
    chosen: torch.Tensor
    rejected: torch.Tensor
    reference: torch.Tensor | None

    def to(self, device: torch.device) -> PreferenceBatch:
        """The same batch on a device."""
        return PreferenceBatch(
            self.source.to(device),
            self.source_mask.to(device),
            self.owner.to(device),
            self.decoder_input.to(device),
            None if self.labels is None else self.labels.to(device),
            tuple(decisions.to(device) for decisions in self.decisions),
            self.lengths.to(device),
            self.right.to(device),
            self.chosen.to(device),
            self.rejected.to(device),
            None if self.reference is None else self.reference.to(device),
        )


def collate_preferences(
    examples: Sequence[PreferenceExample], pad: int, trie: NameTrie | None = None
) -> PreferenceBatch:
    """Pad lists on the right. With a ``trie`` a name's log-probability is over its children, else over the vocabulary.

    Raises ValueError for a name that is not in the trie.
    """
    source, mask = pad_sources([e.source for e in examples], pad)
    targets = [target for e in examples for target in e.targets]
    prefixes = [e.prefix for e in examples for _ in e.targets]
    decoder = pad_targets(prefixes, targets, pad, trie, labelled=trie is None)
    starts = [0, *accumulate(len(e.targets) for e in examples)]
    pairs = [(start + c, start + r) for e, start in zip(examples, starts, strict=False) for c, r in e.pairs]
    references = [value for e in examples for value in e.reference or ()]
    return PreferenceBatch(
        source,
        mask,
        torch.repeat_interleave(torch.tensor([len(e.targets) for e in examples])),
        decoder.input,
        decoder.labels,
        decoder.decisions,
        torch.tensor([len(target) for target in targets]),
        torch.tensor([is_right for e in examples for is_right in e.right]),
        torch.tensor([chosen for chosen, _ in pairs], dtype=torch.long),
        torch.tensor([rejected for _, rejected in pairs], dtype=torch.long),
        torch.tensor(references) if references else None,
    )
