"""Pairs of names of one concept, what a SapBERT learns from (Liu et al. 2021, arXiv 2010.11784, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlink.data.batches import shuffled
from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase

__all__ = ["NamePair", "NamePairBatches", "NamePairs", "pairs_of"]


@dataclass(frozen=True, slots=True)
class NamePair:
    """Two names of a concept, as keys of a knowledge base, and the index of the concept.

    ``draw``: a random number of its own, for what a loss draws; it is the same however a step is cut up.
    """

    concept: int
    first: int
    second: int
    draw: int


def pairs_of(names: Sequence[int], limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """All pairs of different ``names``, each once and in their order, shape (pairs, 2); of more than ``limit``, as many
    at random.

    Nothing of the size of all pairs is made: a concept may have thousands of names.
    """
    n = len(names)
    total = n * (n - 1) // 2
    chosen = np.sort(rng.choice(total, limit, replace=False)) if total > limit else np.arange(total)
    # Pairs are numbered row by row: those whose first name is i begin at i (2n - i - 1) / 2.
    i = np.arange(n, dtype=np.int64)
    starts = i * (2 * n - i - 1) // 2
    first = np.searchsorted(starts[: max(0, n - 1)], chosen, side="right") - 1
    second = chosen - starts[first] + first + 1 if total else first
    return np.asarray(names, dtype=np.int64)[np.stack([first, second], axis=1)]


class NamePairs:
    """The pairs of all concepts of a knowledge base, ``limit`` a concept at most.

    Names of more than ``max_name_length`` characters are left out. Raises KnowledgeBaseError where no concept has two
    names left.
    """

    def __init__(self, kb: KnowledgeBase, *, limit: int, max_name_length: int, seed: int) -> None:
        self.kb = kb
        fits = [len(kb.key(key)) <= max_name_length for key in range(kb.n_keys)]
        rng = np.random.default_rng([seed, 4])
        found, owners = [], []
        for concept in range(len(kb)):
            pairs = pairs_of([key for key in kb.concept_keys(concept) if fits[key]], limit, rng)
            if len(pairs):
                found.append(pairs)
                owners.append(np.full(len(pairs), concept))
        if not found:
            raise KnowledgeBaseError(
                f"no concept has two names of at most {max_name_length} characters, so there are no pairs to learn. "
                "Name another knowledge base in pairs.sources."
            )
        self.keys = np.concatenate(found)
        self.concepts = np.concatenate(owners)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.keys)


class NamePairBatches:
    """Batches of pairs in endless shuffled epochs."""

    def __init__(self, pairs: NamePairs, *, batch_size: int, seed: int) -> None:
        self._pairs, self._batch_size, self._seed = pairs, batch_size, seed

    def batch(self, step: int) -> list[NamePair]:
        """The pairs of a step (from zero), the same at every call."""
        items = shuffled(len(self._pairs), step * self._batch_size, self._batch_size, self._seed)
        draws = np.random.default_rng([self._seed, 5, step]).integers(1 << 62, size=len(items))
        concepts, keys = self._pairs.concepts[items].tolist(), self._pairs.keys[items].tolist()
        return [
            NamePair(concept, first, second, draw)
            for concept, (first, second), draw in zip(concepts, keys, draws.tolist(), strict=True)
        ]
