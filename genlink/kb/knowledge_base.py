"""A knowledge base: concepts, and the index from names to them. One class, in memory or mapped from a directory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from genlink.errors import KnowledgeBaseError, UsageError
from genlink.kb import edit
from genlink.kb.build import OnDuplicate, build_tables
from genlink.kb.overlay import Additions, merged
from genlink.kb.provenance import Provenance
from genlink.kb.records import decode_concept, split_prefix
from genlink.kb.report import BuildReport
from genlink.kb.store import open_tables, save_tables
from genlink.kb.tables import Tables, find, find_beginnings
from genlink.schema import Concept
from genlink.text import Normalisation, normalise

__all__ = ["KnowledgeBase"]


class KnowledgeBase:
    """Concepts by index, by id and by name.

    A *key* is the normalised form of a name. Concepts have indices in the order they were given, keys have indices of
    their own; both stay as they are when the knowledge base is saved and opened. A knowledge base never changes: what
    edits it returns another one.
    """

    def __init__(
        self,
        tables: Tables,
        report: BuildReport | None,
        additions: Additions | None = None,
        provenance: tuple[Provenance, ...] = (),
    ) -> None:
        """From compiled tables: use ``from_concepts``, ``open`` or ``genlink.kb.load_kb`` instead."""
        self._tables = tables
        self._report = report
        self._provenance = provenance
        self._additions = additions or Additions(first_key=len(tables.keys))
        self._content_hash = additions.digest(tables.content_hash) if additions else tables.content_hash

    # Making, saving, opening

    @classmethod
    def from_concepts(
        cls,
        concepts: Iterable[Concept],
        *,
        normalisation: Normalisation = Normalisation(),
        max_name_length: int | None = None,
        on_duplicate: OnDuplicate = "error",
        provenance: Sequence[Provenance] = (),
    ) -> KnowledgeBase:
        """Compile a stream of concepts.

        Names without a key, or of more than ``max_name_length`` characters, are dropped, and so are concepts left
        without a name; the report counts them. Two records of one id are merged where their names are the same;
        where they differ, ``on_duplicate`` says whether that is an error or they are merged as well (names, types and
        ids united, the first canonical name and definition kept). ``provenance`` is kept: where the names are from.

        Raises KnowledgeBaseError for such a duplicate, an empty id, and where no concept is left.
        """
        tables, report = build_tables(concepts, normalisation, max_name_length, on_duplicate)
        return cls(tables, report, provenance=tuple(dict.fromkeys(provenance)))

    @classmethod
    def open(cls, directory: str | Path) -> KnowledgeBase:
        """Map a saved knowledge base into memory; takes no time, whatever its size."""
        tables, report, provenance = open_tables(directory)
        return cls(tables, report, provenance=provenance)

    def save(self, directory: str | Path) -> None:
        """Write to a directory; one that stood there is replaced only when the new one is whole.

        An overlay is compiled first, and its keys may have other indices when opened.
        """
        kb = self._rebuilt(self) if self._additions.names else self
        save_tables(directory, kb._tables, kb._report, kb._provenance)

    # Concepts

    def __len__(self) -> int:
        return self._tables.n_concepts

    def __iter__(self) -> Iterator[Concept]:
        return (self.concept_at(i) for i in range(len(self)))

    def __contains__(self, concept_id: object) -> bool:
        return isinstance(concept_id, str) and find(self._tables.ids, concept_id) is not None

    def concept(self, concept_id: str) -> Concept:
        """The concept with this primary or, failing that, alternative id. Raises KnowledgeBaseError if unknown."""
        return self.concept_at(self.concept_index(concept_id))

    def concept_index(self, concept_id: str) -> int:
        """The index of the concept with this primary or alternative id. Raises KnowledgeBaseError if unknown."""
        index = find(self._tables.ids, concept_id)
        if index is None:
            raise KnowledgeBaseError(f"{concept_id}: no such concept id in the knowledge base.")
        return int(self._tables.id_concepts[index])

    def concept_at(self, i: int) -> Concept:
        """Concept i."""
        concept = decode_concept(self._tables.record(_checked(i, len(self))))
        added = self._additions.names.get(i)
        return replace(concept, names=concept.names + added) if added else concept

    def concept_id_at(self, i: int) -> str:
        """The primary id of concept i."""
        concept_id: str = self._tables.ids.restore_key(int(self._tables.concept_ids[_checked(i, len(self))]))
        return concept_id

    def canonical_name_at(self, i: int) -> str:
        """The first name of concept i."""
        return decode_concept(self._tables.record(_checked(i, len(self)))).name

    def resolve(self, concept_id: str) -> str | None:
        """This knowledge base's own primary id for an id from elsewhere, such as a corpus; None if it has none.

        In this order: (1) the id is a primary id here; (2) it is an alternative id (the first concept that lists it
        is meant); (3) it has a vocabulary prefix, the part before its last colon, and the bare rest is an id here;
        (4) it is bare, and with exactly one of the prefixes in use here it becomes an id. So a prefix may be missing
        on one side, but two different prefixes never match.
        """
        tables = self._tables
        index = find(tables.ids, concept_id)
        if index is None:
            prefix, local = split_prefix(concept_id)
            if prefix:
                index = find(tables.ids, local)
            else:
                found = [i for p in tables.prefixes if (i := find(tables.ids, f"{p}:{local}")) is not None]
                index = found[0] if len(found) == 1 else None
        return None if index is None else self.concept_id_at(int(tables.id_concepts[index]))

    def missing(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids that do not resolve."""
        return frozenset(i for i in ids if self.resolve(i) is None)

    # Names

    @property
    def n_keys(self) -> int:
        """How many distinct keys there are."""
        return self._additions.first_key + len(self._additions.new_keys)

    def key(self, i: int) -> str:
        """Key i."""
        first = self._additions.first_key
        if _checked(i, self.n_keys) >= first:
            return self._additions.new_keys[i - first]
        key: str = self._tables.keys.restore_key(int(i))
        return key

    def key_index(self, name: str) -> int | None:
        """The index of the key of ``name``, verbatim or normalised; None where no concept has such a name."""
        return self._find_key(self._key_of(name))

    def keys_at_start(self, text: str) -> list[tuple[int, int]]:
        """(length, index) of each key that ``text``, itself a key, begins with, from the shortest to the longest."""
        lengths = (n for n in self._additions.key_lengths if n <= len(text))
        added = ((n, self._additions.new_key_indices.get(text[:n])) for n in lengths)
        return sorted([*find_beginnings(self._tables.keys, text), *((n, i) for n, i in added if i is not None)])

    def key_concepts(self, i: int) -> tuple[int, ...]:
        """The indices of the concepts with key i, ascending."""
        base = self._tables.key_concepts.row(i) if _checked(i, self.n_keys) < self._additions.first_key else ()
        added = self._additions.key_concepts.get(i)
        return merged(base, added) if added else base

    def concept_keys(self, concept_index: int) -> tuple[int, ...]:
        """The indices of a concept's keys, each once, that of the canonical name first."""
        base = self._tables.concept_keys.row(_checked(concept_index, len(self)))
        return base + self._additions.keys.get(concept_index, ())

    def concept_ids(self, name: str) -> tuple[str, ...]:
        """The primary ids of the concepts that share the key of ``name``; empty for an unknown name."""
        index = self.key_index(name)
        return () if index is None else tuple(self.concept_id_at(i) for i in self.key_concepts(index))

    def key_name(self, i: int, concept_index: int) -> str:
        """The first name of a concept, verbatim, that has key i. Raises KnowledgeBaseError if none has."""
        key = self.key(i)
        concept = self.concept_at(concept_index)
        for name in concept.names:
            if self._key_of(name) == key:
                return name
        raise KnowledgeBaseError(f"{concept.concept_id}: has no name with the key {key!r}.")

    def select(
        self,
        *,
        types: Collection[str] | None = None,
        prefixes: Collection[str] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[int]:
        """The indices of the concepts that pass every filter given, ascending; see ``subset``. They may be none.

        By ids alone this is cheap; types and prefixes are read off every concept.
        """
        _refuse_text(types=types, prefixes=prefixes, ids=ids)
        primary = None if ids is None else self._resolved(ids)
        if primary is not None and types is None and prefixes is None:
            return sorted(map(self.concept_index, primary))
        return [self.concept_index(concept.concept_id) for concept in edit.selected(self, types, prefixes, primary)]

    # Other knowledge bases from this one

    def subset(
        self,
        *,
        types: Collection[str] | None = None,
        prefixes: Collection[str] | None = None,
        ids: Collection[str] | None = None,
    ) -> KnowledgeBase:
        """The concepts that pass every filter given: one of the semantic types, vocabulary prefixes, concept ids.

        The ids are resolved. Raises KnowledgeBaseError where one does not resolve or no concept is left.
        """
        _refuse_text(types=types, prefixes=prefixes, ids=ids)
        primary = None if ids is None else self._resolved(ids)
        return self._rebuilt(edit.selected(self, types, prefixes, primary))

    @staticmethod
    def merge(kbs: Sequence[KnowledgeBase], on_duplicate: OnDuplicate = "merge") -> KnowledgeBase:
        """The concepts of all, in order; see ``from_concepts`` for those with the same id."""
        if not kbs:
            raise KnowledgeBaseError("no knowledge base to merge. Name at least one.")
        if len({kb.normalisation for kb in kbs}) > 1:
            raise KnowledgeBaseError("knowledge bases with different normalisation cannot be merged. Build them alike.")
        return KnowledgeBase.from_concepts(
            chain.from_iterable(kbs),
            normalisation=kbs[0].normalisation,
            on_duplicate=on_duplicate,
            provenance=[source for kb in kbs for source in kb.provenance],
        )

    def add_names(self, names: Mapping[str, Sequence[str]]) -> KnowledgeBase:
        """Each concept's new names after its own. The ids are resolved; KnowledgeBaseError if one does not."""
        return self._rebuilt(edit.with_names(self, self._by_primary_id(names)))

    def remove_names(self, names: Mapping[str, Sequence[str]]) -> KnowledgeBase:
        """Without these names, in any spelling with the same key; a concept that loses its last name goes too.

        The ids are resolved. Raises KnowledgeBaseError for an unknown id, or a name that the concept does not have.
        """
        return self._rebuilt(edit.without_names(self, self._by_primary_id(names), self._key_of))

    def add_concepts(self, concepts: Iterable[Concept]) -> KnowledgeBase:
        """With more concepts at the end; one whose id is a primary id here is merged into the concept that has it."""
        return self._rebuilt(chain(self, concepts), "merge")

    def remove_concepts(self, ids: Collection[str]) -> KnowledgeBase:
        """Without these concepts. The ids are resolved; KnowledgeBaseError if one does not, or no concept is left."""
        removed = self._resolved(ids)
        return self._rebuilt(concept for concept in self if concept.concept_id not in removed)

    def without_unspellable(self, keys: Collection[str]) -> KnowledgeBase:
        """Without the names that have one of these keys; the report goes on from this one's and counts them."""
        if not keys:
            return self
        kb = self._rebuilt(edit.without_keys(self, frozenset(keys), self._key_of))
        if self._report and kb._report:
            kb._report = replace(
                kb._report,
                names_dropped_empty=self._report.names_dropped_empty,
                names_dropped_too_long=self._report.names_dropped_too_long,
                names_dropped_unspellable=self._report.names - kb._report.names,
                concepts_dropped=self._report.concepts_dropped + kb._report.concepts_dropped,
                duplicates_merged=self._report.duplicates_merged,
            )
        return kb

    def overlay(self, names: Mapping[str, Sequence[str]]) -> KnowledgeBase:
        """As ``add_names``, but cheap: the buffers are shared and only what is new is kept beside them.

        Key and concept indices of this knowledge base stay valid, new keys come after them.
        """
        additions = self._additions.copy()
        for concept_id, added in self._by_primary_id(names).items():
            i = self.concept_index(concept_id)
            known = set(self.concept_at(i).names)
            keys = set(self.concept_keys(i))
            for name in dict.fromkeys(added):
                key = self._key_of(name)
                if not key or name in known:
                    continue
                additions.names[i] = (*additions.names.get(i, ()), name)
                index = self._find_key(key)
                index = additions.key_index(key) if index is None else index
                if index not in keys:
                    keys.add(index)
                    additions.connect(i, index)
        return KnowledgeBase(self._tables, None, additions, self._provenance) if additions.names else self

    def is_overlay_of(self, other: KnowledgeBase) -> bool:
        """Whether this is ``other`` or an overlay of it, so that the indices of ``other`` are valid here."""
        mine, theirs = self._additions.new_keys, other._additions.new_keys
        return self._tables is other._tables and mine[: len(theirs)] == theirs

    # Facts

    @property
    def normalisation(self) -> Normalisation:
        """The steps that make a key of a name."""
        return self._tables.normalisation

    @property
    def content_hash(self) -> str:
        """SHA-256 over the concepts and the normalisation, in hexadecimal; an overlay has another one."""
        return self._content_hash

    @property
    def report(self) -> BuildReport | None:
        """What was kept and dropped when this knowledge base was compiled; None for an overlay."""
        return self._report

    @property
    def provenance(self) -> tuple[Provenance, ...]:
        """Where the names are from, as far as it is known; names that were added in Python are not told."""
        return self._provenance

    def __repr__(self) -> str:
        return f"KnowledgeBase({len(self)} concepts, {self.n_keys} keys)"

    def _find_key(self, key: str) -> int | None:
        index = find(self._tables.keys, key)
        return self._additions.new_key_indices.get(key) if index is None else index

    def _key_of(self, name: str) -> str:
        return normalise(name, self.normalisation)

    def _resolved(self, ids: Iterable[str]) -> frozenset[str]:
        """The primary ids, or an error where an id does not resolve."""
        resolved = {i: self.resolve(i) for i in ids}
        if missing := [i for i, primary in resolved.items() if primary is None]:
            others = f" and {len(missing) - 1} more of the {len(resolved)} given" if len(missing) > 1 else ""
            raise KnowledgeBaseError(
                f"{missing[0]}{others}: no such concept id in the knowledge base. Check ids and vocabulary prefixes."
            )
        return frozenset(primary for primary in resolved.values() if primary is not None)

    def _by_primary_id(self, names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        self._resolved(names)
        by_id: dict[str, list[str]] = {}
        for concept_id, values in names.items():
            by_id.setdefault(self.resolve(concept_id) or concept_id, []).extend(values)
        return by_id

    def _rebuilt(self, concepts: Iterable[Concept], on_duplicate: OnDuplicate = "error") -> KnowledgeBase:
        return KnowledgeBase.from_concepts(
            concepts, normalisation=self.normalisation, on_duplicate=on_duplicate, provenance=self.provenance
        )


def _refuse_text(**filters: Collection[str] | None) -> None:
    """A string is a collection of its letters, which nobody means."""
    for name, values in filters.items():
        if isinstance(values, str):
            raise UsageError(f"{name} is the text {values!r}, expected a list of texts.")


def _checked(i: int, n: int) -> int:
    if not 0 <= i < n:
        raise IndexError(f"index {i} of {n}")
    return i
