"""A column of mentions is read in its context; the same rows come out with answers."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from genlink.bulk.table import Columns, table_documents, table_form, write_table
from genlink.errors import FormatError, UsageError


def table(tmp_path: Path, text: str, name: str = "table.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, *columns: str) -> list[tuple[str, list[tuple[str, int]]]]:
    documents = table_documents(path, table_form(path.name), Columns(*columns))
    return [(d.text, [(m.text, m.start) for m in d.mentions]) for d in documents]


def test_a_row_is_a_document_and_an_empty_cell_no_mention(tmp_path: Path) -> None:
    path = table(tmp_path, 'id,problem\n1," gout "\n2,\n3,"fever, ""spotted"""\n')
    assert read(path, "problem") == [("gout", [("gout", 0)]), ("", []), ('fever, "spotted"', [('fever, "spotted"', 0)])]


def test_a_mention_is_looked_for_in_its_context_as_a_word(tmp_path: Path) -> None:
    rows = ["rash\tBrash, with a rash.", "rash\tBrash.", "rash\tNone.", "rash\t"]
    path = table(tmp_path, "\n".join(["m\tnote", *rows]), "table.tsv")
    assert read(path, "m", "note") == [
        ("Brash, with a rash.", [("rash", 14)]),
        ("Brash.", [("rash", 1)]),
        ("rash", [("rash", 0)]),
        ("rash", [("rash", 0)]),
    ]


def test_an_offset_says_which_of_several_is_meant_and_has_to_be_right(tmp_path: Path) -> None:
    path = table(tmp_path, "m,note,at\nrash,rash and rash,9\nrash,rash and rash,\n")
    assert read(path, "m", "note", "at") == [("rash and rash", [("rash", 9)]), ("rash and rash", [("rash", 0)])]
    path = table(tmp_path, "m,note,at\nrash,rash and rash,8\n")
    with pytest.raises(FormatError, match=r"row 1: at offset 8 the context has ' ras', not 'rash'"):
        read(path, "m", "note", "at")
    path = table(tmp_path, "m,note,at\nrash,rash,x\n")
    with pytest.raises(FormatError, match="row 1: offset 'x' is no whole number"):
        read(path, "m", "note", "at")


def test_what_is_no_table_or_lacks_a_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no column c\. Its columns: a, b"):
        read(table(tmp_path, "a,b\n1,2\n"), "c")
    with pytest.raises(FormatError, match=r"table\.csv:3: 1 cells, expected 2"):
        read(table(tmp_path, "a,b\n1,2\n3\n"), "a")
    with pytest.raises(FormatError, match=r"is empty"):
        read(table(tmp_path, ""), "a")
    with pytest.raises(FormatError, match="not a parquet file"):
        read(table(tmp_path, "a,b\n", "table.parquet"), "a")
    with pytest.raises(UsageError, match=r"table\.xlsx: no table by its name"):
        table_form("table.xlsx")
    with pytest.raises(UsageError, match="give --context-column too"):
        Columns("a", None, "b")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


@given(st.lists(st.tuples(cells, cells), max_size=5), st.sampled_from(["csv", "tsv"]))
def test_the_cells_of_a_table_stay_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], form: str
) -> None:
    folder = tmp_path_factory.mktemp("table")
    path, output = folder / f"in.{form}", folder / f"out.{form}"

    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, "excel-tab" if form == "tsv" else "excel").writerows([("a", "b"), *rows])
    write_table(output, form, path, form, None, ["c"], [(i,) for i in range(len(rows))])
    with output.open(encoding="utf-8", newline="") as file:
        read_back = list(csv.reader(file, "excel-tab" if form == "tsv" else "excel"))
    assert read_back == [["a", "b", "c"], *([a, b, str(i)] for i, (a, b) in enumerate(rows))]


def test_a_parquet_table_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    path, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    year_3e7 = pa.array([10**18, 1, None], pa.timestamp("ms"))  # which no value of Python is
    rows = pa.table(
        {"m": ["gout", None, ""], "n": pa.array([1, 2, None], pa.int16()), "l": [[1], [], None], "t": year_3e7}
    )
    parquet.write_table(rows, path)
    assert read(path, "m") == [("gout", [("gout", 0)]), ("", []), ("", [])]
    added = ["linked_id", "linked_score", "linked_nil"]
    answers = [("C1", -0.5, False), (None, None, None), (None, None, True)]
    write_table(output, "parquet", path, "parquet", None, added, answers)
    result = parquet.read_table(output)
    assert result.select(["m", "n", "l", "t"]) == rows
    assert result.schema.field("linked_score").type == pa.float64()
    assert result.select(added).to_pylist() == [
        {"linked_id": "C1", "linked_score": -0.5, "linked_nil": False},
        {"linked_id": None, "linked_score": None, "linked_nil": None},
        {"linked_id": None, "linked_score": None, "linked_nil": True},
    ]
