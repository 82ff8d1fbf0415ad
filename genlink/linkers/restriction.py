"""A part of a dictionary to link within: the search never sees the other names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genlink.kb import KnowledgeBase
from genlink.trie import NameTrie

__all__ = ["Restriction"]


@dataclass(frozen=True, slots=True, eq=False)
class Restriction:
    """Some concepts of a knowledge base, by index, and the trie of their names, cut out of ``whole``.

    It is made once and used for as many mentions as wanted. Making it costs what its names cost, not what the
    dictionary does; searching it costs less than searching everything.
    """

    concepts: frozenset[int]
    trie: NameTrie
    whole: NameTrie

    @classmethod
    def to(cls, concepts: Sequence[int], kb: KnowledgeBase, trie: NameTrie) -> Restriction:
        """Restrict ``trie``, which holds names of ``kb``; names that it leaves out for their length stay out."""
        keys = {key for concept in concepts for key in kb.concept_keys(concept)}
        return cls(frozenset(concepts), trie.restricted_to(sorted(keys)), trie)
