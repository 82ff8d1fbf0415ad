"""Best-first search: the beam's answer for fewer rows, and the exact answer with its proof.

A name's score only falls as it grows, so the best prefix of all is the one to extend next, and the first names to be
reached are the best there are. Two searches are this one:

    lazy beam   what a beam search finds, without extending what the beam would extend and never need
                (Meister, Vieira and Cotterell, "Best-First Beam Search", TACL 2020)
    exact       no limit of width: branch and bound, whose bound of a prefix is its own score
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass

import numpy as np

from genlink.decoding.beam import check_beam
from genlink.decoding.search import FloatArray, Found, NameConcepts, SearchResult
from genlink.trie import NameTrie

__all__ = ["Exact", "LazyBeam"]

# Of a node with many children so many are ranked at first; all of them only if these are used up.
_RANKED_FIRST = 32


@dataclass(slots=True)
class _Siblings:
    """The children of an extended node, best first. One of them at a time stands in the queue."""

    parent: int
    depth: int
    first: int
    scores: FloatArray
    order: list[int]

    @classmethod
    def ranked(cls, parent: int, depth: int, first: int, scores: FloatArray) -> _Siblings:
        """Siblings of these scores; ``first`` is the node of the first of them, ``depth`` that of all."""
        order = np.arange(len(scores))
        if len(scores) > 2 * _RANKED_FIRST:
            order = np.sort(np.argpartition(-scores, _RANKED_FIRST)[:_RANKED_FIRST])
        return cls(parent, depth, first, scores, order[np.argsort(-scores[order], kind="stable")].tolist())

    def entry(self, place: int) -> _Entry | None:
        """The queue's entry for the sibling at a place of the ranking, from 0; None after the last."""
        if place == len(self.order) < len(self.scores):
            ranked = set(self.order)
            self.order += [i for i in np.argsort(-self.scores, kind="stable").tolist() if i not in ranked]
        if place == len(self.order):
            return None
        i = self.order[place]
        return -float(self.scores[i]), self.first + i, place, self


# Cost, node, place among its siblings, siblings. Nodes are distinct, so that comparing entries ends there.
_Entry = tuple[float, int, int, _Siblings]


class _BestFirst:
    """The search; ``beams`` is its width at each depth, None for no limit."""

    def __init__(
        self, trie: NameTrie, beams: int | None, k: int, name_concepts: NameConcepts | None, width: int
    ) -> None:
        if width < 1:
            raise ValueError(f"width must be positive, not {width}")
        self.trie = trie
        self._beams = beams
        self._k, self._width = k, width
        self._found = Found(k, name_concepts)
        root = _Siblings.ranked(parent=0, depth=0, first=0, scores=np.zeros(1))
        self._queue: list[_Entry] = [] if trie.is_leaf(0) else [(0.0, 0, 0, root)]
        self._known: dict[int, FloatArray] = {}
        self._ranked: Counter[int] = Counter()  # candidates of each depth that were looked at
        self._extended: Counter[int] = Counter()  # prefixes of each depth that were extended
        self._pruned = False

    def wanted(self) -> list[tuple[int, int]]:
        """The best prefix if its continuations are not known, and up to ``width - 1`` more."""
        while self._queue:
            cost, node, place, siblings = self._queue[0]
            depth, is_leaf = siblings.depth, self.trie.is_leaf(node)
            has_room = self._has_room(depth, is_leaf)
            if has_room and not is_leaf and node not in self._known:
                return self._likely()
            heapq.heappop(self._queue)
            self._ranked[depth] += 1
            self._pruned |= not has_room
            # After a prefix that found no room no sibling finds any; after a name that came too late a prefix may.
            following = siblings.entry(place + 1) if has_room or is_leaf else None
            if following is not None:
                heapq.heappush(self._queue, following)
            if has_room and is_leaf:
                self._found.add(self.trie.name_of(node), -cost)
                if self._found.threshold() is not None:
                    self._queue.clear()
            elif has_room:
                self._extend(node, -cost, depth)
        return []

    def learn(self, node: int, log_probs: FloatArray) -> None:
        """Take the log-probabilities of a node's children."""
        self._known[node] = log_probs

    def result(self) -> SearchResult:
        """The names that count. What was pruned stood before the last of them, so exact means: nothing was."""
        return SearchResult(self._found.hypotheses(), not self._pruned, self._found.all_names())

    def _has_room(self, depth: int, is_leaf: bool) -> bool:
        """Whether the next candidate of a depth still counts: the rules of ``Beam``."""
        if self._beams is None:
            return True
        if is_leaf:
            return self._ranked[depth] < self._beams
        return self._ranked[depth] < 2 * self._beams and self._extended[depth] < self._beams

    def _extend(self, node: int, score: float, depth: int) -> None:
        self._extended[depth] += 1
        children = self.trie.children(node)
        best = _Siblings.ranked(node, depth + 1, children.start, score + self._known.pop(node)).entry(0)
        if best is not None:
            heapq.heappush(self._queue, best)

    def _likely(self) -> list[tuple[int, int]]:
        """Unknown prefixes in the order of the queue, as if those before them were passed over."""
        _, node, _, siblings = self._queue[0]
        wanted = [(node, siblings.parent)]
        queue = list(self._queue) if self._width > 1 else []
        asked: Counter[int] = Counter([siblings.depth])
        names = len(self._found.names)
        while queue and len(wanted) < self._width:
            _, node, place, siblings = heapq.heappop(queue)
            depth, is_leaf = siblings.depth, self.trie.is_leaf(node)
            names += is_leaf
            if names == self._k:  # then the search is probably over
                break
            if not is_leaf and node not in self._known and node != wanted[0][0]:
                if self._beams is not None and self._extended[depth] + asked[depth] >= self._beams:
                    continue
                asked[depth] += 1
                wanted.append((node, siblings.parent))
            following = siblings.entry(place + 1)
            if following is not None:
                heapq.heappush(queue, following)
        return wanted


class LazyBeam(_BestFirst):
    """The k best names that :class:`genlink.decoding.beam.Beam` finds, for fewer rows.

    Prefixes are extended in the order of their scores, whatever their depth, and at each depth only those that the beam
    would keep: the candidates of a depth come in the beam's order, so counting them is enough to know. Among prefixes
    whose scores are equal to the last bit it may keep others than the beam does.

    ``width``: how many prefixes are asked about at once, the best one and those that are likely to be next. More of
    them mean fewer passes of the decoder and more rows; the answer is the same.
    """

    def __init__(
        self, trie: NameTrie, beams: int, k: int, name_concepts: NameConcepts | None = None, *, width: int = 1
    ) -> None:
        check_beam(beams, k, name_concepts)
        super().__init__(trie, beams, k, name_concepts, width)


class Exact:
    """The k best names of all, proven; or, past a cap, no worse ones than a beam finds.

    After ``cap`` extended prefixes the search gives up its proof, for a model that tells nothing apart would have it
    extend the whole trie. It begins again as a lazy beam, to which all that was learnt is known already; what both have
    found counts, and unless that beam has nothing to prune, the result says ``capped``.
    """

    def __init__(
        self,
        trie: NameTrie,
        cap: int,
        k: int,
        name_concepts: NameConcepts | None = None,
        *,
        beams: int = 5,
        width: int = 1,
    ) -> None:
        if cap < 1 or k < 1 or beams < 1:
            raise ValueError(f"cap, k and beams must be positive, not {cap}, {k} and {beams}")
        self.trie = trie
        self._cap, self._k, self._beams, self._width = cap, k, beams, width
        self._name_concepts = name_concepts
        self._learnt: dict[int, FloatArray] = {}
        self._proof = _BestFirst(trie, None, k, name_concepts, width)
        self._beam: _BestFirst | None = None

    def wanted(self) -> list[tuple[int, int]]:
        """See :meth:`LazyBeam.wanted`."""
        wanted = self._proof.wanted() if self._beam is None else []
        if wanted and len(self._learnt) >= self._cap:
            # As many names as are asked for, though a beam alone would not promise them.
            self._beam = _BestFirst(self.trie, max(self._beams, self._k), self._k, self._name_concepts, self._width)
            for node, log_probs in self._learnt.items():
                self._beam.learn(node, log_probs)
        return wanted if self._beam is None else self._beam.wanted()

    def learn(self, node: int, log_probs: FloatArray) -> None:
        """Take the log-probabilities of a node's children."""
        self._learnt[node] = log_probs
        (self._proof if self._beam is None else self._beam).learn(node, log_probs)

    def result(self) -> SearchResult:
        """The names that count."""
        if self._beam is None:
            return self._proof.result()
        found, beam = Found(self._k, self._name_concepts), self._beam.result()
        for hypothesis in {*self._proof.result().names, *beam.names}:
            found.add(hypothesis.name, hypothesis.score)
        return SearchResult(
            found.hypotheses(), beam.exact, found.all_names(), status="complete" if beam.exact else "capped"
        )
