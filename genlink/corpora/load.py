"""Corpora of any known format: find the format, read, check."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from genlink.corpora import readers
from genlink.corpora.offsets import offset_problems
from genlink.corpora.sniff import sniff_format
from genlink.errors import CorpusError, UsageError
from genlink.schema import Document

__all__ = ["FORMATS", "load_corpus", "read_corpus"]

_LOG = logging.getLogger(__name__)


class _Reader(Protocol):
    def __call__(self, path: str | Path, *, encoding: str | None = None) -> Iterator[Document]: ...


FORMATS: dict[str, _Reader] = {
    "pubtator": readers.read_pubtator,
    "bioc-xml": readers.read_bioc_xml,
    "bioc-json": readers.read_bioc_json,
    "bigbio": readers.read_bigbio,
    "biosyn": readers.read_biosyn,
    "phrases": readers.read_phrases,
    "jsonl": readers.read_json_lines,
}
"""The reader of each format, by the name that ``format`` and ``--format`` take."""


def read_corpus(path: str | Path, format: str = "auto", *, encoding: str | None = None) -> Iterator[Document]:
    """Iterate over the documents of a corpus, which is not checked.

    ``format`` is one of ``FORMATS``, or "auto" to go by the first line. ``encoding`` overrides the format's own.

    Raises UsageError for an unknown format, and as the reader of the format does.
    """
    if format == "auto":
        format = sniff_format(path)
    if format not in FORMATS:
        raise UsageError(f"{format}: unknown corpus format. Known: {', '.join(['auto', *FORMATS])}.")
    return FORMATS[format](path, encoding=encoding)


def load_corpus(
    path: str | Path, format: str = "auto", *, encoding: str | None = None, check_offsets: bool = True
) -> list[Document]:
    """The documents of a corpus.

    Raises CorpusError if there are no mentions at all and, with ``check_offsets``, if the text of a mention is not
    what its spans cover. Harmless problems (``OffsetProblem.harmless``) are logged, not refused.
    """
    documents = list(read_corpus(path, format, encoding=encoding))
    if not any(document.mentions for document in documents):
        raise CorpusError(f"{path}: no mentions in {len(documents)} documents. Is this the annotated file?")
    if check_offsets:
        problems = [problem for document in documents for problem in offset_problems(document)]
        grave = [problem for problem in problems if not problem.harmless]
        if grave:
            more = f" ({len(grave) - 1} more)" if len(grave) > 1 else ""
            raise CorpusError(
                f"{path}: {grave[0]}{more}. Is this the text that was annotated, in the right encoding? "
                "`genlink corpus info` lists every such mention."
            )
        for problem in problems:
            _LOG.warning("%s: %s.", path, problem)
    return documents
