"""What a stage gives to the loop: examples, how they become tensors, and what is learnt from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from transformers import BartForConditionalGeneration

from genlink.data.batches import BatchSource, collate
from genlink.data.encoding import Example
from genlink.training.losses import TargetLoss
from genlink.trie import NameTrie

__all__ = ["Task", "TensorRecord", "target_task"]

E = TypeVar("E")


class TensorRecord(Protocol):
    """Tensors that move together."""

    def to(self, device: torch.device) -> TensorRecord:
        """The same on a device."""
        ...


@dataclass(frozen=True, slots=True)
class Task(Generic[E]):
    """What is learnt, as the loop sees it.

    ``batch``: the examples of a step (from zero), the same at every call. ``collate`` makes tensors of some of them,
    ``loss`` a sum of these, and ``size`` is what the sum over a whole step is divided by: each process computes it from
    the examples alone, however the step is cut up. ``settings``: what a resumed run must share with the one that it
    goes on with, beside those of the optimiser. ``rates``: parameters of the loss, by name, with a highest learning
    rate of their own and without weight decay; they come behind all others.
    """

    batch: Callable[[int], Sequence[E]]
    collate: Callable[[Sequence[E]], TensorRecord]
    loss: torch.nn.Module
    size: Callable[[Sequence[E]], float]
    settings: Mapping[str, Any]
    rates: Mapping[str, float] = field(default_factory=dict)


def target_task(
    model: BartForConditionalGeneration,
    batches: BatchSource,
    pad: int,
    *,
    trie: NameTrie | None = None,
    full_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Task[Example]:
    """Likelihood: the target tokens over the whole vocabulary or, given a ``trie`` of all targets, each decision on
    their ways over the children of its node, and ``full_weight`` times the former.
    """
    return Task(
        batch=batches.batch,
        collate=partial(collate, pad=pad, trie=trie, labelled=full_weight > 0),
        loss=TargetLoss(model, full_weight=full_weight, label_smoothing=label_smoothing),
        size=_target_tokens,
        settings={} if trie is None else {"objective": "trie", "full_weight": full_weight},
    )


def _target_tokens(examples: Sequence[Example]) -> int:
    # All of them, under any objective: then losses compare, and `full_weight` is a ratio of log-likelihoods.
    return sum(len(example.target) for example in examples)
