"""Batches that are a function of (seed, step): resuming needs no replay, and every process computes the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch

from genlink.data.decisions import Decisions, find_decisions
from genlink.data.encoding import Encoding, Example
from genlink.data.synonyms import SynonymPairs
from genlink.data.targets import MentionTargets
from genlink.trie import NameTrie

__all__ = ["BatchSource", "FinetuneBatches", "PretrainBatches", "TensorBatch", "collate"]

# Examples of so many batches are drawn together, sorted by length and cut, so that little of a batch is padding.
POOLED_BATCHES = 16


class BatchSource(Protocol):
    """Anything that gives the examples of a step."""

    def batch(self, step: int) -> list[Example]:
        """The examples of optimiser step ``step`` (from zero), the same at every call."""
        ...


def _pool(examples: Sequence[Example], batch_size: int, rng: np.random.Generator) -> list[list[Example]]:
    """Cut examples into batches of like length, in random order."""
    ranked = sorted(range(len(examples)), key=lambda i: (examples[i].cost, i))
    starts = range(0, len(examples), batch_size)
    batches = [[examples[i] for i in ranked[start : start + batch_size]] for start in starts]
    return [batches[i] for i in rng.permutation(len(batches))]


class PretrainBatches:
    """Batches of synonym pairs without end."""

    def __init__(
        self, pairs: SynonymPairs, encoding: Encoding, *, batch_size: int, target_tokens: int, seed: int
    ) -> None:
        self._pairs, self._encoding = pairs, encoding
        self._batch_size, self._target_tokens, self._seed = batch_size, target_tokens, seed
        self._pool_of = lru_cache(maxsize=1)(self._make_pool)

    def _make_pool(self, number: int) -> list[list[Example]]:
        rng = np.random.default_rng([self._seed, number])
        prompts, keys = self._pairs.draw(self._batch_size * POOLED_BATCHES, rng)
        return _pool(self._encoding.examples(prompts, keys, self._target_tokens), self._batch_size, rng)

    def batch(self, step: int) -> list[Example]:
        """The examples of a step."""
        return self._pool_of(step // POOLED_BATCHES)[step % POOLED_BATCHES]


class FinetuneBatches:
    """Batches of corpus mentions, a share of each pool replayed from pre-training so that it is not forgotten.

    ``replay`` is the share of synonym pairs in what is read, in [0, 1).
    """

    def __init__(
        self,
        mentions: MentionTargets,
        replay_pairs: SynonymPairs | None,
        encoding: Encoding,
        *,
        batch_size: int,
        target_tokens: int,
        replay: float,
        seed: int,
    ) -> None:
        self._mentions, self._pairs, self._encoding = mentions, replay_pairs, encoding
        self._batch_size, self._target_tokens, self._seed = batch_size, target_tokens, seed
        pooled = batch_size * POOLED_BATCHES
        self._replayed = min(round(pooled * replay), pooled - 1) if replay_pairs is not None else 0
        self._fresh = pooled - self._replayed
        self._pool_of = lru_cache(maxsize=1)(self._make_pool)

    def epoch_steps(self) -> int:
        """How many steps show every mention once."""
        return max(1, round(len(self._mentions) * POOLED_BATCHES / self._fresh))

    def _items(self, number: int) -> list[int]:
        """Mentions of a pool: consecutive stretches of one endless sequence of shuffled epochs."""
        size, first = len(self._mentions), number * self._fresh
        items: list[int] = []
        for epoch in range(first // size, (first + self._fresh - 1) // size + 1):
            order = np.random.default_rng([self._seed, 1, epoch]).permutation(size)
            items.extend(order[max(0, first - epoch * size) : first + self._fresh - epoch * size].tolist())
        return items

    def _make_pool(self, number: int) -> list[list[Example]]:
        rng = np.random.default_rng([self._seed, 2, number])
        drawn = [self._mentions.draw(item, rng) for item in self._items(number)]
        prompts, keys = [prompt for prompt, _ in drawn], [key for _, key in drawn]
        if self._pairs is not None and self._replayed:
            replay_prompts, replay_keys = self._pairs.draw(self._replayed, rng)
            prompts, keys = prompts + replay_prompts, keys + replay_keys
        return _pool(self._encoding.examples(prompts, keys, self._target_tokens), self._batch_size, rng)

    def batch(self, step: int) -> list[Example]:
        """The examples of a step."""
        return self._pool_of(step // POOLED_BATCHES)[step % POOLED_BATCHES]


@dataclass(frozen=True, slots=True)
class TensorBatch:
    """Padded examples. Shapes: source and mask (batch, S), decoder input and labels (batch, T).

    ``labels`` are -100 where nothing is to be learnt: the given prefix and the padding. They are None where only
    ``decisions`` are, and these are empty where no trie is.
    """

    source: torch.Tensor
    source_mask: torch.Tensor
    decoder_input: torch.Tensor
    labels: torch.Tensor | None
    decisions: tuple[Decisions, ...] = ()

    def to(self, device: torch.device) -> TensorBatch:
        """The same batch on a device."""
        return TensorBatch(
            self.source.to(device),
            self.source_mask.to(device),
            self.decoder_input.to(device),
            None if self.labels is None else self.labels.to(device),
            tuple(decisions.to(device) for decisions in self.decisions),
        )


IGNORED = -100


def collate(
    examples: Sequence[Example], pad: int, trie: NameTrie | None = None, *, labelled: bool = True
) -> TensorBatch:
    """Pad examples on the right. The decoder reads prefix and target but its last token; labels are shifted by one.

    With a trie the batch says where its targets branch. If it is not ``labelled``, nothing else can be learnt from it,
    and the decoder reads no token behind the last decision of a target.

    Raises ValueError for a target that is not in the trie, see :func:`genlink.data.decisions.walk`.
    """
    first_columns = [len(e.prefix) - 1 for e in examples]
    decisions = () if trie is None else find_decisions(trie, [e.target for e in examples], first_columns)
    if labelled:
        fed = [len(e.prefix) + len(e.target) - 1 for e in examples]
    else:
        fed = [len(e.prefix) for e in examples]
        for d in decisions:
            for row, column in zip(d.rows.tolist(), d.columns.tolist(), strict=True):
                fed[row] = max(fed[row], column + 1)
    width, depth = max(len(e.source) for e in examples), max(fed)
    source = np.full((len(examples), width), pad, dtype=np.int64)
    mask = np.zeros((len(examples), width), dtype=np.int64)
    decoder_input = np.full((len(examples), depth), pad, dtype=np.int64)
    labels = np.full((len(examples), depth), IGNORED, dtype=np.int64)
    for row, e in enumerate(examples):
        source[row, : len(e.source)] = e.source
        mask[row, : len(e.source)] = 1
        decoder_input[row, : fed[row]] = (e.prefix + e.target)[: fed[row]]
        if labelled:
            labels[row, first_columns[row] : fed[row]] = e.target
    return TensorBatch(
        torch.from_numpy(source),
        torch.from_numpy(mask),
        torch.from_numpy(decoder_input),
        torch.from_numpy(labels) if labelled else None,
        decisions,
    )
