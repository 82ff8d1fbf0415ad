"""A document with its answers, and whatever a user has as documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genlink.corpora.marked import marked_document
from genlink.errors import UsageError
from genlink.schema import Document, Prediction

__all__ = ["Input", "Linked", "as_documents"]

Input = str | Document | Sequence[str | Document]


@dataclass(frozen=True, slots=True)
class Linked:
    """A document and the predictions of its mentions, in order; a composite that was split has several."""

    document: Document
    predictions: tuple[Prediction, ...]


def as_documents(inputs: Input, found: Callable[[Document], Document]) -> list[Document]:
    """Documents as they are; a text becomes one, whose id is its place among the ``inputs``.

    Mentions of a text stand in double brackets; one that marks none is given to ``found``, which gives it mentions.
    Raises UsageError for anything that is neither a text nor a document.
    """
    documents = []
    for i, item in enumerate(inputs if isinstance(inputs, Sequence) and not isinstance(inputs, str) else [inputs]):
        if isinstance(item, str):
            document = marked_document(item, str(i))
            documents.append(document if document.mentions else found(document))
        elif isinstance(item, Document):
            documents.append(item)
        else:
            raise UsageError(
                f"item {i} to link is of type {type(item).__name__}: give texts, documents or mentions, and a table to "
                "link_frame."
            )
    return documents
