"""A row of a table as a document, and the answer to its mention as cells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlink.errors import FormatError
from genlink.schema import Candidate, Document, Mention, Prediction

__all__ = ["ADDED", "answer_cells", "cell_text", "chosen_candidates", "least_probability", "row_document"]

ADDED = ("linked_id", "linked_name", "linked_by", "linked_score", "linked_probability", "linked_nil")
"""The columns that answers take: three texts, two numbers, and a truth value."""


def row_document(table: str | Path, number: int, mention: object, context: object, offset: object) -> Document:
    """The document of a row, by its cells: with one mention, or none where that cell is empty.

    The text is the cell of the context. There the mention is looked for, as a word of its own if it is one somewhere;
    if it is not there, it is linked without context. Raises FormatError, with the name of the ``table``, for an offset
    at which the mention does not stand.
    """
    text, context = cell_text(mention).strip(), cell_text(context)
    if not text:
        return Document(str(number), context)
    start = _find(text, context)
    if offset is not None and cell_text(offset).strip():
        try:
            start = int(cell_text(offset))
        except ValueError:
            raise FormatError(table, f"row {number}: offset {offset!r} is no whole number.") from None
        if start < 0 or context[start : start + len(text)] != text:
            raise FormatError(
                table,
                f"row {number}: at offset {start} the context has {context[max(0, start) :][: len(text)]!r}, not "
                f"{text!r}.",
                advice="Offsets count characters from the start of the context, from 0.",
            )
    if start is None:
        context, start = text, 0
    span = (start, start + len(text))
    return Document(str(number), context, (Mention(context, (span,), text, str(number), "0"),))


def _find(mention: str, context: str) -> int | None:
    """Where a mention first stands in a context, as words of their own if it does so anywhere."""
    first = at = context.find(mention)
    while at >= 0:
        around = context[at - 1 : at] + context[at + len(mention) : at + len(mention) + 1]
        if not any(map(str.isalnum, around)):
            return at
        at = context.find(mention, at + 1)
    return first if first >= 0 else None


def cell_text(cell: object) -> str:
    """A cell as text; None is an empty one."""
    return "" if cell is None else str(cell)


def chosen_candidates(prediction: Prediction) -> list[Candidate]:
    """The concepts of the best name; none where nothing was found, or the answer is NIL."""
    best = prediction.best
    return [] if best is None or prediction.is_nil else [c for c in prediction.candidates if c.rank == best.rank]


def least_probability(predictions: Iterable[Prediction]) -> float | None:
    """That of the first rank; of several parts that of the least probable. None without a calibration."""
    known = [p.best.probability for p in predictions if p.best is not None and p.best.probability is not None]
    return min(known, default=None)


def answer_cells(predictions: Iterable[Prediction]) -> tuple[Any, ...]:
    """The columns ``ADDED`` for one mention, all of them empty where there is none; several values joined by |."""
    predictions = list(predictions)
    if not predictions:
        return (None,) * len(ADDED)
    chosen = [candidate for prediction in predictions for candidate in chosen_candidates(prediction)]
    scores = [prediction.best.score for prediction in predictions if prediction.best is not None]
    texts = ("|".join(getattr(c, field) for c in chosen) or None for field in ("concept_id", "concept_name", "name"))
    return *texts, min(scores, default=None), least_probability(predictions), not chosen
