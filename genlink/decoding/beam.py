"""Beam search, level by level, under the rules of ``transformers.generate``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genlink.decoding.search import FloatArray, Found, NameConcepts, SearchResult
from genlink.trie import NameTrie

__all__ = ["Beam", "check_beam"]


class Beam:
    """The k best names that a beam search finds.

    The rules are those of ``transformers.generate`` with ``length_penalty=0`` and ``early_stopping=False``: each step
    ranks the ``2 * beams`` best continuations; the first ``beams`` unfinished ones run on; a finished name counts only
    when it ranks among the first ``beams``. The search is done when its k-th name is at least as good as its best
    running prefix: log-probabilities only ever lower a score, so nothing better can follow.

    With ``name_concepts`` k may exceed ``beams`` (see :class:`Found`); without it, it may not. Fewer results than k are
    normal: the trie or the beam holds no more.
    """

    def __init__(self, trie: NameTrie, beams: int, k: int, name_concepts: NameConcepts | None = None) -> None:
        check_beam(beams, k, name_concepts)
        self.trie = trie
        self._beams = beams
        self._found = Found(k, name_concepts)
        # Running prefixes, best first: score, node, parent.
        self._running = [] if trie.is_leaf(0) else [(0.0, 0, 0)]
        self._known: dict[int, FloatArray] = {}
        self._best_pruned = -np.inf

    def wanted(self) -> list[tuple[int, int]]:
        """The running prefixes of which the continuations are not known."""
        while self._running:
            missing = [(node, parent) for _, node, parent in self._running if node not in self._known]
            if missing:
                return missing
            self._step()
        return []

    def learn(self, node: int, log_probs: FloatArray) -> None:
        """Take the log-probabilities of a node's children."""
        self._known[node] = log_probs

    def result(self) -> SearchResult:
        """The names that count."""
        threshold = self._found.threshold()
        bound = -np.inf if threshold is None else threshold
        return SearchResult(self._found.hypotheses(), bool(self._best_pruned <= bound), self._found.all_names())

    def _step(self) -> None:
        """From running prefixes to those that are a token longer."""
        slices = [self.trie.children(node) for _, node, _ in self._running]
        totals = np.concatenate([score + self._known.pop(node) for score, node, _ in self._running])
        owners = np.repeat(np.arange(len(slices)), [s.stop - s.start for s in slices])
        children = np.concatenate([np.arange(s.start, s.stop) for s in slices])
        picks, best_left = _best(totals, 2 * self._beams)
        self._prune(best_left)
        running: list[tuple[float, int, int]] = []
        for rank, pick in enumerate(picks.tolist()):
            child, score = int(children[pick]), float(totals[pick])
            if not self.trie.is_leaf(child):
                if len(running) < self._beams:
                    running.append((score, child, self._running[owners[pick]][1]))
                else:
                    self._prune(score)
            elif rank < self._beams:
                self._found.add(self.trie.name_of(child), score)
            else:
                self._prune(score)
        threshold = self._found.threshold()
        is_settled = threshold is not None and bool(running) and threshold >= running[0][0]
        self._running = [] if is_settled else running

    def _prune(self, score: float) -> None:
        self._best_pruned = max(self._best_pruned, score)


def check_beam(beams: int, k: int, name_concepts: NameConcepts | None) -> None:
    """Raise ValueError for a width that cannot give what is asked for."""
    if beams < 1 or k < 1:
        raise ValueError(f"beams and k must be positive, not {beams} and {k}")
    if name_concepts is None and k > beams:
        raise ValueError(f"{beams} beams cannot promise {k} names: ask for at most as many names as beams")


def _best(scores: npt.NDArray[np.float64], n: int) -> tuple[npt.NDArray[np.intp], float]:
    """Indices of the n best scores, best first, equal ones in order; and the best score that is not among them."""
    costs = -scores
    if len(costs) <= n:
        return np.argsort(costs, kind="stable"), -np.inf
    partition = np.argpartition(costs, n)
    picks = np.sort(partition[:n])
    return picks[np.argsort(costs[picks], kind="stable")], float(scores[partition[n]])
