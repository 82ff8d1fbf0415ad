"""Mentions marked in a text by double brackets, ``a history of [[asthma]]``, or by their spans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from genlink.errors import CorpusError
from genlink.schema import Document, Mention

__all__ = ["MARKED", "document_of_spans", "marked_document", "marks"]

MARKED = re.compile(r"\[\[(?!\s*\]\])(.+?)\]\]", re.DOTALL)


def marks(text: str) -> Iterator[re.Match[str]]:
    """The marked mentions with their brackets."""
    # Behind the last brackets that close, each that opens would be followed to the end of the text in vain.
    return MARKED.finditer(text, 0, text.rfind("]]") + 2)


def marked_document(text: str, document_id: str = "text") -> Document:
    """A document from a text whose mentions stand in double brackets; the brackets are not part of it.

    Mentions are numbered from 0. A text that marks nothing has no mentions; brackets around nothing are text.
    """
    spans, pieces, at, length = [], [], 0, 0
    for match in marks(text):
        pieces += [text[at : match.start()], match[1]]
        start = length + match.start() - at
        length = start + len(match[1])
        spans.append((start, length))
        at = match.end()
    return document_of_spans("".join([*pieces, text[at:]]), spans, document_id)


def document_of_spans(text: str, spans: Sequence[tuple[int, int]], document_id: str = "text") -> Document:
    """The document of a text with a mention at each span, half open, in characters; they are numbered from 0.

    Raises CorpusError for a span that is empty or not inside the text.
    """
    for start, end in spans:
        if not 0 <= start < end <= len(text):
            raise CorpusError(f"span {start} to {end}: not a piece of a text of {len(text)} characters.")
    mentions = (
        Mention(text, ((start, end),), text[start:end], document_id=document_id, mention_id=str(i))
        for i, (start, end) in enumerate(spans)
    )
    return Document(document_id, text, tuple(mentions))
