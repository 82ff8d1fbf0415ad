"""Tagged tokens, a token a line (CoNLL 2003 and its kin), in the schemes BIO, BIOES and BILOU.

    Silver<TAB>B-Disease<TAB>MESH:D900001
    fever<TAB>I-Disease<TAB>_
    again<TAB>O<TAB>_

Columns are parted by tabs or else by blanks. The token is the first, the tag the last one of the first line that looks
like a tag. The column behind it, if there is one, has gold ids in the notation of PubTator, ``_`` where there is none.
Sentences end with a blank line. Documents begin with ``-DOCSTART-``; without that, each sentence is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from genlink.corpora.ids import parse_gold
from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.schema import Document, Mention

__all__ = ["DOCSTART", "TAG", "TaggedLine", "bio_document", "read_bio", "tagged_lines", "tagged_sections"]

DOCSTART = "-DOCSTART-"
TAG = re.compile(r"O|[BILUES](?:-\S+)?")


@dataclass(frozen=True, slots=True)
class TaggedLine:
    """A line of the file: its number from one, its text, its columns (none if blank), and which is the tag's."""

    number: int
    text: str
    columns: tuple[str, ...]
    tag_column: int

    @property
    def is_token(self) -> bool:
        """Whether it has a token: a blank line has none, and neither has the beginning of a document."""
        return bool(self.columns) and self.columns[0] != DOCSTART

    @property
    def separator(self) -> str:
        """What parts the columns."""
        return "\t" if "\t" in self.text else " "


def tagged_lines(path: str | Path, encoding: str | None = None) -> Iterator[TaggedLine]:
    """Every line of a file of tagged tokens. Raises FormatError for one without a tag where the first has it."""
    tag_column = 0
    for number, text in read_lines(path, encoding or "utf-8-sig"):
        columns = tuple(text.split("\t") if "\t" in text else text.split())
        if not text.strip() or columns[0] == DOCSTART:
            yield TaggedLine(number, text, columns if text.strip() else (), tag_column)
            continue
        if not tag_column:
            tag_column = max((i for i, column in enumerate(columns) if i and TAG.fullmatch(column)), default=0)
        if not (tag_column and tag_column < len(columns) and TAG.fullmatch(columns[tag_column]) and columns[0]):
            where = f"in column {tag_column + 1}" if tag_column else "behind a token"
            raise FormatError(path, f"no tag {where}.", line=number, advice="Expected O, B-..., I-..., as in CoNLL.")
        yield TaggedLine(number, text, columns, tag_column)


def tagged_sections(lines: Iterable[TaggedLine]) -> Iterator[list[TaggedLine]]:
    """The lines of one document after another, all of them; a section without a token is no document."""
    section: list[TaggedLine] = []
    has_starts = False
    for line in lines:
        is_start = bool(line.columns) and line.columns[0] == DOCSTART
        has_starts = has_starts or is_start
        ends = is_start if has_starts else line.is_token and bool(section) and not section[-1].is_token
        if ends and section:
            yield section
            section = []
        section.append(line)
    if section:
        yield section


def bio_document(section: Iterable[TaggedLine], document_id: str) -> tuple[Document, dict[int, int]]:
    """The document of a section, and for the numbers of the lines on which mentions begin the index of the mention.

    Tokens are joined by blanks, sentences by line ends.
    """
    text, gap = "", ""
    starts: dict[int, int] = {}
    drafts: list[tuple[int, int, str, str]] = []  # start, end, type, ids
    open_type: str | None = None
    for line in section:
        if not line.is_token:
            gap, open_type = ("\n" if text else ""), None
            continue
        text += gap
        start, text, gap = len(text), text + line.columns[0], " "
        prefix, _, kind = line.columns[line.tag_column].partition("-")
        if prefix == "O":
            open_type = None
            continue
        if prefix in "BSU" or open_type != kind:
            starts[line.number] = len(drafts)
            ids = line.columns[line.tag_column + 1] if len(line.columns) > line.tag_column + 1 else ""
            drafts.append((start, len(text), kind, "" if ids == "_" else ids))
        else:
            begun = drafts[-1]
            drafts[-1] = (begun[0], len(text), *begun[2:])
        open_type = None if prefix in "ELSU" else kind
    mentions = tuple(
        Mention(text, ((start, end),), text[start:end], document_id, str(i), kind or None, parse_gold(ids))
        for i, (start, end, kind, ids) in enumerate(drafts)
    )
    return Document(document_id, text, mentions), starts


def read_bio(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a file of tagged tokens, gzipped or not; their ids are running numbers, from one.

    A mention that begins with I, as in CoNLL 2003, begins there. Raises FormatError with the line of a missing tag.
    """
    number = 0
    for section in tagged_sections(tagged_lines(path, encoding)):
        if any(line.is_token for line in section):
            number += 1
            yield bio_document(section, str(number))[0]
