"""BioSyn's directories (Sung et al., ACL 2020): for each document ``NNN.concept`` beside its text ``NNN.txt``.

    10192393||15|26||DiseaseClass||skin tumour||D012878

BioSyn's scripts write the text as title, empty line, abstract, but copy the offsets of PubTator, which count one
character between the two. A text is therefore read both as it stands and without the empty line, and taken in the
reading in which more mentions are where their offsets say; as it stands if there is no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from genlink.corpora.ids import parse_gold
from genlink.corpora.offsets import offset_problems
from genlink.errors import DataError, FormatError
from genlink.files import read_lines
from genlink.schema import Document, Mention

__all__ = ["read_biosyn"]


def _text(path: Path, encoding: str) -> str:
    if not path.is_file():
        raise FormatError(
            path,
            "no such file: the text of a document.",
            advice="GenLink links mentions in context; use BioSyn's directories from before its own preprocessing.",
        )
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError:
        raise FormatError(path, f"not {encoding} text.", advice="Name its encoding (--encoding).") from None
    except LookupError:
        raise DataError(f"{encoding}: unknown encoding. Use a name such as utf-8, cp1252 or latin-1.") from None


def _mention(row: str, text: str, document_id: str, index: int, path: Path, line: int) -> Mention:
    fields = row.split("||")
    if len(fields) != 5:
        raise FormatError(
            path, f"{len(fields)} fields, expected 5.", line=line, advice="id||start|end||type||mention||concept id."
        )
    start, _, end = fields[1].partition("|")
    try:
        span = int(start), int(end)
    except ValueError:
        raise FormatError(path, f"offsets {fields[1]!r} are not `start|end`.", line=line) from None
    return Mention(
        context=text,
        spans=(span,),
        text=fields[3],
        document_id=document_id,
        mention_id=str(index),
        type=fields[2].strip() or None,
        gold=parse_gold(fields[4]),
        # BioSyn's own preprocessing writes the parts of a composite it has split in place of the mention.
        part_texts=tuple(fields[3].split("|")) if "|" in fields[3] else (),
    )


def _document(path: Path, encoding: str) -> Document:
    rows = [(line, row) for line, row in read_lines(path, encoding) if row.strip()]
    raw = _text(path.with_suffix(".txt"), encoding)

    def reading(text: str) -> Document:
        mentions = (_mention(row, text, path.stem, i, path, line) for i, (line, row) in enumerate(rows))
        return Document(path.stem, text, tuple(mentions))

    readings = [reading(text) for text in dict.fromkeys((raw, raw.replace("\n\n", "\n", 1)))]
    return min(readings, key=lambda document: len(offset_problems(document)))


def read_biosyn(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a BioSyn directory, in the order of their file names; the name is the document's id.

    Raises FormatError with the line of a malformed mention, and if a text is missing.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such directory. Expected a directory of .concept and .txt files.")
    files = sorted(path.glob("*.concept"))
    if not files:
        raise DataError(f"{path}: no .concept files in this directory.")
    for file in files:
        yield _document(file, encoding or "utf-8-sig")
