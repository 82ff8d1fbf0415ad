"""Tables with named columns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import FormatError
from genlink.kb.readers import TableColumns, read_concepts
from genlink.schema import Concept

FIXTURES = Path(__file__).parent / "fixtures"


def test_columns_are_found_by_their_usual_names_and_tab_separated_fields_are_verbatim():
    assert list(read_concepts(FIXTURES / "concepts.tsv", "table")) == [
        Concept("PRET:1", ("quill", "spine", "barb"), ("anatomy", "animal"), 'A "hollow" spine.'),
        Concept("PRET:2", ('"salt" marsh',)),
    ]


def test_without_synonyms_rows_of_one_id_are_names_of_one_concept():
    assert list(read_concepts(FIXTURES / "names.csv", "table")) == [
        Concept("PRET:1", ("quill", "spine")),
        Concept("PRET:2", ("marsh, salt",)),
    ]


def test_grouped_rows_unite_types_and_ids_and_keep_the_first_definition(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("id,name,type,definition,alt_id,xrefs\nA,a,x,,1,\nA,b,y|x,first,2,m\nA,b,,second,,n\n")
    assert list(read_concepts(path, "table")) == [
        Concept("A", ("a", "b"), ("x", "y"), "first", alternative_ids=("1", "2"), xrefs=("m", "n"))
    ]


def test_with_synonyms_rows_of_one_id_are_yielded_as_they_are(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("id,name,synonyms\nA,a,b\nA,c,\n")
    assert list(read_concepts(path, "table")) == [Concept("A", ("a", "b")), Concept("A", ("c",))]


def test_named_columns_and_separator(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("name,key,label,more\nignored,A,a|b,c; d\n")
    columns = TableColumns(id="key", name="label", synonyms="more", separator=";")
    assert list(read_concepts(path, table=columns)) == [Concept("A", ("a|b", "c", "d"))]


@pytest.mark.parametrize("file", ["t.txt", "t.csv"])
def test_the_delimiter_is_found_where_the_name_does_not_tell_it(tmp_path: Path, file):
    path = tmp_path / file
    path.write_text('id;name\nA;"a;b"\n')
    assert list(read_concepts(path, "table")) == [Concept("A", ("a;b",))]


@pytest.mark.parametrize(
    ("text", "columns", "line", "problem"),
    [
        ("id,nom\nA,a\n", None, 1, "no columns that look like an id and a name. Columns found: id, nom."),
        ("id,nom\nA,a\n", TableColumns(), 1, "no column `name` for name. Columns found: id, nom."),
        ("id,name\nA,a\n", TableColumns(xrefs="x"), 1, "no column `x` for xrefs. Columns found: id, name."),
        ("id,name\nA,a\nB\n", None, 3, "1 fields, expected 2. Header: id, name."),
        ("id,name\nA,a\nB,b,c\n", None, 3, "3 fields, expected 2."),
        ('id,name\nA,"a\na"\n\n,b\n', None, 5, "a record without a concept id."),
        ("id,name\nA,a\nB, \n", None, 3, "concept B has no name."),
        ("id,name,synonyms\nA,a,\nB,,\n", None, 3, "concept B has no name."),
        ('id,name\nA,a\nB,"b\n', None, 3, "a broken row (unexpected end of data)."),
    ],
)
def test_what_does_not_fit_the_header_is_an_error_with_its_line(tmp_path: Path, text, columns, line, problem):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(FormatError) as error:
        list(read_concepts(path, "table", table=columns))
    assert str(error.value).startswith(f"{path}:{line}: {problem}")


fields = st.text(st.characters(blacklist_characters="|\r\0", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(st.dictionaries(fields, st.lists(fields, min_size=1, max_size=3, unique=True)))
def test_what_is_written_as_csv_is_read_back(tmp_path_factory, names_of):
    path = tmp_path_factory.mktemp("round") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["id", "name", "synonyms"])
        writer.writerows([concept_id, names[0], "|".join(names[1:])] for concept_id, names in names_of.items())
    assert list(read_concepts(path, "table")) == [Concept(key, tuple(names)) for key, names in names_of.items()]
