"""Whether mentions are where their file says."""

from __future__ import annotations

from dataclasses import dataclass

from genlink.schema import Document, Mention

__all__ = ["OffsetProblem", "offset_problems", "text_at"]

# How corpora spell the gaps of a discontinuous mention; the second is CRAFT's.
_GAPS = (" ", " ... ")


@dataclass(frozen=True, slots=True)
class OffsetProblem:
    """A mention whose text is not what its spans cover.

    ``found`` is the text at the spans, None where they cover none. ``harmless`` problems are worth a report and no
    more: the text differs in blanks at its ends alone (a mention of the NCBI disease corpus), or one of several spans
    is empty and the others cover the text (one of CRAFT).
    """

    document_id: str
    mention_id: str
    spans: tuple[tuple[int, int], ...]
    text: str
    found: str | None
    problem: str
    harmless: bool = False

    def __str__(self) -> str:
        where = ",".join(f"{start}-{end}" for start, end in self.spans)
        found = "" if self.found is None else f", the text there is {self.found!r}"
        return (
            f"document {self.document_id}, mention {self.mention_id} at {where}: {self.problem}: {self.text!r}{found}"
        )


def text_at(context: str, spans: tuple[tuple[int, int], ...], gap: str = " ") -> str:
    """What the spans cover; several are joined by one blank, or by ``gap``."""
    return gap.join(context[start:end] for start, end in spans)


def _problem(mention: Mention) -> OffsetProblem | None:
    def problem(what: str, found: str | None = None, harmless: bool = False) -> OffsetProblem:
        return OffsetProblem(
            mention.document_id, mention.mention_id, mention.spans, mention.text, found, what, harmless
        )

    if not mention.spans:
        return problem("no span")
    for start, end in mention.spans:
        if start < 0 or end > len(mention.context):
            return problem(f"span outside the text of {len(mention.context)} characters")
        if start > end:
            return problem("reversed span")
    readings = [text_at(mention.context, mention.spans, gap) for gap in _GAPS]
    agrees = mention.text.strip() in [reading.strip() for reading in readings]
    if any(start == end for start, end in mention.spans):
        return problem("empty span", readings[0] or None, agrees and bool(mention.text.strip()))
    return None if mention.text in readings else problem("text differs", readings[0], agrees)


def offset_problems(document: Document) -> list[OffsetProblem]:
    """Every mention of the document whose text differs from the text at its spans, or that has no proper span.

    Readers report such mentions and never repair them: a shifted offset means a wrong context, and only the owner of
    the file knows which of the two is right. The spans of a discontinuous mention may be joined by a blank or, as in
    CRAFT, by " ... ".
    """
    return [problem for mention in document.mentions if (problem := _problem(mention)) is not None]
