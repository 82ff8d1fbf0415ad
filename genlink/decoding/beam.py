"""Beam search over a trie of names. It knows scores and nodes; models and tensors are the session's business."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from genlink.trie import NameTrie

__all__ = ["Hypothesis", "Session", "beam_search"]

IntArray = npt.NDArray[np.integer[Any]]
NameConcepts = Callable[[int], Sequence[int]]


class Session(Protocol):
    """What a search asks of a model for one batch of mentions.

    A slot is a place in the decoder of one mention: a prefix that has been fed. All arrays are one-dimensional; those
    marked [R] describe rows, any number of them for a mention, in any order.
    """

    @property
    def root_slots(self) -> IntArray:
        """The slot of each mention's decoder prefix, from which its names start, shape (mentions,)."""
        ...

    def extend(self, mentions: IntArray, parents: IntArray, tokens: IntArray) -> IntArray:
        """Feed one token below each parent slot, all [R]; the new slots, [R]."""
        ...

    def log_probs(
        self, mentions: IntArray, slots: IntArray, child_rows: IntArray, child_tokens: IntArray
    ) -> npt.NDArray[np.float32]:
        """The log-probability of some next tokens.

        Row r asks about the slot ``slots[r]`` of ``mentions[r]``, both [R]; question c is about the token
        ``child_tokens[c]`` after row ``child_rows[c]``, both [C], rows ascending. Returns [C].
        """
        ...


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A name that the search found; ``score`` is the sum of the log-probabilities of its tokens and the end token."""

    name: int
    score: float


def beam_search(
    session: Session,
    trie: NameTrie,
    n_mentions: int,
    beams: int,
    k: int,
    name_concepts: NameConcepts | None = None,
) -> list[list[Hypothesis]]:
    """The k best names of each mention that a beam search finds, best first; equal scores by ascending name.

    The rules are those of ``transformers.generate`` with ``length_penalty=0`` and ``early_stopping=False``: each step
    ranks the ``2 * beams`` best continuations of a mention; the first ``beams`` unfinished ones run on; a finished name
    counts only when it ranks among the first ``beams``. A mention is done when its k-th name is at least as good as its
    best running prefix: log-probabilities only ever lower a score, so nothing better can follow.

    With ``name_concepts`` (name -> its concepts) only a name that brings a concept that no better name has brought
    counts as one of the k, and only such names are returned: k concepts or more, if the beam meets so many. Then k may
    exceed ``beams``; without it, it may not. Fewer results than k are normal: the trie or the beam holds no more.
    """
    if beams < 1 or k < 1:
        raise ValueError(f"beams and k must be positive, not {beams} and {k}")
    if name_concepts is None and k > beams:
        raise ValueError(f"{beams} beams cannot promise {k} names: ask for at most as many names as beams")
    if n_mentions != len(session.root_slots):
        raise ValueError(f"a session of {len(session.root_slots)} mentions was asked about {n_mentions}")

    finished = [_Finished(k, name_concepts) for _ in range(n_mentions)]
    mentions = np.arange(n_mentions)
    slots = np.asarray(session.root_slots)
    nodes = np.zeros(n_mentions, np.int64)
    scores = np.zeros(n_mentions)
    while len(mentions):
        # Rows are sorted by mention, and so are the children below.
        rows, children = _children(trie, nodes)
        totals = scores[rows] + session.log_probs(mentions, slots, rows, trie.token[children])
        best = _best_of_each_group(totals, mentions[rows], 2 * beams)
        keep: list[int] = []
        ends = trie.first_child[children] == trie.first_child[children + 1]
        for mention, picks in best:
            running: list[int] = []
            for rank, (pick, is_end) in enumerate(zip(picks.tolist(), ends[picks].tolist(), strict=True)):
                if not is_end:
                    running.append(pick)
                elif rank < beams:
                    finished[mention].add(trie.name_of(int(children[pick])), float(totals[pick]))
            if running and not finished[mention].is_settled(float(totals[running[0]])):
                keep.extend(running[:beams])
        kept = np.array(keep, np.int64)
        mentions, nodes, scores = mentions[rows[kept]], children[kept], totals[kept]
        if len(kept):
            slots = session.extend(mentions, slots[rows[kept]], trie.token[nodes])
    return [names.best() for names in finished]


def _children(trie: NameTrie, nodes: IntArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The index into ``nodes`` and the node number of every child of these nodes, in order."""
    first = trie.first_child[nodes].astype(np.int64)
    counts = trie.first_child[nodes + 1] - first
    rows = np.repeat(np.arange(len(nodes)), counts)
    # Position within the whole answer, less where the own node's part begins, plus the own node's first child.
    children = np.arange(len(rows)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    return rows, children


def _best_of_each_group(
    scores: npt.NDArray[np.float64], groups: IntArray, n: int
) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """(group, indices of its n best scores, best first, equal ones in order); ``groups`` is ascending."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    best = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(groups)], strict=True):
        costs = -scores[start:end]
        picks = np.sort(np.argpartition(costs, n - 1)[:n]) if len(costs) > n else np.arange(len(costs))
        best.append((int(groups[start]), start + picks[np.argsort(costs[picks], kind="stable")]))
    return best


@dataclass(slots=True)
class _Finished:
    """The finished names of one mention, best first, and the rule that says which of them count."""

    k: int
    name_concepts: NameConcepts | None
    names: list[tuple[float, int]] = field(default_factory=list)  # (cost, name): ascending is best first

    def add(self, name: int, score: float) -> None:
        insort(self.names, (-score, name))

    def counted(self) -> list[tuple[float, int]]:
        """The best k names that count."""
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

    def is_settled(self, best_running: float) -> bool:
        """Whether k names count and no running prefix can still end better than the last of them."""
        if len(self.names) < self.k:
            return False
        counted = self.counted()
        return len(counted) == self.k and -counted[-1][0] >= best_running

    def best(self) -> list[Hypothesis]:
        return [Hypothesis(name, -cost) for cost, name in self.counted()]
