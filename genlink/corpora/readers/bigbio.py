"""BigBIO's knowledge-base schema as JSON lines (Fries et al. 2022, BigBIO), one document a line.

{"document_id": "d1",
 "passages": [{"type": "title", "text": ["Fever and rash."], "offsets": [[0, 15]]}],
 "entities": [{"id": "T1", "type": "Disease", "text": ["Fever"], "offsets": [[0, 5]],
               "normalized": [{"db_name": "MESH", "db_id": "D005334"}]}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genlink.corpora.ids import parse_gold, unique_document_id
from genlink.corpora.readers.records import assembled, list_of, mention_ids, required, spans_of
from genlink.errors import FormatError
from genlink.files import read_jsonl
from genlink.schema import Document, Mention, Passage

__all__ = ["read_bigbio"]


def _gold(record: dict[str, Any], path: Path, line: int) -> tuple[frozenset[str], ...] | None:
    parts: list[frozenset[str]] = []
    for entry in list_of(record.get("normalized") or (), dict, "normalized", path, line):
        vocabulary = str(entry.get("db_name") or "")
        for part in parse_gold(str(entry.get("db_id") or "")) or ():
            parts.append(frozenset(i if ":" in i or not vocabulary else f"{vocabulary}:{i}" for i in part))
    return tuple(parts) or None


def _pieces(passage: dict[str, Any], path: Path, line: int) -> list[tuple[int, str]]:
    texts = list_of(required(passage, "text", list, path, line), str, "text", path, line)
    offsets = spans_of(required(passage, "offsets", list, path, line), "offsets", path, line)
    if len(texts) != len(offsets) or not texts:
        raise FormatError(path, f"a passage has {len(texts)} texts for {len(offsets)} offsets.", line=line)
    return [(start, text) for (start, _), text in zip(offsets, texts, strict=True)]


def read_bigbio(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a BigBIO file, gzipped or not, in its order.

    Each entry of ``normalized`` is a part of its own, since that is how BigBIO spells composite mentions. An id without
    a prefix gets ``db_name`` as prefix (``MESH:D005334``). An empty ``normalized`` means unlabelled: the schema does
    not tell it from NIL. A document id that occurs again gets ``#2``, ``#3``, ...

    Raises FormatError with the line of a record that lacks something.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    for line, record in read_jsonl(path, encoding or "utf-8-sig"):
        document_id = unique_document_id(required(record, "document_id", str, path, line), seen)
        pieces: list[tuple[int, str]] = []
        passages: list[Passage] = []
        for passage in list_of(required(record, "passages", list, path, line), dict, "passages", path, line):
            found = _pieces(passage, path, line)
            pieces += found
            passages.append(Passage(str(passage.get("type", "")), found[0][0], found[-1][0] + len(found[-1][1])))
        text = assembled(pieces, path, document_id, line)
        entities = list_of(required(record, "entities", list, path, line), dict, "entities", path, line)
        ids = mention_ids([str(entity.get("id") or "") for entity in entities])
        mentions = tuple(
            Mention(
                context=text,
                spans=spans_of(required(entity, "offsets", list, path, line), "offsets", path, line),
                text=" ".join(list_of(required(entity, "text", list, path, line), str, "text", path, line)),
                document_id=document_id,
                mention_id=mention_id,
                type=required({"type": entity.get("type") or ""}, "type", str, path, line) or None,
                gold=_gold(entity, path, line),
            )
            for mention_id, entity in zip(ids, entities, strict=True)
        )
        yield Document(document_id, text, mentions, tuple(passages))
