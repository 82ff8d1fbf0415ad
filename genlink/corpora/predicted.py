"""Predictions in the form that the corpus came in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from genlink.errors import CorpusError
from genlink.schema import Document, Mention, Prediction

__all__ = ["documents_with_predictions"]


def _answer(prediction: Prediction) -> frozenset[str]:
    """The concepts of the best name; none where the linker found nothing, or answers NIL."""
    best = prediction.best
    if best is None or prediction.is_nil:
        return frozenset()
    return frozenset(c.concept_id for c in prediction.candidates if c.rank == best.rank)


def _annotated(mention: Mention, predictions: list[Prediction]) -> Mention:
    predictions = sorted(predictions, key=lambda prediction: prediction.mention.part or 0)
    parts = [prediction.mention.part for prediction in predictions]
    if len(parts) != len(set(parts)) or (None in parts and len(parts) > 1):
        raise CorpusError(f"document {mention.document_id}, mention {mention.mention_id}: predicted more than once.")
    surfaces = tuple(prediction.mention.surface for prediction in predictions)
    return replace(
        mention,
        gold=tuple(_answer(prediction) for prediction in predictions) or None,
        part_texts=surfaces if len(surfaces) > 1 else (),
    )


def documents_with_predictions(documents: Iterable[Document], predictions: Iterable[Prediction]) -> list[Document]:
    """The documents with what was predicted in the place of gold, ready for ``write_jsonl`` or ``write_pubtator``.

    Predictions are matched by document and mention id. A mention's gold becomes the concepts of its best name (all of
    them, if the name is ambiguous), NIL where there is no candidate or the prediction is NIL, None where there is no
    prediction. The parts of a composite that was split come together again; their surfaces become its part texts.

    Raises CorpusError for a prediction of no mention of the documents, and for a mention predicted more than once.
    """
    by_mention: defaultdict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_mention[prediction.mention.key].append(prediction)
    annotated = [
        replace(document, mentions=tuple(_annotated(m, by_mention.pop(m.key, [])) for m in document.mentions))
        for document in documents
    ]
    if by_mention:
        document_id, mention_id = next(iter(by_mention))
        raise CorpusError(f"document {document_id}, mention {mention_id}: predicted, but not in the corpus.")
    return annotated
