"""Documents written as BioC (Comeau et al. 2013), XML or JSON, one at a time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, starmap
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from genlink.corpora.ids import format_gold
from genlink.corpora.readers.bioc import annotations_of, spans_of
from genlink.errors import CorpusError
from genlink.files import atomic_file
from genlink.schema import Document, Mention, Passage

if TYPE_CHECKING:
    from bioc import BioCAnnotation, BioCCollection, BioCDocument

__all__ = ["write_bioc"]

Noted = tuple[Document, Sequence[Mapping[str, str]]]


def write_bioc(
    path: str | Path, format: str, documents: Iterable[Noted], collection: BioCCollection | None = None
) -> None:
    """Write documents, each with more infons for each of its mentions, as BioC, atomically.

    ``format`` is ``bioc-xml`` or ``bioc-json``. Gold is the infon ``identifier``, in the notation of PubTator. A
    document without passages is one passage.

    With a ``collection``, the one that the documents were read from, it is written again, with all that it has: infons,
    relations and other annotations. Gold and the other infons are added to the annotations that the mentions were read
    from. Where a document has other mentions than that, they are added to it; one whose id is taken gets another.
    """
    from bioc import BioCCollection

    if collection is None:
        collection = BioCCollection()
        collection.source, collection.date, collection.key = "GenLink", "", ""
        written: Iterable[Any] = starmap(_document, documents)
    else:
        written = (_answered(*pair) for pair in zip(collection.documents, documents, strict=True))
    with _bytes(path) as file:
        (_write_xml if format == "bioc-xml" else _write_json)(file, collection, written)


def _write_xml(file: IO[bytes], collection: BioCCollection, documents: Iterable[Any]) -> None:
    from bioc import biocxml

    writer = biocxml.BioCXMLDocumentWriter(file)
    writer.write_collection_info(collection)
    for document in documents:
        try:
            writer.write_document(document)
        except (AttributeError, TypeError, ValueError) as error:
            raise CorpusError(
                f"document {document.id}: XML cannot hold it ({error}). Write BioC JSON instead."
            ) from None
    writer.close()


def _write_json(file: IO[bytes], collection: BioCCollection, documents: Iterable[Any]) -> None:
    from bioc import biocjson

    head = {key: getattr(collection, key) for key in ("source", "date", "key", "infons")}
    file.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "documents": [')
    for i, document in enumerate(documents):
        text = json.dumps(biocjson.toJSON(document), ensure_ascii=False)
        file.write((b",\n" if i else b"\n") + text.encode())
    file.write(b"\n]}\n")


@contextmanager
def _bytes(path: str | Path) -> Iterator[IO[bytes]]:
    with atomic_file(path, "wb") as file:
        if Path(path).suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _document(document: Document, infons: Sequence[Mapping[str, str]]) -> BioCDocument:
    from bioc import BioCDocument, BioCPassage

    result = BioCDocument()
    result.id = document.document_id
    for passage in document.passages or (Passage("", 0, len(document.text)),):
        part = BioCPassage()
        part.offset, part.text = passage.start, document.text[passage.start : passage.end]
        part.infons = {"type": passage.kind} if passage.kind else {}
        result.add_passage(part)
    _add(result, document, infons)
    return result


def _add(target: BioCDocument, document: Document, infons: Sequence[Mapping[str, str]]) -> None:
    """Add each mention to the passage that it starts in."""
    taken = {annotation.id for annotation in annotations_of(target)}
    for mention, more in zip(document.mentions, infons, strict=True):
        home = max((p for p in target.passages if p.offset <= mention.start), key=lambda p: p.offset, default=None)
        annotation = _annotation(mention, more)
        if annotation.id in taken:
            annotation.id = next(i for n in count() if (i := f"{mention.mention_id}-{n}") not in taken)
        taken.add(annotation.id)
        (home or target).add_annotation(annotation)


def _answered(target: BioCDocument, noted: Noted) -> BioCDocument:
    document, infons = noted
    annotations = annotations_of(target)
    if [spans_of(annotation) for annotation in annotations] != [mention.spans for mention in document.mentions]:
        _add(target, document, infons)
        return target
    for annotation, mention, more in zip(annotations, document.mentions, infons, strict=True):
        if "nil" in annotation.infons:  # from an earlier answer
            annotation.infons.pop("probability", None)
            del annotation.infons["nil"]
        for key in [key for key in annotation.infons if key.casefold() == "identifier" != key]:
            del annotation.infons[key]
        gold = format_gold(mention.gold)
        annotation.infons.update({**({"identifier": gold} if gold else {}), **more})
    return target


def _annotation(mention: Mention, more: Mapping[str, str]) -> BioCAnnotation:
    from bioc import BioCAnnotation, BioCLocation

    annotation = BioCAnnotation()
    annotation.id, annotation.text = mention.mention_id, mention.text
    gold = format_gold(mention.gold)
    annotation.infons = {
        **({"type": mention.type} if mention.type else {}),
        **({"identifier": gold} if gold else {}),
        **more,
    }
    for start, end in mention.spans:
        annotation.add_location(BioCLocation(start, end - start))
    return annotation
