"""A generator and a retriever that answer together.

Either the generator chooses among the retriever's candidates, or the candidates of both are ranked by the sum of two
scores: the log-probability of the best name under the generator, and so many times the retriever's similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from genlink.errors import UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, as_mentions, concepts_within, rank_scored
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import UnionSettings
from genlink.linkers.restriction import Restriction
from genlink.schema import Candidate, Mention, Prediction

if TYPE_CHECKING:
    from genlink.linkers.opening import OpenedLinker

__all__ = ["Pooled", "UnionLinker"]

# Mentions at a time, as a share of the generator's, where all names of all candidates are scored.
_SHARE_OF_BATCH = 4


@dataclass(frozen=True, slots=True)
class Pooled:
    """A concept that one of the two found, by index, with its best name under the generator, by key index.

    ``log_prob``: of that name, in nats. ``similarity``: the retriever's score of the concept. One that it does not list
    is no more similar than the last one listed, and has that score; or 0, if fewer are listed than were asked for.
    """

    concept: int
    key: int
    log_prob: float
    similarity: float


class UnionLinker:
    """Links by a generator and a retriever over one knowledge base.

    Without a weight the generator chooses among the retriever's candidates: a proven search over their names and no
    others. With one, both are asked, and every candidate of either is scored by both. A concept all of whose names are
    too long for the generator is not listed. Raises UsageError where the two have not the same knowledge base.
    """

    def __init__(self, generator: GenerativeLinker, retriever: OpenedLinker, union: UnionSettings) -> None:
        if retriever.kb is not generator.kb:
            raise UsageError(
                "the two linkers of a union share one knowledge base: open the retriever over the other's."
            )
        # The retriever says what is alike: spelling would count twice.
        self.generator = generator.with_search(replace(generator.search, spelling=0.0))
        self.retriever = retriever
        self.union = union

    @property
    def kb(self) -> KnowledgeBase:
        """The dictionary of both."""
        return self.generator.kb

    def with_kb(self, kb: KnowledgeBase) -> UnionLinker:
        """The same over another dictionary."""
        return UnionLinker(self.generator.with_kb(kb), self.retriever.with_kb(kb), self.union)

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """One prediction for each mention, in order; it has no more concepts than the two have found.

        A score is the generator's log-probability, with a weight plus so many times the similarity. Raises UsageError
        if ``k`` is not positive.
        """
        if k < 1:
            raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
        mentions = as_mentions(mentions, self.generator.preprocessing)
        if self.union.weight is None:
            found = self._retrieved(mentions, progress)
            search = self.generator.search.with_search("exact")
            within = self._restrictions([frozenset(similar) for similar, _ in found])
            return self.generator.with_search(search).link(mentions, k, within=within, progress=progress)
        pools = self.pools(mentions, progress=progress)
        return [
            Prediction(mention, self.ranked(pool, self.union.weight, k))
            for mention, pool in zip(mentions, pools, strict=True)
        ]

    def pools(self, mentions: Sequence[Mention], *, progress: bool = False) -> list[list[Pooled]]:
        """What there is to choose from for each mention, by falling log-probability.

        All of it is scored in one search of the generator over the names of these concepts, in which nothing is pruned.
        """
        found = self._retrieved(mentions, progress)
        search = self.generator.search
        own = self.generator.link(mentions, search.beams, progress=progress)
        concepts = [
            frozenset(similar).union(self.kb.concept_index(c.concept_id) for c in prediction.candidates)
            for (similar, _), prediction in zip(found, own, strict=True)
        ]
        parts = self._restrictions(concepts)
        whole = replace(
            search,
            search="beam",
            concept_score="best",
            beams=max([1, *(part.trie.n_names for part in parts)]),
            batch_size=max(1, search.batch_size // _SHARE_OF_BATCH),
        )
        k = max([1, *map(len, concepts)])
        results = self.generator.with_search(whole).find(mentions, k, within=parts, progress=progress)
        pools = []
        for result, (similar, least), part in zip(results, found, parts, strict=True):
            pool: dict[int, Pooled] = {}
            for name in result.names:
                for concept in concepts_within(self.kb, name.name, part.concepts):
                    pool.setdefault(concept, Pooled(concept, name.name, name.score, similar.get(concept, least)))
            pools.append(list(pool.values()))
        return pools

    def ranked(self, pool: Sequence[Pooled], weight: float, k: int) -> tuple[Candidate, ...]:
        """The candidates of at most ``k`` ranks, by log-probability plus ``weight`` times similarity."""
        keys = [pooled.key for pooled in pool]
        scored = ((p.concept, p.key, p.log_prob + weight * p.similarity) for p in pool)
        return rank_scored(self.kb, scored, k, {key for key in keys if keys.count(key) > 1})

    def _retrieved(self, mentions: Sequence[Mention], progress: bool) -> list[tuple[dict[int, float], float]]:
        """The concepts that the retriever finds, by index, with their scores; and the similarity of all others."""
        found = []
        for prediction in self.retriever.link(mentions, self.union.candidates, progress=progress):
            candidates = prediction.candidates
            similar = {self.kb.concept_index(candidate.concept_id): candidate.score for candidate in candidates}
            is_cut = bool(candidates) and candidates[-1].rank == self.union.candidates
            found.append((similar, min([*similar.values(), *([] if is_cut else [0.0])])))
        return found

    def _restrictions(self, concepts: Sequence[frozenset[int]]) -> list[Restriction]:
        """A restriction for each mention; equal ones are one, so that mentions that read alike are searched once."""
        made = {part: Restriction.to(sorted(part), self.kb, self.generator.trie) for part in set(concepts)}
        return [made[part] for part in concepts]

    @property
    def context_characters(self) -> int:
        """What the generator reads; the retriever reads no context."""
        return self.generator.context_characters

    @property
    def index_bytes(self) -> int:
        """What both keep of the names."""
        return self.generator.index_bytes + self.retriever.index_bytes

    def describe(self) -> dict[str, Any]:
        """Facts for a result file."""
        return {
            "kind": "union",
            **asdict(self.union),
            "linkers": [self.generator.describe(), self.retriever.describe()],
        }
