"""Knowledge bases from knowledge bases: streams of concepts with some left out, names added or taken away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from genlink.errors import KnowledgeBaseError
from genlink.kb.records import split_prefix
from genlink.schema import Concept

__all__ = ["selected", "with_names", "without_keys", "without_names"]


def selected(
    concepts: Iterable[Concept],
    types: Collection[str] | None = None,
    prefixes: Collection[str] | None = None,
    ids: Collection[str] | None = None,
) -> Iterator[Concept]:
    """Yield the concepts that pass every filter given: one of the types, of the id prefixes, of the primary ids."""
    for concept in concepts:
        if types is not None and not set(types) & set(concept.types):
            continue
        if prefixes is not None and split_prefix(concept.concept_id)[0] not in prefixes:
            continue
        if ids is not None and concept.concept_id not in ids:
            continue
        yield concept


def with_names(concepts: Iterable[Concept], names: Mapping[str, Sequence[str]]) -> Iterator[Concept]:
    """Yield the concepts, the given names (by primary id) added after their own."""
    for concept in concepts:
        if added := names.get(concept.concept_id):
            concept = replace(concept, names=tuple(dict.fromkeys((*concept.names, *added))))
        yield concept


def without_names(
    concepts: Iterable[Concept], names: Mapping[str, Sequence[str]], key: Callable[[str], str]
) -> Iterator[Concept]:
    """Yield the concepts without the given names (by primary id), and without other spellings of the same key.

    Raises KnowledgeBaseError where a concept has no such name.
    """
    for concept in concepts:
        if removed := names.get(concept.concept_id):
            held = {key(name) for name in concept.names}
            for name in removed:
                if key(name) not in held:
                    raise KnowledgeBaseError(f"{concept.concept_id} ({concept.name}): has no name {name!r} to remove.")
            keys = {key(name) for name in removed}
            concept = replace(concept, names=tuple(name for name in concept.names if key(name) not in keys))
        yield concept


def without_keys(concepts: Iterable[Concept], keys: Collection[str], key: Callable[[str], str]) -> Iterator[Concept]:
    """Yield the concepts without any name whose key is among ``keys``; some may be left with no name."""
    for concept in concepts:
        yield replace(concept, names=tuple(name for name in concept.names if key(name) not in keys))
