"""Mentions marked in a text by double brackets, ``a history of [[asthma]]``, or by their spans.

``genlink link --to same`` writes the answer behind a bar: ``[[asthma|D001249]]``, ``[[gout and rash|D1,D2]]`` for a
composite, ``[[xyz|-1]]`` for NIL. What is read so has these ids as gold. Behind the last bar have to stand ids and
nothing else, each with a digit or a colon; any other bar is a part of the mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from genlink.corpora.ids import parse_gold
from genlink.errors import CorpusError
from genlink.schema import Document, Mention

__all__ = ["MARKED", "document_of_spans", "marked_document", "marks"]

MARKED = re.compile(r"\[\[(?!\s*\]\])(.+?)\]\]", re.DOTALL)

_ID = r"(?=[^\s|,;+]*[\d:])[^\s|,;+]+"
_IDS = re.compile(rf"{_ID}(?:[,+]{_ID})*")


def marks(text: str) -> Iterator[re.Match[str]]:
    """The marked mentions with their brackets: the last that open before two that close.

    Of three that open, ``[[[asthma]]]``, the first is text unless the mention closes it, as ``[[[18F]FDG]]`` does.
    """
    # Behind the last brackets that close, each that opens would be followed to the end of the text in vain.
    for match in MARKED.finditer(text, 0, text.rfind("]]") + 2):
        start, end = text.rindex("[[", match.start(), match.end()), match.end() - 2
        is_closed_within = text.count("]", start + 2, end) > text.count("[", start + 2, end)
        if start > match.start() and text[start - 1] == "[" and is_closed_within:
            start -= 1
        yield MARKED.match(text, start) or match


def marked_document(text: str, document_id: str = "text") -> Document:
    """A document from a text whose mentions stand in double brackets; neither the brackets nor ids are part of it.

    Mentions are numbered from 0. A text that marks nothing has no mentions; brackets around nothing are text.
    """
    spans, golds, pieces, at, length = [], [], [], 0, 0
    for match in marks(text):
        mention, ids = _without_ids(match[1])
        pieces += [text[at : match.start()], mention]
        start = length + match.start() - at
        length = start + len(mention)
        spans.append((start, length))
        golds.append(None if ids is None else parse_gold(ids))
        at = match.end()
    document = document_of_spans("".join([*pieces, text[at:]]), spans, document_id)
    labelled = (replace(mention, gold=gold) for mention, gold in zip(document.mentions, golds, strict=True))
    return replace(document, mentions=tuple(labelled))


def _without_ids(marked: str) -> tuple[str, str | None]:
    """What stands in the brackets, and the ids behind it; None where there are none."""
    mention, _, ids = marked.rpartition("|")
    return (mention, ids) if mention.strip() and _IDS.fullmatch(ids) else (marked, None)


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
