"""The compiled form of a knowledge base: a few flat buffers, in memory or mapped from files."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genlink.text import Normalisation

__all__ = ["Rows", "Tables", "find", "find_beginnings"]

# marisa takes NUL for the end of a text; half of a surrogate pair has no UTF-8.
_IN_NO_TRIE = re.compile("[\0\ud800-\udfff]")

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
    index: int | None = None if _IN_NO_TRIE.search(text) else trie.get(text)
    return index


def find_beginnings(trie: Any, text: str) -> list[tuple[int, int]]:
    """(length, index) of all in a marisa trie that ``text`` begins with."""
    return [(len(key), i) for key, i in trie.iter_prefixes_with_ids(_IN_NO_TRIE.split(text, maxsplit=1)[0])]
