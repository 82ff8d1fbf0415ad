"""What ``genlink link`` reads: corpora, texts and tables, each a stream of documents that can be begun again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlink.bulk.table import Columns, column_names, table_documents, table_form
from genlink.corpora import FORMATS, read_corpus, sniff_format
from genlink.errors import FormatError, UsageError
from genlink.schema import Document

__all__ = ["PLAIN", "Source", "chunks", "corpus_source", "source_of", "table_source", "text_source"]

PLAIN = ("text", "lines")
"""Formats whose mentions are found where none is marked."""

# A chunk ends after a document that takes it over one of these. What is in memory at a time follows from them.
_CHUNK_DOCUMENTS = 4096
_CHUNK_CHARACTERS = 1 << 22


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of documents: where it lies (None: in memory), what to call it, its format, and how to read it.

    ``read`` begins anew each time that it is called. ``columns`` are those of a table.
    """

    path: Path | None
    name: str
    format: str
    read: Callable[[], Iterator[Document]]
    encoding: str | None = None
    columns: Columns | None = None

    def facts(self) -> dict[str, Any]:
        """What it reads and how, but not the bytes themselves."""
        columns = self.columns
        named = None if columns is None else [columns.mention, columns.context, columns.offset]
        return {"format": self.format, "encoding": self.encoding, "columns": named}


def text_source(document: Document) -> Source:
    """One document that is in memory already."""
    return Source(None, "--text", "text", lambda: iter([document]))


def corpus_source(path: Path, format: str = "auto", encoding: str | None = None, name: str | None = None) -> Source:
    """A corpus or a text; with "auto", what begins like no corpus is a text if its name ends in ``.txt``.

    ``name`` is what to call it in messages, where it is not the path; so is standard input, which has any name.

    Raises UsageError for an unknown format, FormatError where the format cannot be told.
    """
    if format == "auto":
        try:
            format = sniff_format(path)
        except FormatError:
            if path.is_dir() or not (name or path.name).removesuffix(".gz").endswith((".txt", "standard input")):
                raise
            format = "text"
    if format not in FORMATS:
        raise UsageError(f"{format}: unknown format of the input. Known: {', '.join(['auto', *FORMATS])}.")
    return Source(path, name or str(path), format, lambda: read_corpus(path, format, encoding=encoding), encoding)


def table_source(
    path: Path, columns: Columns, format: str = "auto", encoding: str | None = None, name: str | None = None
) -> Source:
    """A table whose rows are documents: csv, tsv or parquet, with "auto" by the ending of its name."""
    form = table_form(name or path.name) if format == "auto" else table_form(f"table.{format}")
    return Source(
        path, name or str(path), form, lambda: table_documents(path, form, columns, encoding), encoding, columns
    )


def source_of(
    path: Path,
    format: str = "auto",
    encoding: str | None = None,
    columns: Columns | None = None,
    name: str | None = None,
) -> Source:
    """A file of any kind: a table where its ``columns`` are named, else a corpus or a text.

    Raises as ``table_source`` and ``corpus_source`` do, and UsageError for a table whose columns are not named.
    """
    if columns is not None:
        return table_source(path, columns, format, encoding, name)
    if format in ("csv", "tsv", "parquet"):
        raise _no_column(path, format, encoding, name)
    try:
        return corpus_source(path, format, encoding, name)
    except FormatError as error:  # a corpus may have the name of a table, so its beginning is looked at first
        try:
            form = table_form(name or path.name)
        except UsageError:
            raise error from None
        raise _no_column(path, form, encoding, name) from None


def _no_column(path: Path, form: str, encoding: str | None, name: str | None) -> UsageError:
    columns = ", ".join(column_names(path, form, encoding))
    return UsageError(f"{name or path}: is a table. Say which column has its mentions: --column. It has: {columns}.")


def chunks(documents: Iterator[Document], mentions: int) -> Iterator[list[Document]]:
    """The documents in lists of at least so many ``mentions``, fewer where there are many or long documents.

    Where a chunk ends depends on the documents alone.
    """
    chunk: list[Document] = []
    n_mentions = n_characters = 0
    for document in documents:
        chunk.append(document)
        n_mentions += len(document.mentions)
        n_characters += len(document.text)
        if n_mentions >= mentions or n_characters >= _CHUNK_CHARACTERS or len(chunk) >= _CHUNK_DOCUMENTS:
            yield chunk
            chunk, n_mentions, n_characters = [], 0, 0
    if chunk:
        yield chunk
