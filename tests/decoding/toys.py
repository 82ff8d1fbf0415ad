"""Searches under scores from a table: no model, no tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from genlink.decoding import Hypothesis
from genlink.trie import NameTrie

END = 2
A, B, C, D = 3, 4, 5, 6
sequences = st.lists(st.sampled_from([A, B, C, D]), min_size=1, max_size=4).map(tuple)
name_lists = st.lists(sequences, min_size=1, max_size=25, unique=True)
seeds = st.integers(0, 2**32 - 1)
LogProb = Callable[[int, tuple[int, ...], int], float]


def random_scores(seed: int) -> LogProb:
    """Log-probabilities over a vocabulary of ten, drawn anew for each mention and prefix."""

    def log_prob(mention: int, prefix: tuple[int, ...], token: int) -> float:
        logits = np.random.default_rng([seed, mention, *prefix]).normal(scale=2, size=10)
        return float(logits[token] - np.log(np.exp(logits).sum()))

    return log_prob


class FakeSession:
    """A session whose answers come from a function; ``fed`` is what it was fed."""

    def __init__(self, log_prob: LogProb, n_mentions: int) -> None:
        self.log_prob = log_prob
        self.root_slots = np.zeros(n_mentions, np.int64)
        self.prefixes: list[list[tuple[int, ...]]] = [[()] for _ in range(n_mentions)]  # by mention and slot
        self.fed: list[tuple[int, tuple[int, ...]]] = []
        self.asked: list[tuple[int, tuple[int, ...]]] = []
        self.passes = 0

    @property
    def next_slots(self):
        return np.array([len(prefixes) for prefixes in self.prefixes])

    def extend(self, mentions, parents, tokens):
        assert len(mentions) == len(parents) == len(tokens) > 0
        slots = []
        for mention, parent, token in zip(mentions, parents, tokens, strict=True):
            mine = self.prefixes[mention]
            slots.append(len(mine))
            mine.append((*mine[parent], int(token)))
            assert (int(mention), mine[-1]) not in self.fed, "fed twice"
            self.fed.append((int(mention), mine[-1]))
        return np.array(slots)

    def log_probs(self, mentions, slots, child_rows, child_tokens):
        assert (np.diff(child_rows) >= 0).all()
        self.passes += 1
        self.asked += [(int(m), self.prefixes[m][s]) for m, s in zip(mentions, slots, strict=True)]
        rows = zip(child_rows, child_tokens, strict=True)
        return np.array(
            [self.log_prob(int(mentions[r]), self.prefixes[mentions[r]][slots[r]], int(t)) for r, t in rows], np.float32
        )


def build(names: list[tuple[int, ...]]) -> NameTrie:
    return NameTrie.build([t for name in names for t in name], np.cumsum([0, *map(len, names)]), END)


def brute_force(log_prob: LogProb, names: list[tuple[int, ...]], mention: int) -> list[Hypothesis]:
    """Every name, best first."""
    closed = [(*name, END) for name in names]
    scores = [sum(log_prob(mention, name[:i], token) for i, token in enumerate(name)) for name in closed]
    return sorted((Hypothesis(i, s) for i, s in enumerate(scores)), key=lambda h: (-h.score, h.name))


def names_of(hypotheses: list[Hypothesis]) -> list[int]:
    return [h.name for h in hypotheses]
