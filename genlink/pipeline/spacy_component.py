"""A component of spaCy pipelines that links the entities of a document: ``nlp.add_pipe("genlink", config={...})``.

spaCy finds the factory by its entry point; the extra ``spacy`` brings spaCy, which is imported here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from genlink.corpora.marked import document_of_spans
from genlink.default import DEFAULT
from genlink.pipeline.cells import chosen_candidates
from genlink.pipeline.pipeline import Pipeline, load
from genlink.schema import Document

__all__ = ["GenLinkComponent", "create_component"]

CANDIDATES = "genlink_candidates"


class GenLinkComponent:
    """Sets ``kb_id_`` of each entity, and ``ent._.genlink_candidates``: its candidates, best first, as dictionaries.

    Entities are those of the pipeline's recogniser, read in the context of their document. ``kb_id_`` is the id of the
    best concept, and is left empty where there is none or the answer is NIL.
    """

    def __init__(self, pipeline: Pipeline, k: int = 5) -> None:
        self.pipeline = pipeline
        self.k = k
        if not Span.has_extension(CANDIDATES):
            Span.set_extension(CANDIDATES, default=None)

    def __call__(self, doc: Doc) -> Doc:
        """Link the entities of one document."""
        return self._linked([doc])[0]

    def pipe(self, docs: Iterable[Doc], *, batch_size: int = 64) -> Iterator[Doc]:
        """Link the entities of a stream of documents, many documents at a time."""
        stream = iter(docs)
        while batch := list(islice(stream, batch_size)):
            yield from self._linked(batch)

    def _linked(self, docs: list[Doc]) -> list[Doc]:
        documents = [_document(doc, i) for i, doc in enumerate(docs)]
        for doc, item in zip(docs, self.pipeline.link_documents(documents, self.k), strict=True):
            entities = list(doc.ents)
            for prediction in reversed(item.predictions):  # of a composite that is split the first part stays
                entity = entities[int(prediction.mention.mention_id)]
                chosen = chosen_candidates(prediction)
                entity._.set(CANDIDATES, self.pipeline.to_dict(prediction)["candidates"])
                for token in entity:
                    token.ent_kb_id_ = chosen[0].concept_id if chosen else ""
        return docs

    def to_disk(self, path: Any, *, exclude: Any = ()) -> None:
        """Nothing: the model stays where it is, and the configuration names it."""

    def from_disk(self, path: Any, *, exclude: Any = ()) -> GenLinkComponent:
        """The component, as the configuration made it."""
        return self


def _document(doc: Doc, number: int) -> Document:
    return document_of_spans(doc.text, [(ent.start_char, ent.end_char) for ent in doc.ents], str(number))


def create_component(
    nlp: Language, name: str, model: str, kb: str | None, calibration: str | None, device: str | None, k: int
) -> GenLinkComponent:
    """The component of a model; the settings are those of ``genlink.load``."""
    return GenLinkComponent(load(model, kb, calibration=calibration, device=device), k)


Language.factory(  # where spaCy looks factories up; it imports this module by its entry point
    "genlink",
    default_config={"model": DEFAULT, "kb": None, "calibration": None, "device": None, "k": 5},
    func=create_component,
)
