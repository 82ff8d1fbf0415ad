"""The names that a BioSyn compares a mention with, and which of them are right (Sung et al. 2020, arXiv 2005.00239)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genlink.data.batches import epoch_order
from genlink.kb import KnowledgeBase
from genlink.linkers.biosyn import half_and_half
from genlink.linkers.ngrams import Ngrams
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["CandidateBatches", "CandidateList", "Query", "learnable_queries"]


@dataclass(frozen=True, slots=True)
class Query:
    """A normalised mention and the indices of its gold concepts."""

    text: str
    concepts: frozenset[int]


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A mention and the names it is compared with: keys of a knowledge base, their sparse scores, which are right."""

    text: str
    keys: tuple[int, ...]
    sparse: tuple[float, ...]
    right: tuple[bool, ...]


def learnable_queries(mentions: Sequence[Mention], kb: KnowledgeBase) -> list[Query]:
    """What is learnt of the mentions of a corpus: each text and gold once, in the order of the texts.

    As in BioSyn's code, mentions of several concepts that were not split and mentions without a gold concept in the
    knowledge base are left out.
    """
    queries: dict[Query, None] = {}
    for mention in mentions:
        text = normalise(mention.surface, kb.normalisation)
        resolved = {kb.resolve(concept_id) for concept_id in mention.gold_ids}
        concepts = frozenset(kb.concept_index(concept_id) for concept_id in resolved if concept_id is not None)
        if text and concepts and len(mention.gold or ()) == 1:
            queries[Query(text, concepts)] = None
    return list(queries)


class CandidateBatches:
    """Batches of mentions with their candidates; an epoch is cut into equal ones of ``batch_size`` or a few less.

    ``find_dense(epoch)`` returns the keys nearest to each query by the encoder, shape (queries, k), best first; it is
    called when the first batch of an epoch is asked for. ``k`` is at most the number of names. With ``marginalise``
    every name of a gold concept is right, else only that with the highest sparse score.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        kb: KnowledgeBase,
        ngrams: Ngrams,
        find_dense: Callable[[int], NDArray[np.int64]],
        *,
        k: int,
        dense_ratio: float,
        marginalise: bool,
        batch_size: int,
        seed: int,
    ) -> None:
        self._queries, self._kb, self._ngrams, self._find_dense = queries, kb, ngrams, find_dense
        self._k, self._dense_ratio, self._marginalise = k, dense_ratio, marginalise
        self._batch_size, self._seed = batch_size, seed
        self._texts = [query.text for query in queries]
        self._sparse = ngrams.search(self._texts, self._k)[1]
        self._of_epoch = lru_cache(maxsize=1)(self._combined)

    def __len__(self) -> int:
        """How many mentions make an epoch."""
        return len(self._queries)

    @property
    def epoch_steps(self) -> int:
        """How many steps show every mention once."""
        return -(-len(self._queries) // self._batch_size)

    def batch(self, step: int) -> list[CandidateList]:
        """The examples of a step (from zero), the same at every call."""
        epoch, place = divmod(step, self.epoch_steps)
        # A remainder by itself could be smaller than the number of processes.
        first, end = (len(self) * i // self.epoch_steps for i in (place, place + 1))
        items = epoch_order(len(self), epoch, self._seed)[first:end]
        keys = self._of_epoch(epoch)[items]
        names, column = np.unique(keys, return_inverse=True)
        cosines = self._ngrams.scores([self._texts[item] for item in items])(names).numpy()
        scores = np.take_along_axis(cosines, column.reshape(keys.shape), axis=1)
        return [self._list(int(item), *row) for item, *row in zip(items, keys.tolist(), scores.tolist(), strict=True)]

    def learnable(self, epoch: int) -> int:
        """How many mentions have a right name among their candidates in an epoch."""
        keys = self._of_epoch(epoch).tolist()
        return sum(any(self._right(query, of)) for query, of in zip(self._queries, keys, strict=True))

    def _right(self, query: Query, keys: Sequence[int]) -> list[bool]:
        return [not query.concepts.isdisjoint(self._kb.key_concepts(key)) for key in keys]

    def _combined(self, epoch: int) -> NDArray[np.int64]:
        return half_and_half(self._find_dense(epoch), self._sparse, self._k, self._dense_ratio)

    def _list(self, item: int, keys: Sequence[int], sparse: Sequence[float]) -> CandidateList:
        query = self._queries[item]
        right = self._right(query, keys)
        if any(right) and not self._marginalise:
            best = max((i for i, is_right in enumerate(right) if is_right), key=lambda i: sparse[i])
            right = [i == best for i in range(len(right))]
        return CandidateList(query.text, tuple(keys), tuple(sparse), tuple(right))
