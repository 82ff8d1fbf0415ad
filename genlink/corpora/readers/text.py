"""Plain text, as one document or as one a line. Mentions may be marked by double brackets (``genlink.corpora.marked``).

Offsets count characters of the text without these brackets; however a line ends in the file, that is one character.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from genlink.corpora.marked import marked_document
from genlink.files import read_lines
from genlink.schema import Document

__all__ = ["read_text", "read_text_lines"]


def read_text(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield one document, the whole text of a file, gzipped or not; its id is ``text``."""
    yield marked_document("\n".join(line for _, line in read_lines(path, encoding or "utf-8-sig")))


def read_text_lines(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield a document for each line that is not blank; its id is the number of the line, from one."""
    for number, line in read_lines(path, encoding or "utf-8-sig"):
        if line.strip():
            yield marked_document(line, str(number))
