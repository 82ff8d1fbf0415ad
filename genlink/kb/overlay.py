"""Names added to a knowledge base in memory, its buffers shared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Additions"]


@dataclass(slots=True)
class Additions:
    """What an overlay adds; filled while it is made, not changed afterwards.

    ``names``, ``keys`` map a concept index to the names and key indices added to that concept; ``key_concepts`` a key
    index to the concepts added to it. ``new_keys`` follow the base's keys: the first has the index ``first_key``.
    ``key_lengths`` are the lengths that they have.
    """

    first_key: int
    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    keys: dict[int, tuple[int, ...]] = field(default_factory=dict)
    key_concepts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    new_keys: list[str] = field(default_factory=list)
    new_key_indices: dict[str, int] = field(default_factory=dict)
    key_lengths: set[int] = field(default_factory=set)

    def copy(self) -> Additions:
        """A copy to add to; the values are immutable and shared."""
        return Additions(
            self.first_key,
            dict(self.names),
            dict(self.keys),
            dict(self.key_concepts),
            list(self.new_keys),
            dict(self.new_key_indices),
            set(self.key_lengths),
        )

    def key_index(self, key: str) -> int:
        """The index of a key that the base lacks; a new one for a new key."""
        index = self.new_key_indices.setdefault(key, self.first_key + len(self.new_keys))
        if index == self.first_key + len(self.new_keys):
            self.new_keys.append(key)
            self.key_lengths.add(len(key))
        return index

    def connect(self, concept: int, key: int) -> None:
        """Let ``key`` lead to ``concept`` (as it does not yet)."""
        self.keys[concept] = (*self.keys.get(concept, ()), key)
        self.key_concepts[key] = merged(self.key_concepts.get(key, ()), (concept,))

    def digest(self, content_hash: str) -> str:
        """The content hash of the base with these names on top."""
        return hashlib.sha256(json.dumps([content_hash, sorted(self.names.items())]).encode()).hexdigest()


def merged(first: Iterable[int], second: Iterable[int]) -> tuple[int, ...]:
    """Both, ascending."""
    return tuple(sorted((*first, *second)))
