"""What every reader shares: cleaning of strings, the check that a record is a concept, rows gathered by concept id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from genlink.errors import FormatError
from genlink.schema import Concept

__all__ = ["UTF8", "ConceptRows", "checked_concept", "unique"]

# UTF-8, with or without a byte order mark.
UTF8 = "utf-8-sig"


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """The values without outer white space, in order, each once; empty ones are left out."""
    return tuple(dict.fromkeys(stripped for value in values if (stripped := value.strip())))


def checked_concept(
    path: str | Path,
    line: int | None,
    concept_id: str,
    names: Iterable[str],
    *,
    types: Iterable[str] = (),
    definition: str | None = None,
    alternative_ids: Iterable[str] = (),
    xrefs: Iterable[str] = (),
) -> Concept:
    """A concept whose strings are cleaned by ``unique``, or a FormatError where it has no id or no name."""
    concept_id = concept_id.strip()
    if not concept_id:
        raise FormatError(path, "a record without a concept id.", line=line)
    kept = unique(names)
    if not kept:
        raise FormatError(path, f"concept {concept_id} has no name.", line=line, advice="Name it, or drop the record.")
    return Concept(
        concept_id=concept_id,
        names=kept,
        types=unique(types),
        definition=(definition or "").strip() or None,
        alternative_ids=tuple(other for other in unique(alternative_ids) if other != concept_id),
        xrefs=unique(xrefs),
    )


class ConceptRows:
    """Concepts whose names come a row at a time, not necessarily one after the other.

    The first row of a concept gives its place and its canonical name; later rows add names, types and ids. The first
    definition that is not empty is kept.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._first_line: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        self._more: dict[str, dict[str, list[str]]] = {}

    def add(self, line: int, concept_id: str, names: Iterable[str], **more: Iterable[str]) -> None:
        """Add the row at ``line``; ``more`` may hold types, definitions, alternative_ids and xrefs."""
        concept_id = concept_id.strip()
        self._first_line.setdefault(concept_id, line)
        self._names.setdefault(concept_id, []).extend(names)
        for field, values in more.items():
            if values:
                self._more.setdefault(concept_id, {}).setdefault(field, []).extend(values)

    def concepts(self) -> Iterator[Concept]:
        """The concepts in the order of their first rows; FormatError for one without an id or a name."""
        for concept_id, names in self._names.items():
            more = self._more.get(concept_id, {})
            yield checked_concept(
                self._path,
                self._first_line[concept_id],
                concept_id,
                names,
                types=more.get("types", ()),
                definition=next(iter(unique(more.get("definitions", ()))), None),
                alternative_ids=more.get("alternative_ids", ()),
                xrefs=more.get("xrefs", ()),
            )
