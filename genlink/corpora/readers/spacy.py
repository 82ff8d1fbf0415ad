"""Texts with spans as JSON: what spaCy's ``Doc.to_json()`` gives (https://spacy.io/api/doc#to_json), or bare offsets.

    {"text": "Fever and rash.", "ents": [{"start": 0, "end": 5, "label": "Disease", "kb_id": "D005334"}]}
    {"text": "Fever and rash.", "spans": [[0, 5], [10, 14]]}

A file holds one such object, a list of them, or one a line. Offsets are half open and count characters. ``id`` of a
text, ``label`` and ``kb_id`` (gold ids, in the notation of PubTator) may be missing; other keys are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genlink.corpora.ids import parse_gold, unique_document_id
from genlink.corpora.readers.records import list_of, required, spans_of
from genlink.errors import FormatError
from genlink.files import read_json, read_jsonl, read_lines
from genlink.schema import Document, Mention

__all__ = ["read_spacy", "spacy_records"]


def spacy_records(path: str | Path, encoding: str | None = None) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Yield (line, object); the line is None where the file is one object over several lines, or a list."""
    path = Path(path)
    first = next((line for _, line in read_lines(path, encoding or "utf-8-sig") if line.strip()), "").strip()
    if not first or (first.startswith("{") and first.endswith("}")):
        yield from read_jsonl(path, encoding or "utf-8-sig")
        return
    value = read_json(path, encoding or "utf-8-sig")
    yield from ((None, record) for record in list_of(value if isinstance(value, list) else [value], dict, "file", path))


def read_spacy(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the texts of a file, gzipped or not, in its order; where they have no ids, these are running numbers.

    Raises FormatError for an object that lacks something.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    for number, (line, record) in enumerate(spacy_records(path, encoding), start=1):
        text = required(record, "text", str, path, line)
        document_id = unique_document_id(str(record.get("id") or number), seen)
        if "ents" in record:
            ents = list_of(required(record, "ents", list, path, line), dict, "ents", path, line)
            drafts = [_draft(ent, path, line) for ent in ents]
        else:
            found = spans_of(required(record, "spans", list, path, line), "spans", path, line)
            drafts = [(span, None, None) for span in found]
        mentions = (
            Mention(text, (span,), text[slice(*span)], document_id, str(i), label, gold)
            for i, (span, label, gold) in enumerate(drafts)
        )
        yield Document(document_id, text, tuple(mentions))


def _draft(
    ent: dict[str, Any], path: Path, line: int | None
) -> tuple[tuple[int, int], str | None, tuple[frozenset[str], ...] | None]:
    span = required(ent, "start", int, path, line), required(ent, "end", int, path, line)
    label, kb_id = (required({key: ent.get(key) or ""}, key, str, path, line) for key in ("label", "kb_id"))
    if not 0 <= span[0] < span[1]:
        problem = f"`ents` holds the span {span[0]} to {span[1]}."
        raise FormatError(path, problem, line=line, advice="Expected 0 <= start < end.")
    return span, label or None, parse_gold(kb_id)
