"""JSON lines, a concept a line: GenLink's own form and the one of scispaCy.

    {"id": "DOID:1", "name": "gout", "synonyms": ["podagra"], "definition": null, "xrefs": [], "types": [],
     "alternative_ids": []}
    {"concept_id": "C0018099", "canonical_name": "Gout", "aliases": ["Gouts"], "types": ["T047"], "definition": "..."}

Only the id and the name must be there. A line is of scispaCy's form when it has a ``concept_id``
(https://github.com/allenai/scispacy, scripts/export_umls_json.py). Other keys are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genlink.errors import FormatError
from genlink.files import read_jsonl
from genlink.kb.readers.records import UTF8, checked_concept
from genlink.schema import Concept

__all__ = ["read_concept_jsonl"]


def _text(path: str | Path, line: int, record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, str) and value.strip():
        return value
    problem = f"no `{key}`." if value is None else f"`{key}` is {value!r}, expected a string that is not empty."
    raise FormatError(path, problem, line=line, advice="Each line needs an id and a name.")


def _texts(path: str | Path, line: int, record: Mapping[str, Any], key: str) -> list[str]:
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FormatError(path, f"`{key}` is not a list of strings.", line=line)
    return value


def read_concept_jsonl(path: str | Path, encoding: str = UTF8) -> Iterator[Concept]:
    """Concepts of a JSON-lines file in file order; blank lines are skipped.

    Raises FormatError for a line that is not an object, has no id or name, or a value of the wrong kind.
    """
    for line, record in read_jsonl(path, encoding):
        scispacy = "concept_id" in record
        id_key, name_key, synonyms_key = (
            ("concept_id", "canonical_name", "aliases") if scispacy else ("id", "name", "synonyms")
        )
        definition = record.get("definition")
        if definition is not None and not isinstance(definition, str):
            raise FormatError(path, "`definition` is not a string.", line=line)
        yield checked_concept(
            path,
            line,
            _text(path, line, record, id_key),
            [_text(path, line, record, name_key), *_texts(path, line, record, synonyms_key)],
            types=_texts(path, line, record, "types"),
            definition=definition,
            alternative_ids=_texts(path, line, record, "alternative_ids"),
            xrefs=_texts(path, line, record, "xrefs"),
        )
