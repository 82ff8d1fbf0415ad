"""What every search has in common: how it asks, what it finds, and which of the found names count.

A search is a state machine for one mention. It says which nodes it needs, is told the log-probabilities of their
children, and in the end has names. It knows a trie and numbers; models, batches and tensors are the driver's business.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from genlink.trie import NameTrie

__all__ = ["FloatArray", "Found", "Hypothesis", "NameConcepts", "Search", "SearchResult"]

FloatArray = npt.NDArray[np.floating[Any]]
NameConcepts = Callable[[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A name that the search found; ``score`` is the sum of the log-probabilities of its tokens and the end token."""

    name: int
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search of one mention found, best first, and what it can say of it.

    ``exact``: no name of the trie that is not listed scores higher than the last one listed; where fewer names than
    asked for are listed, there are no others. ``names``: all that were found, those that do not count too. ``status``:
    ``complete``, or ``capped`` where an exact search gave up proving and went on as a beam. ``rows``: tokens fed to the
    decoder for it; ``passes``: how often the decoder ran.
    """

    hypotheses: tuple[Hypothesis, ...]
    exact: bool
    names: tuple[Hypothesis, ...] = ()
    status: Literal["complete", "capped"] = "complete"
    rows: int = 0
    passes: int = 0


class Search(Protocol):
    """A search of one mention over one trie."""

    @property
    def trie(self) -> NameTrie:
        """The names that may be found."""
        ...

    def wanted(self) -> list[tuple[int, int]]:
        """The (node, its parent) pairs whose children it has to know before it can go on; none when it is done.

        A node's parent was wanted before it; the parent of the root is the root.
        """
        ...

    def learn(self, node: int, log_probs: FloatArray) -> None:
        """Be told the log-probabilities of a node's children, in their order, in float64; none is above 0."""
        ...

    def result(self) -> SearchResult:
        """What was found. Meaningful once nothing is wanted; the driver adds rows and passes."""
        ...


@dataclass(slots=True)
class Found:
    """The names found for one mention, best first, and the rule that says which of them count.

    Without ``name_concepts`` every name counts. With it (name -> its concepts) only a name that brings a concept which
    no better name has brought: k names that count are k concepts or more. Equal scores: by ascending name.
    """

    k: int
    name_concepts: NameConcepts | None
    names: list[tuple[float, int]] = field(default_factory=list)  # (cost, name): ascending is best first

    def add(self, name: int, score: float) -> None:
        """Add a name."""
        insort(self.names, (-score, name))

    def counted(self) -> list[tuple[float, int]]:
        """The best k names that count, as (cost, name)."""
        if self.name_concepts is None:
            return self.names[: self.k]
        listed: set[int] = set()
        counted = []
        for cost, name in self.names:
            concepts = self.name_concepts(name)
            if not listed.issuperset(concepts):
                listed.update(concepts)
                counted.append((cost, name))
                if len(counted) == self.k:
                    break
        return counted

    def threshold(self) -> float | None:
        """The score of the k-th name that counts, which an unlisted name has to beat; None while there are fewer."""
        if len(self.names) < self.k:
            return None
        counted = self.counted()
        return -counted[-1][0] if len(counted) == self.k else None

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The names that count."""
        return tuple(Hypothesis(name, -cost) for cost, name in self.counted())

    def all_names(self) -> tuple[Hypothesis, ...]:
        """All names."""
        return tuple(Hypothesis(name, -cost) for cost, name in self.names)
