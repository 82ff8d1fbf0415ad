"""Runs the searches of a batch together: gathers what they want, has the model answer, hands the answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from genlink.decoding.search import FloatArray, Search, SearchResult
from genlink.trie import NameTrie

__all__ = ["Session", "run_searches"]

IntArray = npt.NDArray[np.integer[Any]]


class Session(Protocol):
    """What a search asks of a model for one batch of mentions.

    A slot is a place in the decoder of one mention: a prefix that has been fed. All arrays are one-dimensional; those
    marked [R] describe rows, any number of them for a mention.
    """

    @property
    def root_slots(self) -> IntArray:
        """The slot of each mention's decoder prefix, from which its names start, shape (mentions,)."""
        ...

    @property
    def next_slots(self) -> IntArray:
        """The slot that each mention's next row will get, shape (mentions,); the following rows get the next ones."""
        ...

    def extend(self, mentions: IntArray, parents: IntArray, tokens: IntArray) -> IntArray:
        """Feed one token below each parent slot, all [R]; the new slots, [R].

        A parent may be the slot of an earlier row of the same call.
        """
        ...

    def log_probs(
        self, mentions: IntArray, slots: IntArray, child_rows: IntArray, child_tokens: IntArray
    ) -> npt.NDArray[np.float32]:
        """The log-probability of some next tokens.

        Row r asks about the slot ``slots[r]`` of ``mentions[r]``, both [R]; question c is about the token
        ``child_tokens[c]`` after row ``child_rows[c]``, both [C], rows ascending. Returns [C].
        """
        ...


def run_searches(
    session: Session, searches: Sequence[Search], *, forced_is_free: bool = False, ahead: int = 0
) -> list[SearchResult]:
    """Run one search for each mention of the session to its end; the results, in order.

    ``forced_is_free``: a node with one child has its child for certain (probability 1), as under a normaliser over the
    children. Then nothing is asked about it, and it is fed only where the prefix branches again further down.

    ``ahead``: with every prefix that is asked about, up to so many nodes below it are fed too: the chain until it
    branches, and all that is below if that is few enough. Fewer passes, more rows, the same answers: worth it where a
    pass costs more than its rows do, as for a single mention.
    """
    states = [_State(search, int(slot)) for search, slot in zip(searches, session.root_slots, strict=True)]
    live = list(enumerate(states))
    while live:
        live = [(mention, state) for mention, state in live if state.prepare(forced_is_free, ahead)]
        if live:
            _answer(session, live)
    return [replace(state.search.result(), rows=state.rows, passes=state.passes) for state in states]


class _State:
    """One mention: its search, and which nodes of its trie have been fed."""

    def __init__(self, search: Search, root_slot: int) -> None:
        self.search = search
        self.slots = {0: root_slot}
        self.asked: list[int] = []
        self.rows = 0
        self.passes = 0
        self._parents: dict[int, int] = {}
        self._wanted: set[int] = set()
        self._early: dict[int, FloatArray] = {}  # answers to what was not wanted yet

    def prepare(self, forced_is_free: bool, ahead: int) -> bool:
        """Set ``asked`` to the nodes that the model has to be asked about; False if the search is done."""
        trie = self.search.trie
        while wanted := self.search.wanted():
            self._parents.update(wanted)
            self.asked = []
            for node, _ in wanted:
                if node in self._early:
                    self.search.learn(node, self._early.pop(node))
                elif forced_is_free and _n_children(trie, node) == 1:
                    self.search.learn(node, np.zeros(1))
                else:
                    self.asked.append(node)
            if len(self.asked) == len(wanted):
                self._wanted = set(self.asked)
                if ahead:
                    self._ask_ahead(ahead)
                return True
        return False

    def to_feed(self) -> list[tuple[int, int]]:
        """(node, parent) of what must be fed before the asked nodes can be answered, parents first."""
        missing: dict[int, int] = {}
        for node in self.asked:
            path = []
            while node not in self.slots and node not in missing:
                path.append(node)
                node = self._parents[node]
            missing.update((step, self._parents[step]) for step in reversed(path))
        return list(missing.items())

    def take(self, node: int, log_probs: FloatArray) -> None:
        """Take an answer; rounding can lift the logarithm of a probability of 1 a little above 0."""
        log_probs = np.minimum(log_probs, 0, dtype=np.float64)
        if node in self._wanted:
            self.search.learn(node, log_probs)
        else:
            self._early[node] = log_probs

    def _ask_ahead(self, ahead: int) -> None:
        for node in list(self.asked):
            for below, parent in _below(self.search.trie, node, ahead):
                if below not in self.slots:
                    self._parents[below] = parent
                    self.asked.append(below)
        self.asked = list(dict.fromkeys(self.asked))


def _n_children(trie: NameTrie, node: int) -> int:
    children = trie.children(node)
    return int(children.stop - children.start)


def _below(trie: NameTrie, node: int, limit: int) -> list[tuple[int, int]]:
    """(node, parent) of the chain of single children below a node and of all below its end, if these are few enough.

    Parents first, leaves left out, at most ``limit``.
    """
    chain: list[tuple[int, int]] = []
    while len(chain) < limit and _n_children(trie, node) == 1 and not trie.is_leaf(child := trie.children(node).start):
        chain.append((child, node))
        node = child
    whole: list[tuple[int, int]] = []
    nodes = [node]
    for parent in nodes:
        children = trie.children(parent)
        if children.stop - children.start > 2 * limit:  # most of them would have to be leaves
            return chain
        inner = [child for child in range(children.start, children.stop) if not trie.is_leaf(child)]
        nodes += inner
        whole += [(child, parent) for child in inner]
        if len(chain) + len(whole) > limit:
            return chain
    return chain + whole


def _answer(session: Session, live: Sequence[tuple[int, _State]]) -> None:
    """Have the model feed and score everything that these mentions ask for, in one pass."""
    fed, next_slots = [], session.next_slots
    for mention, state in live:
        slot = int(next_slots[mention])
        for node, parent in state.to_feed():
            state.slots[node] = slot
            fed.append((mention, state.slots[parent], int(state.search.trie.token[node])))
            slot += 1
            state.rows += 1
        state.passes += 1
    if fed:
        session.extend(*np.array(fed, np.int64).T)
    rows = [(mention, state, node) for mention, state in live for node in state.asked]
    children = [state.search.trie.children(node) for _, state, node in rows]
    counts = [part.stop - part.start for part in children]
    log_probs = session.log_probs(
        np.array([mention for mention, _, _ in rows], np.int64),
        np.array([state.slots[node] for _, state, node in rows], np.int64),
        np.repeat(np.arange(len(rows)), counts),
        np.concatenate([state.search.trie.token[part] for (_, state, _), part in zip(rows, children, strict=True)]),
    )
    end = 0
    for (_, state, node), count in zip(rows, counts, strict=True):
        end += count
        state.take(node, log_probs[end - count : end])
