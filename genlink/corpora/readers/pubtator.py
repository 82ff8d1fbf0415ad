"""PubTator: the format of the NCBI disease corpus, BC5CDR and MedMentions.

    8528200|t|A title.
    8528200|a|An abstract.
    8528200<TAB>2<TAB>7<TAB>title<TAB>Disease<TAB>D009369
    8528200<TAB>CID<TAB>D003000<TAB>D009369

Offsets count in title + one character + abstract. A seventh column holds the texts of a composite's parts, joined by
``|``. A mention line that ends before the ids is unlabelled. Lines whose second column is a word are relations.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genlink.corpora.ids import parse_gold, unique_document_id
from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.schema import Document, Mention, Passage

__all__ = ["read_pubtator"]

_LOG = logging.getLogger(__name__)
_TEXT_LINE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_RELATION = re.compile(r"[A-Za-z][A-Za-z_-]*")
_EXPECTED = "Expected `id|t|title`, `id|a|abstract` or tab-separated id, start, end, text, type, concept ids."


@dataclass
class _Draft:
    """A document while its lines are read; mention lines are kept until its text is complete."""

    file_id: str
    document_id: str
    title: str
    abstract: str | None = None
    rows: list[tuple[int, list[str]]] = field(default_factory=list)

    def finished(self, path: Path) -> Document:
        text, passages = self.title, [Passage("title", 0, len(self.title))]
        if self.abstract is not None:
            text = f"{self.title} {self.abstract}"
            passages.append(Passage("abstract", len(self.title) + 1, len(text)))
        mentions = (_mention(path, line, row, text, self.document_id, i) for i, (line, row) in enumerate(self.rows))
        return Document(self.document_id, text, tuple(mentions), tuple(passages))


def _mention(path: Path, line: int, row: list[str], text: str, document_id: str, index: int) -> Mention:
    try:
        start, end = int(row[1]), int(row[2])
    except ValueError:
        raise FormatError(path, f"offsets {row[1]!r}, {row[2]!r} are not numbers.", line=line) from None
    columns = row + [""] * (7 - len(row))
    return Mention(
        context=text,
        spans=((start, end),),
        text=row[3],
        document_id=document_id,
        mention_id=str(index),
        type=columns[4].strip() or None,
        gold=parse_gold(columns[5]),
        part_texts=tuple(columns[6].split("|")) if columns[6].strip() else (),
    )


def read_pubtator(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a PubTator file, gzipped or not, in its order.

    A document id that occurs again gets ``#2``, ``#3``, ... Relation lines are skipped; their number is logged.

    Raises FormatError with the line of anything else that is not PubTator.
    """
    path = Path(path)
    seen: dict[str, int] = {}
    draft: _Draft | None = None
    relations = 0
    for line, content in read_lines(path, encoding or "utf-8-sig"):
        if not content.strip():
            continue
        match = _TEXT_LINE.fullmatch(content)
        if match and match[2] == "t":
            if draft is not None:
                yield draft.finished(path)
            file_id = match[1].strip()
            draft = _Draft(file_id, unique_document_id(file_id, seen), match[3])
            continue
        row = content.split("\t")
        file_id = match[1].strip() if match else row[0].strip()
        if not match and len(row) == 1:
            raise FormatError(path, "not a PubTator line.", line=line, advice=_EXPECTED)
        if draft is None or draft.file_id != file_id:
            raise FormatError(path, f"document {file_id} has no title line before this line.", line=line)
        if match:
            if draft.abstract is not None:
                raise FormatError(path, f"document {file_id} has a second abstract.", line=line)
            draft.abstract = match[3]
        elif _RELATION.fullmatch(row[1]):
            relations += 1
        elif len(row) < 4:
            raise FormatError(path, f"{len(row)} columns, at least 4 needed.", line=line, advice=_EXPECTED)
        else:
            draft.rows.append((line, row))
    if draft is not None:
        yield draft.finished(path)
    if relations:
        _LOG.info("%s: skipped %d relation lines.", path, relations)
