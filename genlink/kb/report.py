"""What building a knowledge base kept and what it dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from typing import Any

from genlink.errors import KnowledgeBaseError

__all__ = ["BuildReport", "unspellable"]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Counts of one build; all but the dropped ones are of what was kept.

    ``names`` are (concept, verbatim name) pairs, ``keys`` the distinct normalised names, ``ambiguous_keys`` those of
    several concepts, ``longest_name`` is in characters. ``vocabularies`` counts concepts by the prefix of their id, the
    bare ones under the empty prefix. ``shared_alternative_ids`` are alternative ids that several concepts claim.
    """

    concepts: int
    names: int
    keys: int
    ambiguous_keys: int
    max_concepts_per_key: int
    names_dropped_empty: int
    names_dropped_too_long: int
    names_dropped_unspellable: int
    concepts_dropped: int
    duplicates_merged: int
    shared_alternative_ids: int
    definitions: int
    concepts_with_types: int
    longest_name: int
    vocabularies: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BuildReport:
        """The report that ``to_json`` made into ``value``."""
        names = {f.name for f in fields(cls)}
        if set(value) != names:
            raise KnowledgeBaseError(
                "the build report in the manifest has other fields. Build the knowledge base again."
            )
        return cls(**value)


def unspellable(
    keys: Iterable[str],
    encode: Callable[[Sequence[str]], Sequence[Sequence[int]]],
    decode: Callable[[Sequence[Sequence[int]]], Sequence[str]],
    special_ids: Collection[int] = (),
    batch: int = 4096,
) -> Iterator[str]:
    """Yield the keys that a tokenizer cannot spell: not the same after encode and decode, or with a special token.

    ``encode`` turns texts into token ids (adding no special tokens), ``decode`` token ids into texts; the special ids
    include the unknown token's. White space at the ends of a decoded text is ignored: no key has any.
    """
    special = frozenset(special_ids)
    source = iter(keys)
    while texts := list(islice(source, batch)):
        encoded = encode(texts)
        for text, ids, spelled in zip(texts, encoded, decode(encoded), strict=True):
            if spelled.strip() != text or not special.isdisjoint(ids):
                yield text
