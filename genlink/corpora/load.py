"""Corpora of any known format: find the format, read, check."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genlink.corpora import readers
from genlink.corpora.offsets import OffsetProblem, offset_problems
from genlink.corpora.sniff import sniff_format
from genlink.errors import CorpusError, UsageError
from genlink.schema import Document

__all__ = ["FORMATS", "Extent", "load_corpus", "read_corpus", "survey"]

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
    "spacy": readers.read_spacy,
    "bio": readers.read_bio,
    "text": readers.read_text,
    "lines": readers.read_text_lines,
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


@dataclass(frozen=True, slots=True)
class Extent:
    """How many documents and mentions a corpus has."""

    documents: int
    mentions: int


def survey(path: str | Path, documents: Iterable[Document], *, check_offsets: bool = True) -> Extent:
    """Count documents and mentions in one pass.

    Raises CorpusError if, with ``check_offsets``, the text of a mention is not what its spans cover. Harmless problems
    (``OffsetProblem.harmless``) are logged, not refused.
    """
    n_documents = n_mentions = n_grave = 0
    first: OffsetProblem | None = None
    for document in documents:
        n_documents += 1
        n_mentions += len(document.mentions)
        for problem in offset_problems(document) if check_offsets else ():
            if problem.harmless:
                _LOG.warning("%s: %s.", path, problem)
            else:
                first, n_grave = first or problem, n_grave + 1
    if first is not None:
        more = f" ({n_grave - 1} more)" if n_grave > 1 else ""
        raise CorpusError(
            f"{path}: {first}{more}. Is this the text that was annotated, in the right encoding? "
            "`genlink corpus info` lists every such mention."
        )
    return Extent(n_documents, n_mentions)


def load_corpus(
    path: str | Path, format: str = "auto", *, encoding: str | None = None, check_offsets: bool = True
) -> list[Document]:
    """The documents of a corpus, checked as by ``survey``. Raises CorpusError if there are no mentions at all."""
    documents = list(read_corpus(path, format, encoding=encoding))
    if not survey(path, documents, check_offsets=check_offsets).mentions:
        raise CorpusError(f"{path}: no mentions in {len(documents)} documents. Is this the annotated file?")
    return documents
