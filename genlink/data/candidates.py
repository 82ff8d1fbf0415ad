"""The names that a BioSyn compares a mention with, and which of them are right (Sung et al. 2020, arXiv 2005.00239)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genlink.data.batches import epoch_order
from genlink.data.similarity import NameSimilarity
from genlink.kb import KnowledgeBase
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["CandidateBatches", "CandidateList", "Query", "combine_candidates", "learnable_queries"]


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


def combine_candidates(
    sparse: NDArray[np.int64], dense: NDArray[np.int64], k: int, dense_ratio: float
) -> NDArray[np.int64]:
    """``k`` different names for each query: the first of ``sparse``, then the first of ``dense`` that are new.

    Of the sparse ones as many are taken as ``dense_ratio`` leaves, k - floor(k * dense_ratio). Both arrays have shape
    (queries, k) or more columns, best first, each name once in a row; so has what is returned.
    """
    taken = k - int(k * dense_ratio)
    rows = []
    for by_spelling, by_encoder in zip(sparse.tolist(), dense.tolist(), strict=True):
        rows.append(list(dict.fromkeys([*by_spelling[:taken], *by_encoder]))[:k])
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)


class CandidateBatches:
    """Batches of mentions with their candidates, epoch by epoch; the last batch of an epoch may be smaller.

    ``find_dense(epoch)`` returns the keys nearest to each query by the encoder, shape (queries, k), best first; it is
    called when the first batch of an epoch is asked for. With ``marginalise`` every name of a gold concept is right,
    else only that with the highest sparse score.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        kb: KnowledgeBase,
        similarity: NameSimilarity,
        find_dense: Callable[[int], NDArray[np.int64]],
        *,
        k: int,
        dense_ratio: float,
        marginalise: bool,
        batch_size: int,
        seed: int,
    ) -> None:
        self._queries, self._kb, self._similarity, self._find_dense = queries, kb, similarity, find_dense
        self._k, self._dense_ratio, self._marginalise = min(k, kb.n_keys), dense_ratio, marginalise
        self._batch_size, self._seed = batch_size, seed
        self._texts = [query.text for query in queries]
        self._sparse = similarity.nearest(self._texts, self._k)
        self._of_epoch = lru_cache(maxsize=1)(self._combined)

    @property
    def epoch_steps(self) -> int:
        """How many steps show every mention once."""
        return -(-len(self._queries) // self._batch_size)

    def batch(self, step: int) -> list[CandidateList]:
        """The examples of a step (from zero), the same at every call."""
        epoch, place = divmod(step, self.epoch_steps)
        first = place * self._batch_size
        count = min(self._batch_size, len(self._queries) - first)
        items = epoch_order(len(self._queries), epoch, self._seed)[first : first + count]
        keys = self._of_epoch(epoch)[items]
        k = keys.shape[1]
        rows = np.repeat(np.arange(count), k)
        scores = self._similarity.to_texts([self._texts[i] for i in items], rows, keys.ravel()).reshape(-1, k)
        return [self._list(int(item), *row) for item, *row in zip(items, keys.tolist(), scores.tolist(), strict=True)]

    def right_share(self, epoch: int) -> float:
        """The share of the mentions that have a right name among their candidates: what can be learnt at all."""
        found = [
            any(not query.concepts.isdisjoint(self._kb.key_concepts(key)) for key in keys)
            for query, keys in zip(self._queries, self._of_epoch(epoch).tolist(), strict=True)
        ]
        return sum(found) / len(found)

    def _combined(self, epoch: int) -> NDArray[np.int64]:
        return combine_candidates(self._sparse, self._find_dense(epoch), self._k, self._dense_ratio)

    def _list(self, item: int, keys: Sequence[int], sparse: Sequence[float]) -> CandidateList:
        query = self._queries[item]
        right = [not query.concepts.isdisjoint(self._kb.key_concepts(key)) for key in keys]
        if any(right) and not self._marginalise:
            best = max((i for i, is_right in enumerate(right) if is_right), key=lambda i: sparse[i])
            right = [i == best for i in range(len(right))]
        return CandidateList(query.text, tuple(keys), tuple(sparse), tuple(right))
