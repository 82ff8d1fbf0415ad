"""Corpora written in the two formats that GenLink can also read back without loss of offsets."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from genlink.corpora.ids import format_gold
from genlink.errors import CorpusError
from genlink.files import atomic_file
from genlink.schema import Document, Mention

__all__ = ["document_record", "text_output", "write_jsonl", "write_pubtator"]

# One blank for each, so that offsets stay.
_BREAKS = str.maketrans("\t\r\n", "   ")


@contextmanager
def text_output(path: str | Path) -> Iterator[IO[str]]:
    """A text file that replaces ``path`` when it is whole, gzipped if its name says so."""
    if Path(path).suffix != ".gz":
        with atomic_file(path) as file:
            yield file
        return
    with (
        atomic_file(path, "wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        yield text


def _mention_record(mention: Mention) -> dict[str, Any]:
    return {
        "id": mention.mention_id,
        "spans": [list(span) for span in mention.spans],
        "text": mention.text,
        "type": mention.type,
        "gold": None if mention.gold is None else [sorted(part) for part in mention.gold],
        "part_texts": list(mention.part_texts),
    }


def document_record(document: Document) -> dict[str, Any]:
    """A document as a line of GenLink's JSON lines has it."""
    return {
        "id": document.document_id,
        "text": document.text,
        "passages": [{"kind": p.kind, "start": p.start, "end": p.end} for p in document.passages],
        "mentions": [_mention_record(mention) for mention in document.mentions],
    }


def write_jsonl(path: str | Path, documents: Iterable[Document]) -> None:
    """Write documents as GenLink's JSON lines (``genlink.corpora.readers.jsonl``), atomically; ``.gz`` is gzipped."""
    with text_output(path) as file:
        for document in documents:
            file.write(json.dumps(document_record(document), ensure_ascii=False) + "\n")


def _pubtator_text(document: Document) -> list[str]:
    text, title = document.text.translate(_BREAKS), len(document.text)
    if document.passages and document.passages[0].start == 0:
        title = document.passages[0].end
    elif "\n" in document.text:
        title = document.text.index("\n")
    # Where no white space parts title and rest, PubTator's own character between the two would shift the offsets.
    if not 0 <= title < len(text) or text[title] != " ":
        title = len(text)
    lines = [f"{document.document_id}|t|{text[:title]}"]
    return lines if title == len(text) else [*lines, f"{document.document_id}|a|{text[title + 1 :]}"]


def _pubtator_mention(mention: Mention) -> str:
    where = f"document {mention.document_id}, mention {mention.mention_id}"
    if len(mention.spans) != 1:
        raise CorpusError(
            f"{where}: PubTator cannot hold a mention of {len(mention.spans)} spans. Write JSONL instead."
        )
    if any(re.search(r"[|\t\r\n]", part) for part in mention.part_texts):
        raise CorpusError(f"{where}: PubTator cannot hold these part texts. Write JSONL instead.")
    (start, end), text = mention.spans[0], mention.text.translate(_BREAKS)
    columns = [mention.document_id, str(start), str(end), text]
    columns += [(mention.type or "").translate(_BREAKS), format_gold(mention.gold), "|".join(mention.part_texts)]
    while len(columns) > 4 and not columns[-1]:
        columns.pop()
    return "\t".join(columns)


def write_pubtator(path: str | Path, documents: Iterable[Document]) -> None:
    """Write documents as PubTator (``genlink.corpora.readers.pubtator``), atomically; ``.gz`` is gzipped.

    The first passage becomes the title and the rest the abstract; without passages the first line is the title. Tabs
    and line ends become blanks, so that every offset stays. Mention ids are not kept: they are read back as running
    numbers.

    Raises CorpusError for what PubTator cannot hold: discontinuous mentions, separators within ids or part texts.
    """
    with text_output(path) as file:
        for document in documents:
            if (
                not re.fullmatch(r"[^|\t\r\n]+", document.document_id)
                or document.document_id.strip() != document.document_id
            ):
                raise CorpusError(
                    f"document id {document.document_id!r}: PubTator cannot hold it. Write JSONL instead."
                )
            lines = _pubtator_text(document) + [_pubtator_mention(mention) for mention in document.mentions]
            file.write("\n".join(lines) + "\n\n")
