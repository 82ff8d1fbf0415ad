"""What a training set tells about an evaluation: names to add to the dictionary, and what counts as seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from genlink.kb import KnowledgeBase
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["TrainingFacts", "training_facts", "training_names"]


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """The normalised surfaces of the training mentions, and the concepts of the knowledge base they are linked to."""

    surfaces: frozenset[str]
    concepts: frozenset[str]


def training_names(mentions: Iterable[Mention], kb: KnowledgeBase) -> dict[str, list[str]]:
    """The surfaces of training mentions as names of their gold concepts, for ``kb.overlay``: BioSyn's dictionary.

    Composite mentions, split or not, and ids that do not resolve are left out. A surface annotated with different
    concepts becomes a name of each: an ambiguous one. Names are given once for each concept, in the order of the text.
    """
    names: dict[str, dict[str, None]] = {}
    for mention in mentions:
        if mention.is_composite or mention.part is not None or not normalise(mention.surface, kb.normalisation):
            continue
        for concept in _resolved(mention, kb):
            names.setdefault(concept, {})[mention.surface] = None
    return {concept: list(surfaces) for concept, surfaces in names.items()}


def training_facts(mentions: Iterable[Mention], kb: KnowledgeBase) -> TrainingFacts:
    """What the slices "seen" and "unseen" are told by; composite mentions count too."""
    surfaces: set[str] = set()
    concepts: set[str] = set()
    for mention in mentions:
        surfaces.add(normalise(mention.surface, kb.normalisation))
        concepts.update(_resolved(mention, kb))
    return TrainingFacts(frozenset(surfaces), frozenset(concepts))


def _resolved(mention: Mention, kb: KnowledgeBase) -> list[str]:
    return sorted({concept for concept in map(kb.resolve, mention.gold_ids) if concept is not None})
