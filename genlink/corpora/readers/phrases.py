"""Phrases without context, a line each: concept id, its preferred label, phrase, separated by tabs.

    22298006<TAB>Myocardial infarction<TAB>heart attack

This is the form of AskAPatient (Limsopatham and Collier 2016). The phrase is the document and its one mention. The
label is left aside: it is the answer. AskAPatient is cp1252; for this format alone, what is not UTF-8 is read so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from genlink.corpora.ids import parse_gold
from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.schema import Document, Mention, Passage

__all__ = ["read_phrases"]

_LOG = logging.getLogger(__name__)
_FALLBACK = "cp1252"


def _lines(path: Path, encoding: str | None) -> list[tuple[int, str]]:
    if encoding:
        return list(read_lines(path, encoding))
    try:
        return list(read_lines(path))
    except FormatError:
        lines = list(read_lines(path, _FALLBACK))
        _LOG.warning("%s: not UTF-8, read as %s.", path, _FALLBACK)
        return lines


def read_phrases(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield a document for each phrase; its id is the number of its line. Blank lines are skipped.

    Raises FormatError with the line of anything but three columns and of an empty phrase.
    """
    path = Path(path)
    for line, row in _lines(path, encoding):
        if not row.strip():
            continue
        columns = row.split("\t")
        if len(columns) != 3:
            raise FormatError(
                path, f"{len(columns)} columns, expected 3.", line=line, advice="Concept id, label, phrase, by tabs."
            )
        phrase = columns[2]
        if not phrase.strip():
            raise FormatError(path, "empty phrase.", line=line)
        whole = (0, len(phrase))
        mention = Mention(phrase, (whole,), phrase, str(line), "0", gold=parse_gold(columns[0]))
        yield Document(str(line), phrase, (mention,), (Passage("phrase", *whole),))
