"""What holds for every format: sniffing, gzip, encodings, options, empty files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlink.errors import DataError, FormatError, UsageError
from genlink.kb.readers import FORMATS, TableColumns, UmlsFilter, read_concepts, sniff

FIXTURES = Path(__file__).parent / "fixtures"
FORMAT_OF = {
    "biosyn.txt": "biosyn",
    "medic.txt": "medic",
    "ctd_diseases.tsv": "ctd",
    "ctd_chemicals.csv": "ctd",
    "terms.obo": "obo",
    "terms.json": "obographs",
    "concepts.jsonl": "jsonl",
    "scispacy.jsonl": "jsonl",
    "concepts.tsv": "table",
    "names.csv": "table",
    "umls/MRCONSO.RRF": "umls",
}
every_file = pytest.mark.parametrize(("file", "format"), FORMAT_OF.items())
every_format = pytest.mark.parametrize("format", FORMATS)


def test_every_format_has_a_fixture():
    assert set(FORMAT_OF.values()) == set(FORMATS)


@every_file
def test_the_format_is_told_from_the_file(file, format):
    assert sniff(FIXTURES / file) == format
    assert list(read_concepts(FIXTURES / file)) == list(read_concepts(FIXTURES / file, format)) != []


@every_file
def test_the_format_is_told_from_the_content_where_the_name_does_not_help(tmp_path: Path, file, format):
    path = tmp_path / "vocabulary"
    path.write_bytes((FIXTURES / file).read_bytes())
    assert sniff(path) == format


def test_a_directory_is_a_umls_release_or_an_error(tmp_path: Path):
    assert sniff(FIXTURES / "umls") == "umls"
    with pytest.raises(FormatError, match=r"a directory without MRCONSO\.RRF"):
        sniff(tmp_path)


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("A||a|b\nB||c\n", "medic"),
        ("A||a|b\nA||c\n", "biosyn"),
        ("A|1||a|b\nB||c\nA|2||d\n", "biosyn"),
        ("A||a\nB||b\n", "biosyn"),
        ('{"id": "A", "name": "a"}\n', "jsonl"),
        ('{"graphs": []}\n', "obographs"),
        ("[Term]\nid: A:1\n", "obo"),
        ("CUI\tLabel\n", "table"),
    ],
)
def test_first_lines_that_tell_the_format(tmp_path: Path, text, format):
    path = tmp_path / "vocabulary.txt"
    path.write_text(text)
    assert sniff(path) == format


@pytest.mark.parametrize("text", ["just prose\n", "# a comment\nmore\n", "a\tb\n"])
def test_a_format_that_cannot_be_told_is_an_error_that_asks_for_it(tmp_path: Path, text):
    path = tmp_path / "vocabulary.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"its format cannot be told .* Pass --format"):
        read_concepts(path)


def test_an_empty_file_has_no_format_to_tell(tmp_path: Path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n \n")
    with pytest.raises(FormatError, match="is empty, so its format cannot be told"):
        read_concepts(path)


@every_format
def test_an_empty_file_of_a_named_format_has_no_concepts(tmp_path: Path, format):
    path = tmp_path / "MRCONSO.RRF"
    path.write_text("")
    assert list(read_concepts(path, format)) == []


@every_file
def test_gzipped_or_not_is_the_same(tmp_path: Path, file, format):
    # Beside MRCONSO stands no other table here, so the plain file is read from the same lonely place.
    plain, packed = tmp_path / Path(file).name, tmp_path / f"{Path(file).name}.gz"
    plain.write_bytes((FIXTURES / file).read_bytes())
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert sniff(packed) == format
    assert list(read_concepts(packed)) == list(read_concepts(plain))


@every_file
def test_a_truncated_gzip_is_an_error_that_says_so(tmp_path: Path, file, format):
    path = tmp_path / f"{Path(file).name}.gz"
    path.write_bytes(gzip.compress((FIXTURES / file).read_bytes())[:-12])
    with pytest.raises(FormatError, match="truncated or broken gzip"):
        list(read_concepts(path, format))


def test_another_encoding_is_an_error_until_it_is_named(tmp_path: Path):
    path = tmp_path / "d.txt"
    path.write_bytes("A||Sjögren\n".encode("latin-1"))
    with pytest.raises(FormatError, match=r"d\.txt:1: not UTF-8 text\. .*--encoding"):
        list(read_concepts(path, "biosyn"))
    (concept,) = read_concepts(path, encoding="latin-1")
    assert concept.name == "Sjögren"


@every_file
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, file, format):
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    plain.write_bytes((FIXTURES / file).read_bytes())
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert list(read_concepts(marked, format)) == list(read_concepts(plain, format))


def test_an_unknown_format_is_refused_at_once_with_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown knowledge base format `owl`\. Known: auto, biosyn, medic, ctd"):
        read_concepts(FIXTURES / "terms.obo", "owl")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"table": TableColumns()}, "`table` is for the format table, not obo"),
        ({"umls": UmlsFilter()}, "`umls` is for the format umls, not obo"),
    ],
)
def test_an_option_of_another_format_is_refused_at_once(options, problem):
    with pytest.raises(UsageError, match=problem):
        read_concepts(FIXTURES / "terms.obo", "obo", **options)


def test_scopes_are_for_ontologies_only():
    with pytest.raises(UsageError, match="`scopes` is for the format obo or obographs, not jsonl"):
        read_concepts(FIXTURES / "concepts.jsonl", scopes=["EXACT"])


@every_format
def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, format):
    with pytest.raises(DataError, match="no such file"):
        list(read_concepts(tmp_path / "none", format))
    with pytest.raises(DataError, match="no such file"):
        read_concepts(tmp_path / "none")


def test_reading_is_lazy():
    assert isinstance(read_concepts(FIXTURES / "concepts.jsonl"), Iterator)
