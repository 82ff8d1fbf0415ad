"""Why a name was found: the part of the trie that a search walked through, and the probability on every branch.

The trace is of the very search that answers, which is watched and not repeated. The mass of a branch is the probability
of the prefix that it ends, so that the masses of a node's branches add up to its own: exactly where the normaliser is
``trie``; else they lack what the model gives to tokens that no name goes on with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genlink.errors import UsageError
from genlink.linkers.base import concepts_within
from genlink.linkers.restriction import Restriction
from genlink.schema import Mention, Prediction
from genlink.trie import NameTrie

if TYPE_CHECKING:  # torch is for those who have a model to trace
    from genlink.decoding import Search, SearchResult
    from genlink.decoding.search import FloatArray
    from genlink.linkers.generative import GenerativeLinker

__all__ = ["FoundName", "SearchTrace", "TraceNode", "trace_branches", "trace_search"]


@dataclass(frozen=True, slots=True)
class FoundName:
    """A name at the end of a branch, verbatim, with the ids of its concepts.

    ``rank`` is that of the candidate that the name led to; None where it was not found, or brought no new concept.
    """

    name: str
    concepts: tuple[str, ...]
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class TraceNode:
    """A branch of the trie: the tokens as far as the next fork, and what lies beyond it.

    ``text``: what the tokens spell, empty for the end token alone. ``log_prob``: of these tokens after those before,
    in nats; ``score``: the sum from the root, so that ``exp(score)`` is the branch's mass. ``is_followed``: whether the
    search asked what may come after its first token or, of a name's end, found it. ``name``: the name that ends here,
    None inside the trie.

    ``children`` are listed best first: all that were followed or lead to a candidate, and some of the others. How many
    are not listed say ``others``, and ``others_score`` the logarithm of their mass (None if all are listed).
    ``forbidden`` is the share of this branch's mass on tokens that no name goes on with: 0 under ``trie``, None where
    the search did not ask.
    """

    text: str
    log_prob: float
    score: float
    is_followed: bool
    name: FoundName | None = None
    children: tuple[TraceNode, ...] = ()
    others: int = 0
    others_score: float | None = None
    forbidden: float | None = None


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """The search of one mention: what the model read, how it was searched, and the tree of what was met.

    ``source`` is what the encoder read and ``prefix`` what the decoder was given, special tokens left out. ``search``
    is the kind, ``concept_score`` how names make the score of a concept, ``spelling`` what another spelling takes off,
    ``normaliser`` what a log-probability is among; ``names`` counts those that could be found. ``exact``, ``status``,
    ``rows`` and ``passes`` are those of the search's result.
    """

    source: str
    prefix: str
    search: str
    beams: int
    concept_score: str
    spelling: float
    normaliser: str
    names: int
    exact: bool
    status: str
    rows: int
    passes: int
    root: TraceNode


def trace_search(
    linker: GenerativeLinker, mention: Mention, k: int = 5, *, within: Restriction | None = None, width: int = 3
) -> tuple[Prediction, SearchTrace]:
    """Link one mention as ``linker.link`` does, and say how the search went.

    ``width``: how many branches that were not followed are listed at each fork.

    Raises UsageError if ``k`` is not positive or ``width`` negative.
    """
    if width < 0:
        raise UsageError(f"width is {width}, expected at least 0.")
    watched: list[_Watched] = []

    def watch(search: Search) -> Search:
        watched.append(_Watched(search))
        return watched[-1]

    (result,) = linker.find([mention], k, within=within, watch=watch)
    prediction = linker.ranked(mention, result, k, within)
    kb, tokenizer = linker.kb, linker.tokenizer.backend_tokenizer
    ranks = {kb.key_index(candidate.name): candidate.rank for candidate in prediction.candidates}

    def name_of(key: int) -> FoundName:
        concepts = concepts_within(kb, key, within.concepts if within else None)
        ids = tuple(map(kb.concept_id_at, concepts))
        return FoundName(kb.key_name(key, concepts[0]), ids, ranks.get(key))

    def spell(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True))

    prompt = linker.encoding.prompt(mention)
    trie = within.trie if within else linker.trie
    return prediction, SearchTrace(
        source=spell(linker.encoding.sources([prompt])[0]).strip(),
        prefix=spell(linker.encoding.prefixes([prompt])[0]).strip(),
        search=linker.search.search,
        beams=linker.search.beams,
        concept_score=linker.search.concept_score,
        spelling=linker.search.spelling,
        normaliser=linker.normaliser,
        names=trie.n_names,
        exact=result.exact,
        status=result.status,
        rows=result.rows,
        passes=result.passes,
        root=trace_branches(trie, watched[0].learnt, {h.name for h in result.names}, name_of, spell, width),
    )


def trace_branches(
    trie: NameTrie,
    learnt: Mapping[int, FloatArray],
    found: set[int],
    name_of: Callable[[int], FoundName],
    spell: Callable[[Sequence[int]], str],
    width: int,
) -> TraceNode:
    """The root of the tree of what a search has learnt: node -> the log-probabilities of its children.

    ``found`` are the names that it found, ``name_of`` and ``spell`` say what to call a name and what tokens spell;
    ``width`` is that of ``trace_search``.
    """

    def is_met(node: int) -> bool:
        return trie.name_of(node) in found if node and trie.is_leaf(node) else node in learnt

    def branch(node: int, log_prob: float, above: float) -> TraceNode:
        followed, tokens = is_met(node), [int(trie.token[node])] if node else []
        while node in learnt and len(learnt[node]) == 1 and node:  # on to the next fork
            log_prob += float(learnt[node][0])
            node = trie.children(node).start
            tokens.append(int(trie.token[node]))
        text, score = spell(tokens), above + log_prob
        if node and trie.is_leaf(node):
            return TraceNode(text, log_prob, score, followed, name_of(trie.name_of(node)))
        if node not in learnt:
            return TraceNode(text, log_prob, score, followed)
        log_probs, first = learnt[node], trie.children(node).start
        order = np.argsort(-log_probs, kind="stable").tolist()
        listed: list[int] = []
        rest: list[int] = []
        passed_over = 0
        for i in order:
            passed_over += not is_met(first + i)
            (listed if is_met(first + i) or passed_over <= width else rest).append(i)
        return TraceNode(
            text,
            log_prob,
            score,
            followed,
            children=tuple(branch(first + i, float(log_probs[i]), score) for i in listed),
            others=len(rest),
            others_score=score + float(np.logaddexp.reduce(log_probs[rest])) if rest else None,
            forbidden=max(0.0, 1.0 - math.exp(float(np.logaddexp.reduce(log_probs)))),
        )

    return branch(0, 0.0, 0.0)


class _Watched:
    """A search that remembers what it is told."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.learnt: dict[int, FloatArray] = {}

    @property
    def trie(self) -> NameTrie:
        return self._search.trie

    def wanted(self) -> list[tuple[int, int]]:
        return self._search.wanted()

    def learn(self, node: int, log_probs: FloatArray) -> None:
        self.learnt[node] = log_probs
        self._search.learn(node, log_probs)

    def result(self) -> SearchResult:
        return self._search.result()
