"""What a linker is, and how scored names become ranked concepts. It knows nothing of models."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from genlink.errors import UsageError
from genlink.kb import KnowledgeBase
from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Candidate, Document, Mention, Prediction

__all__ = ["Linker", "as_mentions", "concepts_within", "rank_by_sum", "rank_names", "rank_scored", "sparse_bytes"]

Linkable = Sequence[Mention] | Sequence[Document]


class Linker(Protocol):
    """Anything that turns mentions into ranked concepts of one knowledge base."""

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge base that every candidate comes from."""
        ...

    def link(self, mentions: Linkable, k: int = 5) -> list[Prediction]:
        """One prediction for each mention, in order, with the candidates of at most ``k`` ranks.

        Mentions are read as they are (``surface``). The mentions of documents are prepared first: abbreviations that a
        document defines are expanded.
        """
        ...


def as_mentions(items: Linkable, steps: Preprocessing = Preprocessing()) -> list[Mention]:
    """Mentions as they are; those of documents flat, in order and prepared by ``steps``."""
    documents = [item for item in items if isinstance(item, Document)]
    if not documents:
        return [item for item in items if isinstance(item, Mention)]
    if len(documents) != len(items):
        raise UsageError("link takes mentions or documents, not both at once.")
    return prepare(documents, steps)


def rank_names(
    kb: KnowledgeBase,
    scored_keys: Iterable[tuple[int, float]],
    k: int,
    within: Container[int] | None = None,
) -> tuple[Candidate, ...]:
    """Turn (key index, score) pairs, best first, into candidates of at most ``k`` ranks.

    A key all of whose concepts are listed already is skipped; otherwise its new concepts share the next rank. Keys are
    taken one by one and no more than needed, so ``scored_keys`` may be an endless or costly generator. With ``within``
    only concepts of these indices are listed.

    Raises UsageError if ``k`` is not positive.
    """
    if k < 1:
        raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
    candidates: list[Candidate] = []
    listed: set[int] = set()
    rank = 0
    for key, score in scored_keys:
        concepts = concepts_within(kb, key, within)
        new = [concept for concept in concepts if concept not in listed]
        if not new:
            continue
        rank += 1
        listed.update(new)
        candidates.extend(
            _candidate(kb, concept, key, float(score), rank, ambiguous=len(concepts) > 1) for concept in new
        )
        if rank == k:
            break
    return tuple(candidates)


def rank_by_sum(
    kb: KnowledgeBase,
    scored_keys: Sequence[tuple[int, float]],
    k: int,
    within: Container[int] | None = None,
) -> tuple[Candidate, ...]:
    """Rank concepts by the sum of the probabilities of their names, where ``rank_names`` takes the best name alone.

    ``scored_keys`` are all names found, (key index, log-probability), best first. The score of a candidate is the
    logarithm of the sum, its name the best one. Concepts that all their names share also share a rank.
    """
    best: dict[int, int] = {}
    scores: dict[int, list[float]] = {}
    shared: set[int] = set()  # names of several concepts
    for key, score in scored_keys:
        concepts = concepts_within(kb, key, within)
        if len(concepts) > 1:
            shared.add(key)
        for concept in concepts:
            best.setdefault(concept, key)
            scores.setdefault(concept, []).append(score)
    return rank_scored(
        kb,
        ((concept, best[concept], float(np.logaddexp.reduce(parts))) for concept, parts in scores.items()),
        k,
        shared,
    )


def rank_scored(
    kb: KnowledgeBase, scored: Iterable[tuple[int, int, float]], k: int, shared: Container[int]
) -> tuple[Candidate, ...]:
    """Rank concepts by scores of their own: (concept index, key index of its best name, score), in any order.

    Equal scores stay in the order given. Concepts with the same best name and the same score share a rank; a candidate
    whose name is among the ``shared`` is marked as ambiguous.
    """
    candidates: list[Candidate] = []
    rank, last = 0, None
    for concept, key, score in sorted(scored, key=lambda entry: -entry[2]):
        if (key, score) != last:
            rank, last = rank + 1, (key, score)
            if rank > k:
                break
        candidates.append(_candidate(kb, concept, key, score, rank, ambiguous=key in shared))
    return tuple(candidates)


def sparse_bytes(matrix: Any) -> int:
    """What a sparse matrix of SciPy, by rows or by columns, takes in memory."""
    return int(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)


def concepts_within(kb: KnowledgeBase, key: int, within: Container[int] | None) -> tuple[int, ...]:
    """The concepts of a name, by index; of those ``within``, unless that is None."""
    concepts = kb.key_concepts(key)
    return concepts if within is None else tuple(concept for concept in concepts if concept in within)


def _candidate(kb: KnowledgeBase, concept: int, key: int, score: float, rank: int, *, ambiguous: bool) -> Candidate:
    return Candidate(
        concept_id=kb.concept_id_at(concept),
        concept_name=kb.canonical_name_at(concept),
        name=kb.key_name(key, concept),
        score=score,
        rank=rank,
        ambiguous=ambiguous,
    )
