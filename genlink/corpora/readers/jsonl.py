"""GenLink's own JSON lines, one document a line, and the near relative in which CRAFT is kept.

    {"id": "d1", "text": "Fever and rash.", "passages": [{"kind": "title", "start": 0, "end": 15}],
     "mentions": [{"id": "0", "spans": [[0, 5]], "text": "Fever", "type": "Disease", "gold": [["D005334"]],
                   "part_texts": []}]}

``gold`` has a list of accepted ids for each part, an empty list for a part in no knowledge base; null or missing, it
means unlabelled. Only ``id`` and ``text``, and ``spans`` and ``text`` of a mention, are obligatory.

    {"id": "d1", "text": "Fever and rash.", "entities": [{"type": "HP", "spans": [[0, 5]], "text": "Fever",
     "id": "HP:0001945"}]}

With ``entities`` instead of ``mentions``, ``id`` is the concept's id, or several in the notation of PubTator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genlink.corpora.ids import NIL_IDS, parse_gold, unique_document_id
from genlink.corpora.readers.records import list_of, mention_ids, required, spans_of
from genlink.errors import FormatError
from genlink.files import read_jsonl
from genlink.schema import Document, Mention, Passage

__all__ = ["read_json_lines"]


def _gold(record: dict[str, Any], path: Path, line: int) -> tuple[frozenset[str], ...] | None:
    if record.get("gold") is None:
        return None
    parts = list_of(required(record, "gold", list, path, line), list, "gold", path, line)
    gold = [frozenset(i.strip() for i in list_of(part, str, "gold", path, line)) for part in parts]
    return tuple(part - NIL_IDS - {""} for part in gold) or (frozenset(),)


def _mention(
    record: dict[str, Any], own: bool, text: str, document_id: str, mention_id: str, path: Path, line: int
) -> Mention:
    kind = record.get("type")
    if kind is not None and not isinstance(kind, str):
        raise FormatError(path, f"`type` is {type(kind).__name__}, expected a string.", line=line)
    if own:
        gold = _gold(record, path, line)
        part_texts = list_of(record.get("part_texts") or (), str, "part_texts", path, line)
    else:
        gold = None if record.get("id") is None else parse_gold(required(record, "id", str, path, line))
        part_texts = []
    return Mention(
        context=text,
        spans=spans_of(required(record, "spans", list, path, line), "spans", path, line),
        text=required(record, "text", str, path, line),
        document_id=document_id,
        mention_id=mention_id,
        type=kind,
        gold=gold,
        part_texts=tuple(part_texts),
    )


def _passage(record: dict[str, Any], path: Path, line: int) -> Passage:
    return Passage(
        required(record, "kind", str, path, line),
        required(record, "start", int, path, line),
        required(record, "end", int, path, line),
    )


def read_json_lines(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a JSON-lines corpus, gzipped or not, in its order.

    A document id that occurs again gets ``#2``, ``#3``, ... Mention ids are those of the file where they are given
    and unique, else running numbers.

    Raises FormatError with the line of a record that lacks something.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    for line, record in read_jsonl(path, encoding or "utf-8-sig"):
        text = required(record, "text", str, path, line)
        document_id = unique_document_id(required(record, "id", str, path, line), seen)
        own = "entities" not in record
        key = "mentions" if own else "entities"
        records = list_of(required({key: [], **record}, key, list, path, line), dict, key, path, line)
        ids = mention_ids([str(r.get("id", "")) if own else "" for r in records])
        mentions = tuple(
            _mention(mention, own, text, document_id, mention_id, path, line)
            for mention_id, mention in zip(ids, records, strict=True)
        )
        passages = list_of(record.get("passages") or (), dict, "passages", path, line)
        yield Document(document_id, text, mentions, tuple(_passage(p, path, line) for p in passages))
