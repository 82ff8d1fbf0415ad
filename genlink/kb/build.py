"""From a stream of concepts to the tables of a knowledge base, in one pass and without holding the concepts."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any, Literal

import marisa_trie
import numpy as np

from genlink.errors import KnowledgeBaseError
from genlink.kb.records import decode_concept, encode_concept, split_prefix
from genlink.kb.report import BuildReport
from genlink.kb.tables import Integers, Rows, Tables
from genlink.schema import Concept
from genlink.text import Normalisation, normalise

__all__ = ["OnDuplicate", "build_tables"]

OnDuplicate = Literal["error", "merge"]


def build_tables(
    concepts: Iterable[Concept],
    normalisation: Normalisation,
    max_name_length: int | None,
    on_duplicate: OnDuplicate,
) -> tuple[Tables, BuildReport]:
    """The tables and the report of what went into them. See ``KnowledgeBase.from_concepts``."""
    collector = _Collector(normalisation, max_name_length, on_duplicate)
    for concept in concepts:
        collector.add(concept)
    if not collector.records:
        raise KnowledgeBaseError(
            f"no concept for a knowledge base ({collector.dropped['concepts']} were dropped for want of a name). "
            "Check the source, its format and the filters."
        )
    return collector.finish()


class _Collector:
    """Concepts as they come in: encoded records, and keys by number of first appearance."""

    def __init__(self, normalisation: Normalisation, max_name_length: int | None, on_duplicate: OnDuplicate) -> None:
        self.normalisation = normalisation
        self.max_name_length = max_name_length
        self.on_duplicate = on_duplicate
        self.records: list[bytes] = []
        self.positions: dict[str, int] = {}  # primary id -> index in records
        self.keys: dict[str, int] = {}
        self.concept_keys: list[tuple[int, ...]] = []
        self.dropped: Counter[str] = Counter()

    def add(self, concept: Concept) -> None:
        if not concept.concept_id:
            name = concept.name if concept.names else ""
            raise KnowledgeBaseError(f"a concept without an id (name: {name!r}). Give it one in the source.")
        names, keys = self._usable_names(concept.names)
        if not names:
            self.dropped["concepts"] += 1
            return
        alternative_ids = tuple(i for i in dict.fromkeys(concept.alternative_ids) if i and i != concept.concept_id)
        concept = replace(concept, names=tuple(names), alternative_ids=alternative_ids)
        position = self.positions.setdefault(concept.concept_id, len(self.records))
        if position == len(self.records):
            self.records.append(encode_concept(concept))
            self.concept_keys.append(keys)
            return
        earlier = decode_concept(self.records[position])
        if self.on_duplicate == "error" and earlier.names != concept.names:
            raise KnowledgeBaseError(
                f"{concept.concept_id}: given twice with different names, as {earlier.name!r} and as {concept.name!r}. "
                "Mend the source, or merge such records (--on-duplicate merge)."
            )
        self.dropped["duplicates"] += 1
        self.records[position] = encode_concept(_union(earlier, concept))
        self.concept_keys[position] = tuple(dict.fromkeys(self.concept_keys[position] + keys))

    def _usable_names(self, names: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        """The names that have a key and are not too long, each once; and their keys' numbers, each once."""
        kept, keys = [], []
        for name in dict.fromkeys(names):
            if self.max_name_length is not None and len(name) > self.max_name_length:
                self.dropped["too long"] += 1
            elif key := normalise(name, self.normalisation):
                kept.append(name)
                keys.append(self.keys.setdefault(key, len(self.keys)))
            else:
                self.dropped["empty"] += 1
        return kept, tuple(dict.fromkeys(keys))

    def finish(self) -> tuple[Tables, BuildReport]:
        keys, renumbered = _trie(self.keys)
        lengths = np.fromiter(map(len, self.concept_keys), dtype=np.int64, count=len(self.concept_keys))
        numbers = np.fromiter(chain.from_iterable(self.concept_keys), dtype=np.int32, count=int(lengths.sum()))
        concept_keys = Rows(_starts(lengths), renumbered[numbers])
        key_concepts = _transposed(concept_keys, len(self.keys))
        self.keys.clear()
        self.concept_keys.clear()

        counts, claims = _Counts(), _Claims(self.positions)
        for i, concept in enumerate(map(decode_concept, self.records)):
            counts.add(concept)
            claims.add(i, concept)
        ids, id_concepts, concept_ids = claims.finish()
        record_lengths = np.fromiter(map(len, self.records), dtype=np.int64, count=len(self.records))
        records = b"".join(self.records)
        tables = Tables(
            records=records,
            record_starts=_starts(record_lengths),
            keys=keys,
            key_concepts=key_concepts,
            concept_keys=concept_keys,
            ids=ids,
            id_concepts=id_concepts,
            concept_ids=concept_ids,
            prefixes=tuple(sorted(claims.prefixes)),
            normalisation=self.normalisation,
            content_hash=_content_hash(records, self.normalisation),
        )
        concepts_per_key = np.diff(key_concepts.starts)
        report = BuildReport(
            concepts=len(self.records),
            names=counts.names,
            keys=len(key_concepts),
            ambiguous_keys=int((concepts_per_key > 1).sum()),
            max_concepts_per_key=int(concepts_per_key.max()),
            names_dropped_empty=self.dropped["empty"],
            names_dropped_too_long=self.dropped["too long"],
            names_dropped_unspellable=0,
            concepts_dropped=self.dropped["concepts"],
            duplicates_merged=self.dropped["duplicates"],
            shared_alternative_ids=len(claims.shared),
            definitions=counts.definitions,
            concepts_with_types=counts.with_types,
            longest_name=counts.longest_name,
            vocabularies=dict(sorted(counts.vocabularies.items())),
        )
        return tables, report


class _Counts:
    """Counts over the concepts as they are after merging."""

    def __init__(self) -> None:
        self.names = self.definitions = self.with_types = self.longest_name = 0
        self.vocabularies: Counter[str] = Counter()

    def add(self, concept: Concept) -> None:
        self.names += len(concept.names)
        self.definitions += bool(concept.definition)
        self.with_types += bool(concept.types)
        self.longest_name = max(self.longest_name, *map(len, concept.names), 0)
        self.vocabularies[split_prefix(concept.concept_id)[0]] += 1


class _Claims:
    """Which id names which concept: a primary id its own; an alternative id, if free, the first that claims it."""

    def __init__(self, positions: dict[str, int]) -> None:
        self.primary = positions
        self.alternative: dict[str, int] = {}
        self.shared: set[str] = set()
        self.prefixes: set[str] = set()

    def add(self, i: int, concept: Concept) -> None:
        for concept_id in (concept.concept_id, *concept.alternative_ids):
            if prefix := split_prefix(concept_id)[0]:
                self.prefixes.add(prefix)
        for concept_id in concept.alternative_ids:
            if self.alternative.setdefault(concept_id, i) != i:
                self.shared.add(concept_id)

    def finish(self) -> tuple[Any, Integers, Integers]:
        """The trie of ids; the concept of each id; the id of each concept."""
        targets = {**self.alternative, **self.primary}
        trie, indices = _trie(targets)
        id_concepts = np.empty(len(targets), dtype=np.int32)
        id_concepts[indices] = np.fromiter(targets.values(), dtype=np.int32, count=len(targets))
        concept_ids = np.fromiter((trie[i] for i in self.primary), dtype=np.int32, count=len(self.primary))
        return trie, id_concepts, concept_ids


def _union(first: Concept, second: Concept) -> Concept:
    def union(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(a + b))

    return Concept(
        concept_id=first.concept_id,
        names=union(first.names, second.names),
        types=union(first.types, second.types),
        definition=first.definition or second.definition,
        alternative_ids=union(first.alternative_ids, second.alternative_ids),
        xrefs=union(first.xrefs, second.xrefs),
    )


def _trie(texts: dict[str, int]) -> tuple[Any, Integers]:
    """A marisa trie of the texts, and the trie's index of each in the order given."""
    if broken := next((text for text in texts if "\0" in text), None):
        raise KnowledgeBaseError(f"{broken!r}: holds a NUL character. Remove it in the source.")
    trie = marisa_trie.Trie(texts)
    indices = array("i", (trie[text] for text in texts))
    return trie, np.array(indices, dtype=np.int32)


def _starts(lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _transposed(rows: Rows, n_values: int) -> Rows:
    """For each value the rows that hold it, ascending."""
    row_of_entry = np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(rows.starts))
    order = np.argsort(rows.values, kind="stable")  # stable, so that rows stay ascending within a value
    return Rows(_starts(np.bincount(rows.values, minlength=n_values)), row_of_entry[order])


def _content_hash(records: bytes, normalisation: Normalisation) -> str:
    digest = hashlib.sha256(json.dumps(asdict(normalisation), sort_keys=True).encode() + b"\n")
    digest.update(records)
    return digest.hexdigest()
