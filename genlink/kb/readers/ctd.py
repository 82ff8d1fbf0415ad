"""Vocabularies of the Comparative Toxicogenomics Database: diseases (MEDIC) and chemicals, as CTD offers them.

Comment lines start with ``#``; the one after ``# Fields:`` names the columns (https://ctdbase.org/downloads/). Both
the tab-separated and the comma-separated form are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.kb.readers.records import UTF8, checked_concept
from genlink.kb.readers.table import delimited_rows
from genlink.schema import Concept

__all__ = ["read_ctd"]

_FIELDS = "# Fields:"


def _unwrapped(alternative_id: str) -> str:
    # CTD puts its own vocabulary name before ids of the Disease Ontology, which already carry one: DO:DOID:0060395.
    return alternative_id.removeprefix("DO:") if alternative_id.startswith("DO:DOID:") else alternative_id


def read_ctd(path: str | Path, encoding: str = UTF8) -> Iterator[Concept]:
    """Concepts of CTD_diseases or CTD_chemicals (``.tsv`` or ``.csv``), in file order.

    Ids keep their prefix (``MESH:``, ``OMIM:``). AltDiseaseIDs become alternative ids, with ``DO:DOID:1`` written
    ``DOID:1``; every column of synonyms gives names; SlimMappings are the types; a CAS number is an xref.

    Raises FormatError where the columns are not named, are not those of diseases or chemicals, or a row does not fit.
    """
    lines = read_lines(path, encoding)
    header_line, header_text, first = 0, "", None
    after_fields = False
    for number, line in lines:
        if line.startswith("#"):
            if after_fields:
                header_line, header_text = number, line[1:].strip()
            after_fields = line.strip() == _FIELDS
        elif line.strip():
            first = (number, line)
            break
    if first is None:
        return
    if not header_line:
        raise FormatError(
            path, f"no `{_FIELDS}` line before the first row.", line=first[0], advice="Is this a download of CTD's?"
        )
    delimiter = "\t" if "\t" in header_text else ","
    columns = header_text.split(delimiter)
    kind = next((k for k in ("Disease", "Chemical") if {f"{k}Name", f"{k}ID"} <= set(columns)), None)
    if kind is None:
        raise FormatError(
            path,
            "neither CTD's diseases (DiseaseName, DiseaseID) nor its chemicals (ChemicalName, ChemicalID).",
            line=header_line,
            advice=f"Columns found: {', '.join(columns)}.",
        )
    synonym_columns = [column for column in columns if column.endswith("Synonyms")]

    for number, row in delimited_rows(path, chain([first], lines), delimiter):
        if len(row) != len(columns):
            raise FormatError(
                path, f"{len(row)} fields, expected {len(columns)}.", line=number, advice="Download it again."
            )
        record = dict(zip(columns, row, strict=True))
        synonyms = chain.from_iterable(record[column].split("|") for column in synonym_columns)
        yield checked_concept(
            path,
            number,
            record[f"{kind}ID"],
            [record[f"{kind}Name"], *synonyms],
            types=record.get("SlimMappings", "").split("|"),
            definition=record.get("Definition"),
            alternative_ids=map(_unwrapped, record.get("AltDiseaseIDs", "").split("|")),
            xrefs=[f"CAS:{cas}" for cas in record.get("CasRN", "").split("|") if cas],
        )
