"""The compiled form of a knowledge base: a few flat buffers, in memory or mapped from files."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genlink.text import Normalisation

__all__ = ["Rows", "Tables", "find"]

Integers = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Integer lists of unequal length: row i is ``values[starts[i]:starts[i + 1]]``.

    ``starts`` has shape (rows + 1,), ``values`` (entries,).
    """

    starts: Offsets
    values: Integers

    def row(self, i: int) -> tuple[int, ...]:
        """The integers of row i."""
        return tuple(self.values[self.starts[i] : self.starts[i + 1]].tolist())

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True)
class Tables:
    """What a knowledge base consists of.

    ``records`` are JSON lines, that of concept i at ``record_starts[i]:record_starts[i + 1]``. ``keys`` and ``ids`` are
    marisa tries: a key's id in the trie is its key index. ``key_concepts`` lists each key's concepts, ascending;
    ``concept_keys`` each concept's keys, the canonical one first. ``ids`` holds primary and alternative ids;
    ``id_concepts`` (shape: ids) is the concept that an id names; ``concept_ids`` (shape: concepts) the index in ``ids``
    of each concept's primary id. ``prefixes`` are the vocabulary prefixes of all ids but the bare ones.
    """

    records: bytes | mmap.mmap
    record_starts: Offsets
    keys: Any
    key_concepts: Rows
    concept_keys: Rows
    ids: Any
    id_concepts: Integers
    concept_ids: Integers
    prefixes: tuple[str, ...]
    normalisation: Normalisation
    content_hash: str

    @property
    def n_concepts(self) -> int:
        """How many concepts there are."""
        return len(self.concept_ids)

    def record(self, i: int) -> bytes:
        """The JSON line of concept i."""
        return self.records[self.record_starts[i] : self.record_starts[i + 1]]


def find(trie: Any, text: str) -> int | None:
    """The index of ``text`` in a marisa trie, or None."""
    if "\0" in text:  # marisa would look up the part before it
        return None
    try:
        index: int | None = trie.get(text)
    except UnicodeEncodeError:  # half of a surrogate pair: in no trie
        return None
    return index
