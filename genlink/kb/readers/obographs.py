"""OBO Graphs, the JSON form of ontologies (https://github.com/geneontology/obographs, schema/obographs-schema.json)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from genlink.errors import FormatError
from genlink.files import parse_json, read_lines
from genlink.kb.readers.obo import DEFAULT_SCOPES, SCOPES
from genlink.kb.readers.records import UTF8, checked_concept
from genlink.schema import Concept

__all__ = ["curie", "read_obographs"]

_OBO_IRI = re.compile(r"https?://purl\.obolibrary\.org/obo/([A-Za-z][A-Za-z_]*)_([A-Za-z0-9]+)")
# Other publishers' IRIs are taken as ids only when they end like one: .../EFO_0000400, .../Orphanet_558.
_OTHER_IRI = re.compile(r"https?://.*[/#]([A-Za-z][A-Za-z_]*)_([A-Za-z]{0,2}[0-9]+)")

_SCOPE_OF_PREDICATE = {f"has{scope.title()}Synonym": scope for scope in SCOPES}


def curie(iri: str) -> str:
    """The short id of an IRI: ``http://purl.obolibrary.org/obo/MONDO_0000001`` -> ``MONDO:0000001``.

    Anything that is not an ontology's IRI, such as a short id, is returned as it is.
    """
    match = _OBO_IRI.fullmatch(iri) or _OTHER_IRI.fullmatch(iri)
    return f"{match[1]}:{match[2]}" if match else iri


def _local(predicate: str) -> str:
    return re.split("[#/]", predicate)[-1]


def _document(path: str | Path, encoding: str) -> Any:
    text = "\n".join(line for _, line in read_lines(path, encoding))
    return parse_json(text, path) if text.strip() else {"graphs": []}


def _node_concept(path: str | Path, node: dict[str, Any], scopes: Collection[str]) -> Concept | None:
    """The concept of a node, or None for a node that is no class, is deprecated or has no label."""
    meta = node.get("meta") or {}
    if node.get("type") != "CLASS" or meta.get("deprecated") or not (node.get("lbl") or "").strip():
        return None
    properties = [(_local(entry["pred"]), entry["val"]) for entry in meta.get("basicPropertyValues", ())]
    return checked_concept(
        path,
        None,
        curie(node["id"]),
        [
            node["lbl"],
            *(s["val"] for s in meta.get("synonyms", ()) if _SCOPE_OF_PREDICATE.get(_local(s["pred"])) in scopes),
        ],
        types=[value for name, value in properties if name == "hasOBONamespace"],
        definition=(meta.get("definition") or {}).get("val"),
        alternative_ids=[curie(value) for name, value in properties if name == "hasAlternativeId"],
        xrefs=[xref["val"] for xref in meta.get("xrefs", ())],
    )


def read_obographs(
    path: str | Path, encoding: str = UTF8, scopes: Collection[str] = DEFAULT_SCOPES
) -> Iterator[Concept]:
    """Concepts of the classes of an OBO Graphs file, in file order; the whole file is held in memory.

    IRIs become short ids (``curie``). Deprecated nodes, nodes without a label, properties and individuals are left
    out. ``scopes`` are the synonym scopes to keep, as for OBO files; the OBO namespace is the type.

    Raises FormatError, naming the node, where the file does not follow the schema.
    """
    document = _document(path, encoding)
    graphs = document.get("graphs") if isinstance(document, dict) else None
    if not isinstance(graphs, list):
        raise FormatError(path, "no list `graphs`.", advice="Expected an OBO Graphs document.")
    for g, graph in enumerate(graphs):
        if not isinstance(graph, dict):
            raise FormatError(path, f"graphs[{g}] is no object.", advice="Expected an OBO Graphs document.")
        for n, node in enumerate(graph.get("nodes") or ()):
            try:
                concept = _node_concept(path, node, scopes)
            except (AttributeError, KeyError, TypeError) as error:
                problem = f"graphs[{g}].nodes[{n}] does not follow the schema of OBO Graphs ({error!r})."
                raise FormatError(path, problem) from None
            if concept is not None:
                yield concept
