"""BioC (Comeau et al. 2013), as XML and as JSON: the formats of BC5CDR, NLM-Chem, PubTator's exports and many more.

    <document><id>1</id><passage><infon key="type">title</infon><offset>0</offset><text>Fever and rash.</text>
      <annotation id="0"><infon key="type">Disease</infon><infon key="identifier">MESH:D005334</infon>
        <location offset="0" length="5"/><text>Fever</text></annotation></passage></document>

Offsets count from the start of the document. Each corpus has an infon of its own for the gold ids; the first of
``ID_KEYS`` that an annotation has is taken, whatever its case, and its value is read like PubTator's.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genlink.corpora.ids import parse_gold, unique_document_id
from genlink.corpora.readers.records import assembled, mention_ids
from genlink.errors import FormatError
from genlink.files import read_json, require_file
from genlink.schema import Document, Mention, Passage

__all__ = ["ID_KEYS", "annotations_of", "load_bioc", "read_bioc_json", "read_bioc_xml", "spans_of"]

ID_KEYS = ("identifier", "concept_id", "mesh", "omim", "umls", "cui", "ncbi gene", "ncbi taxonomy", "chebi", "id")


def _gold(infons: dict[str, Any]) -> tuple[frozenset[str], ...] | None:
    lower = {key.casefold(): value for key, value in infons.items()}
    for key in ID_KEYS:
        if lower.get(key) is not None:
            return parse_gold(str(lower[key]))
    return None


def annotations_of(document: Any) -> list[Any]:
    """All annotations of a document, whatever they hang on, without the repeated parts of composites.

    BC5CDR annotates a composite mention once as a whole and then each of its parts anew.
    """
    found = []
    for passage in document.passages:
        found += passage.annotations
        for sentence in passage.sentences:
            found += sentence.annotations
    found += document.annotations
    return [a for a in found if a.infons.get("CompositeRole") != "IndividualMention"]


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError(f"a text or type of an annotation is {value!r}, expected a string")
    return value or ""


def _span(location: Any) -> tuple[int, int]:
    if type(location.offset) is not int or type(location.length) is not int:  # two strings would add up to a third
        raise TypeError(f"a location has offset {location.offset!r} and length {location.length!r}, expected numbers")
    return location.offset, location.offset + location.length


def spans_of(annotation: Any) -> tuple[tuple[int, int], ...]:
    """The spans of an annotation. Raises TypeError for an offset that is no number."""
    return tuple(_span(location) for location in annotation.locations)


def _document(source: Any, path: Path, seen: dict[str, int]) -> Document:
    if not source.id:
        raise FormatError(path, "a document has no id.")
    document_id = unique_document_id(str(source.id), seen)
    pieces: list[tuple[int, str]] = []
    passages: list[Passage] = []
    for passage in source.passages:
        parts = [passage] if passage.text else [sentence for sentence in passage.sentences if sentence.text]
        if parts:
            pieces += [(part.offset, part.text) for part in parts]
            kind = str(passage.infons.get("type") or passage.infons.get("section_type") or "")
            passages.append(Passage(kind, parts[0].offset, parts[-1].offset + len(parts[-1].text)))
    text = assembled(pieces, path, document_id)
    annotations = annotations_of(source)
    mentions = tuple(
        Mention(
            context=text,
            spans=spans_of(annotation),
            text=_text(annotation.text),
            document_id=document_id,
            mention_id=mention_id,
            type=_text(annotation.infons.get("type")) or None,
            gold=_gold(annotation.infons),
        )
        for mention_id, annotation in zip(mention_ids([a.id or "" for a in annotations]), annotations, strict=True)
    )
    return Document(document_id, text, mentions, tuple(passages))


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def load_bioc(path: str | Path, format: str) -> Any:
    """A whole collection, ``bioc-xml`` or ``bioc-json``, gzipped or not, as the package ``bioc`` has it.

    Raises FormatError if the file is none.
    """
    path = require_file(path)
    collection = _load_xml(path) if format == "bioc-xml" else _load_json(path)
    for document in collection.documents:
        for part in [document, *document.passages, *(s for passage in document.passages for s in passage.sentences)]:
            for item in [*part.annotations, *part.relations]:
                item.id = "" if item.id is None else str(item.id)
    return collection


def _load_xml(path: Path) -> Any:
    from bioc import biocxml

    try:
        with _open(path) as file:
            return biocxml.load(file)
    except SyntaxError as error:  # what lxml raises is one
        raise FormatError(path, f"not XML ({error.msg}).", line=error.lineno) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(path, f"truncated or broken gzip ({error}).", advice="Download it again.") from None
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # without one it is lxml's, of an encoding
            raise
        raise FormatError(path, f"not a BioC collection ({error}).", advice="An offset or id may be missing.") from None


def _load_json(path: Path) -> Any:
    from bioc import BioCCollection, biocjson

    value = read_json(path)
    head = value if isinstance(value, dict) else {}
    records = head.get("documents", head.get("PubTator3")) if isinstance(value, dict) else value
    if not isinstance(records, list):
        raise FormatError(path, "no `documents`.", advice="Expected a BioC collection.")
    collection = BioCCollection()
    collection.source, collection.date, collection.key = (str(head.get(k) or "") for k in ("source", "date", "key"))
    infons = head.get("infons")
    collection.infons = infons if isinstance(infons, dict) else {}
    for record in records:
        try:
            collection.add_document(biocjson.fromJSON(record, "BioCDocument"))
        except (AttributeError, KeyError, TypeError) as error:
            at = record.get("id", "?") if isinstance(record, dict) else json.dumps(record)[:40]
            raise _not_bioc(path, at, error) from None
    return collection


def _not_bioc(path: Path, document_id: object, error: Exception) -> FormatError:
    return FormatError(path, f"document {document_id} is not BioC ({type(error).__name__}: {error}).")


def _documents(collection: Any, path: Path) -> Iterator[Document]:
    seen: dict[str, int] = {}
    for source in collection.documents:
        try:
            document = _document(source, path, seen)
        except (AttributeError, KeyError, TypeError) as error:
            raise _not_bioc(path, source.id, error) from None
        yield document


def read_bioc_xml(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a BioC XML collection, gzipped or not, in its order.

    The encoding is the one that the file declares; naming another is of no effect. A document id that occurs again
    gets ``#2``, ``#3``, ... Mention ids are those of the annotations where they are unique within the document.

    Raises FormatError if the file is not BioC XML or its passages overlap.
    """
    yield from _documents(load_bioc(path, "bioc-xml"), Path(path))


def read_bioc_json(path: str | Path, *, encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of a BioC JSON collection, gzipped or not, in its order; otherwise as ``read_bioc_xml``.

    Besides a collection, a bare list of documents and PubTator 3's ``{"PubTator3": [documents]}`` are read.
    """
    yield from _documents(load_bioc(path, "bioc-json"), Path(path))
