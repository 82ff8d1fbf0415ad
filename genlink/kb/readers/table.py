"""Tables with a header: one concept a row, or one name a row.

Tab-separated fields are taken verbatim, as text/tab-separated-values has it (IANA); in other tables a field may be
quoted (RFC 4180) and may then hold delimiters and line ends.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.kb.readers.records import UTF8, ConceptRows, checked_concept
from genlink.schema import Concept

__all__ = ["TableColumns", "delimited_rows", "guessed_columns", "read_table"]


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The header names of the columns to read; None where the table has no such column.

    ``separator`` stands between the values of one field (synonyms, types, alternative_ids, xrefs).
    """

    id: str = "id"
    name: str = "name"
    synonyms: str | None = None
    definition: str | None = None
    types: str | None = None
    alternative_ids: str | None = None
    xrefs: str | None = None
    separator: str = "|"


# Header names in use, compared in lower case with every other character as an underscore; the first present one wins.
_USUAL_NAMES = {
    "id": ("id", "concept_id", "identifier", "cui", "curie", "code"),
    "name": ("name", "canonical_name", "preferred_name", "preferred_label", "label", "term"),
    "synonyms": ("synonyms", "synonym", "aliases", "alias", "alternative_names", "alt_labels"),
    "definition": ("definition", "def", "description"),
    "types": ("types", "type", "semantic_types", "semantic_type"),
    "alternative_ids": ("alternative_ids", "alternative_id", "alt_ids", "alt_id"),
    "xrefs": ("xrefs", "xref", "cross_references", "mappings"),
}


def guessed_columns(header: list[str]) -> TableColumns | None:
    """The columns of a table by their usual names, or None where the id or the name has none of them."""
    plain = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in reversed(header)}
    found = {field: next((plain[n] for n in names if n in plain), None) for field, names in _USUAL_NAMES.items()}
    if found["id"] is None or found["name"] is None:
        return None
    return TableColumns(
        id=found["id"],
        name=found["name"],
        synonyms=found["synonyms"],
        definition=found["definition"],
        types=found["types"],
        alternative_ids=found["alternative_ids"],
        xrefs=found["xrefs"],
    )


def delimited_rows(
    path: str | Path, lines: Iterator[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line where the row starts, fields) of numbered lines; blank lines are skipped.

    Raises FormatError for broken quotes.
    """
    if delimiter == "\t":
        yield from ((number, line.split("\t")) for number, line in lines if line.strip())
        return
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for number, line in lines:  # noqa: B007 - the closure tells the loop below where the reader is
            yield f"{line}\n"

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    while True:
        before = number
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FormatError(
                path, f"a broken row ({error}).", line=before + 1, advice="Check the quotes in this row."
            ) from None
        if row:
            yield before + 1, row


def _delimiter(path: Path, header: str) -> str:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in (".tsv", ".tab"):
        return "\t"
    # The semicolon is what spreadsheets write where the comma is the decimal mark.
    return max(",;" if suffix == ".csv" else "\t,;", key=header.count)


def _positions(path: Path, line: int, header: list[str], columns: TableColumns | None) -> dict[str, int]:
    """Field of TableColumns -> index of its column."""
    found = f"Columns found: {', '.join(header)}."
    columns = columns or guessed_columns(header)
    if columns is None:
        raise FormatError(path, "no columns that look like an id and a name.", line=line, advice=f"{found} Name them.")
    positions = {}
    for field in _USUAL_NAMES:
        column = getattr(columns, field)
        if column is not None:
            if column not in header:
                raise FormatError(path, f"no column `{column}` for {field}.", line=line, advice=found)
            positions[field] = header.index(column)
    return positions


def read_table(path: str | Path, encoding: str = UTF8, columns: TableColumns | None = None) -> Iterator[Concept]:
    """Concepts of a table whose first line names the columns.

    ``columns`` None means the usual header names (``id``, ``name``, ``synonyms``, ``definition``, ...). With a column
    of synonyms each row is a concept, yielded as it is. Without one, rows of the same id are names of one concept,
    yielded in the order of first rows; their types and ids are united and the first definition is kept.

    Raises FormatError for a missing column, a row with too few or too many fields, and a concept without id or name.
    """
    path = Path(path)
    lines = read_lines(path, encoding)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    number, line = first
    delimiter = _delimiter(path, line)
    (_, raw_header), *_ = delimited_rows(path, iter([first]), delimiter)
    header = [column.strip() for column in raw_header]
    positions = _positions(path, number, header, columns)
    separator = (columns or TableColumns()).separator
    grouped = None if "synonyms" in positions else ConceptRows(path)

    for number, row in delimited_rows(path, lines, delimiter):
        if len(row) != len(header):
            raise FormatError(
                path, f"{len(row)} fields, expected {len(header)}.", line=number, advice=f"Header: {', '.join(header)}."
            )
        values = {field: row[i] for field, i in positions.items()}
        lists = {
            field: values[field].split(separator)
            for field in ("synonyms", "types", "alternative_ids", "xrefs")
            if field in values
        }
        names = [values["name"], *lists.pop("synonyms", [])]
        definition = values.get("definition", "")
        if grouped is None:
            yield checked_concept(path, number, values["id"], names, definition=definition, **lists)
        else:
            grouped.add(number, values["id"], names, definitions=[definition], **lists)
    if grouped is not None:
        yield from grouped.concepts()
