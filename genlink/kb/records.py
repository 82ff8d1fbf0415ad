"""A concept as one line of JSON, and the vocabulary prefix of an id.

The line is for other programs as well: ``{"id", "name", "synonyms", "types", "definition", "alternative_ids",
"xrefs"}``; the last four are left out where the concept has none.
"""

from __future__ import annotations

import json
from typing import Any

from genlink.errors import KnowledgeBaseError
from genlink.schema import Concept

__all__ = ["decode_concept", "encode_concept", "split_prefix"]


def encode_concept(concept: Concept) -> bytes:
    """The concept as a line of UTF-8 JSON, with its line end."""
    record: dict[str, Any] = {"id": concept.concept_id, "name": concept.name, "synonyms": concept.synonyms}
    if concept.types:
        record["types"] = concept.types
    if concept.definition is not None:
        record["definition"] = concept.definition
    if concept.alternative_ids:
        record["alternative_ids"] = concept.alternative_ids
    if concept.xrefs:
        record["xrefs"] = concept.xrefs
    try:
        return (json.dumps(record, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        raise KnowledgeBaseError(
            f"{concept.concept_id!r}: holds half of a surrogate pair, which is not text. Repair it in the source."
        ) from None


def decode_concept(line: bytes) -> Concept:
    """The concept of a line that ``encode_concept`` wrote."""
    record = json.loads(line)
    return Concept(
        concept_id=record["id"],
        names=(record["name"], *record["synonyms"]),
        types=tuple(record.get("types", ())),
        definition=record.get("definition"),
        alternative_ids=tuple(record.get("alternative_ids", ())),
        xrefs=tuple(record.get("xrefs", ())),
    )


def split_prefix(concept_id: str) -> tuple[str, str]:
    """(vocabulary prefix, local id), parted at the last colon; the prefix of a bare id is empty.

    ``MESH:D003924`` -> ``MESH``, ``D003924``. An id with nothing before or after its colon is bare.
    """
    prefix, _, local = concept_id.rpartition(":")
    return (prefix, local) if prefix and local else ("", concept_id)
