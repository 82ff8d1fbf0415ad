"""Tables with a column of mentions (CSV, TSV, parquet): rows in, the same rows with answers out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlink.corpora import text_output
from genlink.errors import FormatError, UsageError
from genlink.files import atomic_file, read_lines, require_file
from genlink.pipeline.cells import cell_text, row_document
from genlink.schema import Document

__all__ = ["Columns", "check_columns", "column_names", "table_documents", "table_form", "write_table"]

# The module's own limit, 131,072 characters to a cell, is below the length of an article.
_CELL = 1 << 27
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns by name: the mention's, that of the text around it, and that of where in this text it starts."""

    mention: str
    context: str | None = None
    offset: str | None = None

    def __post_init__(self) -> None:
        if self.offset is not None and self.context is None:
            raise UsageError("--offset-column says where a mention starts in its context: give --context-column too.")


def table_form(name: str) -> str:
    """``csv``, ``tsv`` or ``parquet``, by the end of a file's name. Raises UsageError for another one."""
    for form in ("csv", "tsv", "parquet"):
        if name.removesuffix(".gz").endswith(f".{form}") and not name.endswith(".parquet.gz"):
            return form
    raise UsageError(f"{name}: no table by its name. Expected .csv, .tsv (both also with .gz) or .parquet.")


def table_documents(path: Path, form: str, columns: Columns, encoding: str | None = None) -> Iterator[Document]:
    """A document for each row, with one mention, or none where the cell is empty; its id is the number of the row.

    The text is the cell of the context. There the mention is looked for, as a word of its own if it is one somewhere;
    if it is not there, it is linked without context.

    Raises UsageError for a column that the table does not have, FormatError for a row that does not fit.
    """
    header = column_names(path, form, encoding)
    places = []
    for name in filter(None, (columns.mention, columns.context, columns.offset)):
        if name not in header:
            raise UsageError(f"{path}: no column {name}. Its columns: {', '.join(header)}.")
        places.append(header.index(name))
    rows = _parquet_cells(path, places) if form == "parquet" else _csv_cells(path, form, encoding, places)
    for number, row in enumerate(rows, start=1):
        mention, context, offset = (*row, None, None)[:3]
        yield row_document(path, number, mention, context, offset)


def column_names(path: Path, form: str, encoding: str | None) -> list[str]:
    """The names of a table's columns. Raises FormatError where it has none."""
    if form == "parquet":
        return list(_parquet(path).schema_arrow.names)
    header = next(_csv_rows(path, form, encoding), None)
    if header is None:
        raise FormatError(path, "is empty.", advice="Expected a first row with the names of the columns.")
    return header


def _csv_cells(path: Path, form: str, encoding: str | None, places: list[int]) -> Iterator[tuple[str, ...]]:
    rows = _csv_rows(path, form, encoding)
    next(rows)  # the header
    return (tuple(row[place] for place in places) for row in rows)


def _parquet_cells(path: Path, places: list[int]) -> Iterator[tuple[Any, ...]]:
    """The cells of these columns alone: others may hold what Python has no value for."""
    file = _parquet(path)
    with _parquet_errors(path):
        for batch in file.iter_batches(batch_size=_ROWS):
            yield from zip(*(batch.column(place).to_pylist() for place in places), strict=True)


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    """What goes wrong in a parquet file, whose pages are looked at as they are reached, is an error of the file."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FormatError(path, f"not a parquet file, or a damaged one ({reason}).") from None


def _csv_rows(path: Path, form: str, encoding: str | None) -> Iterator[list[str]]:
    csv.field_size_limit(_CELL)
    lines = (f"{line}\n" for _, line in read_lines(path, encoding or "utf-8-sig"))
    reader = csv.reader(lines, "excel-tab" if form == "tsv" else "excel", strict=True)
    width: int | None = None
    try:
        for row in reader:
            if not row:
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise FormatError(path, f"{len(row)} cells, expected {width}.", line=reader.line_num)
            yield row
    except csv.Error as error:
        raise FormatError(path, f"not a table ({error}).", line=reader.line_num) from None


def _parquet(path: Path) -> Any:
    from pyarrow import parquet

    path = require_file(path)
    with _parquet_errors(path):
        return parquet.ParquetFile(path)


def check_columns(path: Path, form: str, encoding: str | None, added: Sequence[str]) -> None:
    """Raise UsageError if a table has a column of one of these names already."""
    header = column_names(path, form, encoding)
    if taken := [name for name in added if name in header]:
        raise UsageError(f"{path}: has a column {taken[0]} already, which the answers would take. Rename it.")


def write_table(
    output: Path,
    form: str,
    path: Path,
    path_form: str,
    encoding: str | None,
    added: Sequence[str],
    answers: Iterable[Sequence[Any]],
) -> None:
    """Write a table again with more columns, in its own order, atomically; parquet stays parquet, and no other is it.

    ``answers`` are the cells of the ``added`` columns, row by row; None is an empty cell.
    """
    if form == "parquet":
        _write_parquet(output, path, added, iter(answers))
        return
    rows = _csv_rows(path, path_form, encoding)
    with text_output(output) as file:
        writer = csv.writer(file, "excel-tab" if form == "tsv" else "excel", lineterminator="\n")
        writer.writerow([*next(rows), *added])
        for row, cells in zip(rows, answers, strict=True):
            writer.writerow([*row, *map(_cell, cells)])


def _cell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else cell_text(value)


def _write_parquet(output: Path, path: Path, added: Sequence[str], answers: Iterator[Sequence[Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"score": pa.float64(), "probability": pa.float64(), "nil": pa.bool_()}
    fields = [pa.field(name, kinds.get(name.rpartition("_")[2], pa.string())) for name in added]
    source = _parquet(path)
    schema = source.schema_arrow
    for field in fields:
        schema = schema.append(field)
    with atomic_file(output, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for batch in source.iter_batches(batch_size=_ROWS):
            rows = [next(answers) for _ in range(batch.num_rows)]
            cells = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(fields)]
            writer.write_table(pa.Table.from_arrays([*batch.columns, *cells], schema=schema))
