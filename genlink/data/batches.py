"""Batches that are a function of (seed, step): resuming needs no replay, and every process computes the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genlink.data.decisions import Decisions, find_decisions
from genlink.data.encoding import Encoding, Example
from genlink.data.synonyms import SynonymPairs
from genlink.data.targets import MentionTargets
from genlink.trie import NameTrie

__all__ = ["BatchSource", "FinetuneBatches", "PretrainBatches", "TensorBatch", "collate", "epoch_order"]

# Examples of so many batches are drawn together, sorted by length and cut, so that little of a batch is padding.
POOLED_BATCHES = 16


class BatchSource(Protocol):
    """Anything that gives the examples of a step."""

    def batch(self, step: int) -> list[Example]:
        """The examples of optimiser step ``step`` (from zero), the same at every call."""
        ...


class _Costly(Protocol):
    @property
    def cost(self) -> int: ...


E = TypeVar("E", bound=_Costly)


def pool(examples: Sequence[E], batch_size: int, rng: np.random.Generator) -> list[list[E]]:
    """Cut examples into batches of like length, in random order."""
    ranked = sorted(range(len(examples)), key=lambda i: (examples[i].cost, i))
    starts = range(0, len(examples), batch_size)
    batches = [[examples[i] for i in ranked[start : start + batch_size]] for start in starts]
    return [batches[i] for i in rng.permutation(len(batches))]


def shuffled(size: int, first: int, count: int, seed: int) -> list[int]:
    """A stretch of an endless sequence of shuffled epochs over ``size`` items: ``count`` of them from ``first`` on."""
    items: list[int] = []
    for epoch in range(first // size, (first + count - 1) // size + 1):
        order = epoch_order(size, epoch, seed)
        items.extend(order[max(0, first - epoch * size) : first + count - epoch * size].tolist())
    return items


@lru_cache(maxsize=2)
def epoch_order(size: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The shuffled items of an epoch; kept, since each step asks for them and there may be millions."""
    return np.random.default_rng([seed, 1, epoch]).permutation(size)


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
        return pool(self._encoding.examples(prompts, keys, self._target_tokens), self._batch_size, rng)

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

    def _make_pool(self, number: int) -> list[list[Example]]:
        rng = np.random.default_rng([self._seed, 2, number])
        items = shuffled(len(self._mentions), number * self._fresh, self._fresh, self._seed)
        drawn = [self._mentions.draw(item, rng) for item in items]
        prompts, keys = [prompt for prompt, _ in drawn], [key for _, key in drawn]
        if self._pairs is not None and self._replayed:
            replay_prompts, replay_keys = self._pairs.draw(self._replayed, rng)
            prompts, keys = prompts + replay_prompts, keys + replay_keys
        return pool(self._encoding.examples(prompts, keys, self._target_tokens), self._batch_size, rng)

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


@dataclass(frozen=True, slots=True)
class DecoderTensors:
    """What the decoder reads and learns, as in :class:`TensorBatch`."""

    input: torch.Tensor
    labels: torch.Tensor | None
    decisions: tuple[Decisions, ...]


def collate(
    examples: Sequence[Example], pad: int, trie: NameTrie | None = None, *, labelled: bool = True
) -> TensorBatch:
    """Pad examples on the right. The decoder reads prefix and target but its last token; labels are shifted by one.

    With a trie the batch says where its targets branch. If it is not ``labelled``, nothing else can be learnt from it,
    and the decoder reads no token behind the last decision of a target.

    Raises ValueError for a target that is not in the trie, see :func:`genlink.data.decisions.walk`.
    """
    source, mask = pad_sources([e.source for e in examples], pad)
    decoder = pad_targets([e.prefix for e in examples], [e.target for e in examples], pad, trie, labelled=labelled)
    return TensorBatch(source, mask, decoder.input, decoder.labels, decoder.decisions)


def pad_sources(sources: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (sources, longest source)."""
    width = max(map(len, sources))
    ids = np.full((len(sources), width), pad, dtype=np.int64)
    mask = np.zeros((len(sources), width), dtype=np.int64)
    for row, source in enumerate(sources):
        ids[row, : len(source)] = source
        mask[row, : len(source)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def pad_targets(
    prefixes: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    pad: int,
    trie: NameTrie | None = None,
    *,
    labelled: bool = True,
) -> DecoderTensors:
    """The decoder's part of a batch, see :func:`collate`; a row for each target."""
    first_columns = [len(prefix) - 1 for prefix in prefixes]
    decisions = () if trie is None else find_decisions(trie, targets, first_columns)
    if labelled:
        fed = [len(prefix) + len(target) - 1 for prefix, target in zip(prefixes, targets, strict=True)]
    else:
        fed = [len(prefix) for prefix in prefixes]
        for d in decisions:
            for row, column in zip(d.rows.tolist(), d.columns.tolist(), strict=True):
                fed[row] = max(fed[row], column + 1)
    decoder_input = np.full((len(targets), max(fed)), pad, dtype=np.int64)
    labels = np.full((len(targets), max(fed)), IGNORED, dtype=np.int64)
    for row, (prefix, target) in enumerate(zip(prefixes, targets, strict=True)):
        decoder_input[row, : fed[row]] = [*prefix, *target][: fed[row]]
        if labelled:
            labels[row, first_columns[row] : fed[row]] = target
    return DecoderTensors(torch.from_numpy(decoder_input), torch.from_numpy(labels) if labelled else None, decisions)
