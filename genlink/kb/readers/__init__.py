"""Readers of knowledge bases: a file or a directory in, an iterator of concepts out.

Names are verbatim but for outer white space; empty names and repeated names of a concept are left out. Ids keep the
vocabulary prefix of their source. Every file may be gzipped. Whether ids are unique is for the knowledge base to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from genlink.errors import UsageError
from genlink.kb.readers.biosyn import read_biosyn, read_medic
from genlink.kb.readers.ctd import read_ctd
from genlink.kb.readers.jsonl import read_concept_jsonl
from genlink.kb.readers.obo import DEFAULT_SCOPES, SCOPES, read_obo
from genlink.kb.readers.obographs import read_obographs
from genlink.kb.readers.records import UTF8
from genlink.kb.readers.sniff import sniff
from genlink.kb.readers.table import TableColumns, read_table
from genlink.kb.readers.umls import UmlsFilter, read_umls
from genlink.schema import Concept

__all__ = ["FORMATS", "TableColumns", "UmlsFilter", "read_concepts", "sniff"]

FORMATS = ("biosyn", "medic", "ctd", "obo", "obographs", "jsonl", "table", "umls")


def read_concepts(
    path: str | Path,
    format: str = "auto",
    *,
    encoding: str | None = None,
    table: TableColumns | None = None,
    umls: UmlsFilter | None = None,
    scopes: Collection[str] | None = None,
) -> Iterator[Concept]:
    """The concepts of a file (or UMLS directory) in one of FORMATS; ``auto`` tells the format by ``sniff``.

    ``encoding`` is UTF-8 unless given. ``table`` names the columns of a table (with ``auto``, it makes the file one),
    ``umls`` filters a UMLS release, ``scopes`` are the synonym scopes kept from OBO and OBO Graphs files
    (EXACT and RELATED unless given). An empty file has no concepts.

    Raises UsageError at once for an unknown format, or an option of another format; DataError and FormatError, with
    path and line, as the file is read.
    """
    encoding = encoding or UTF8
    if format == "auto":
        format = "table" if table is not None else sniff(path, encoding)
    if format not in FORMATS:
        raise UsageError(f"unknown knowledge base format `{format}`. Known: auto, {', '.join(FORMATS)}.")
    for option, value, formats in (
        ("table", table, ("table",)),
        ("umls", umls, ("umls",)),
        ("scopes", scopes, ("obo", "obographs")),
    ):
        if value is not None and format not in formats:
            raise UsageError(f"{path}: the option `{option}` is for the format {' or '.join(formats)}, not {format}.")
    kept_scopes = DEFAULT_SCOPES if scopes is None else tuple(scopes)
    if unknown := [scope for scope in kept_scopes if scope not in SCOPES]:
        raise UsageError(f"unknown synonym scope `{unknown[0]}`. Known: {', '.join(SCOPES)}.")
    match format:
        case "biosyn":
            return read_biosyn(path, encoding)
        case "medic":
            return read_medic(path, encoding)
        case "ctd":
            return read_ctd(path, encoding)
        case "obo":
            return read_obo(path, encoding, kept_scopes)
        case "obographs":
            return read_obographs(path, encoding, kept_scopes)
        case "jsonl":
            return read_concept_jsonl(path, encoding)
        case "table":
            return read_table(path, encoding, table)
        case _:
            return read_umls(path, encoding, umls or UmlsFilter())
