"""The UMLS in Rich Release Format: an invented release of three concepts."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from genlink.errors import DataError, FormatError, UsageError
from genlink.kb.readers import UmlsFilter, read_concepts
from genlink.schema import Concept

RELEASE = Path(__file__).parent / "fixtures" / "umls"

QUILL = Concept(
    "C9000001",
    ("Quill", "Spine of a quill", "Quill structure", "Calamus"),
    types=("T024", "T017"),
    definition="A hollow spine.",
    alternative_ids=("C8000001", "C8000005"),
)
MARSH = Concept("C9000002", ("Salty marsh", "Salt marsh"), types=("T083",))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RELEASE, tmp_path / "META"))


def names(release: Path, **chosen) -> dict[str, tuple[str, ...]]:
    return {c.concept_id: c.names for c in read_concepts(release, "umls", umls=UmlsFilter(**chosen))}


def test_english_names_that_are_not_suppressed_preferred_one_first():
    # The name of C9000001 in its last row shows that rows need not be grouped by concept.
    assert list(read_concepts(RELEASE, "umls")) == [QUILL, MARSH]


def test_the_path_may_be_the_release_its_meta_directory_or_mrconso_itself(release: Path):
    for path in (release, release.parent, release / "MRCONSO.RRF"):
        assert list(read_concepts(path)) == [QUILL, MARSH]


def test_tables_may_be_gzipped(release: Path):
    for table in list(release.iterdir()):
        (release / f"{table.name}.gz").write_bytes(gzip.compress(table.read_bytes()))
        table.unlink()
    assert list(read_concepts(release)) == [QUILL, MARSH]


def test_tables_beside_mrconso_may_be_missing(release: Path):
    for table in ("MRSTY", "MRDEF", "MRCUI"):
        (release / f"{table}.RRF").unlink()
    assert list(read_concepts(release)) == [Concept("C9000001", QUILL.names), Concept("C9000002", MARSH.names)]


def test_languages():
    assert names(RELEASE, languages=("SPA", "FRE")) == {"C9000001": ("Cañón",), "C9000003": ("Tourbière",)}
    assert set(names(RELEASE, languages=())) == {"C9000001", "C9000002", "C9000003"}


def test_sources():
    assert names(RELEASE, sources=("SNOMEDCT_US",)) == {
        "C9000001": ("Quill structure",),
        "C9000002": ("Salty marsh", "Salt marsh"),
    }


def test_term_types():
    assert names(RELEASE, term_types=("PT",)) == {"C9000001": ("Quill structure",), "C9000002": ("Salt marsh",)}


def test_semantic_types_select_concepts_which_keep_all_their_types():
    (quill,) = read_concepts(RELEASE, umls=UmlsFilter(semantic_types=("T017",)))
    assert quill == QUILL


def test_suppressed_names_and_definitions_come_in_when_asked_for():
    quill = next(iter(read_concepts(RELEASE, umls=UmlsFilter(suppressed=True))))
    assert "Quyll" in quill.names
    assert quill.definition == "An old definition."


@pytest.mark.parametrize(
    ("chosen", "definition"),
    [
        ({"languages": ("SPA",)}, "Tubo hueco."),
        ({"languages": ()}, "Tubo hueco."),
        ({"sources": ("NCI",)}, "A part of a feather."),
        ({"sources": ("SNOMEDCT_US",)}, None),
    ],
)
def test_definitions_come_from_sources_in_the_languages_and_sources_chosen(chosen, definition):
    assert next(iter(read_concepts(RELEASE, umls=UmlsFilter(**chosen)))).definition == definition


def test_a_filter_that_nothing_passes_is_an_error():
    with pytest.raises(UsageError, match="none of its 9 names passes the filter"):
        list(read_concepts(RELEASE, umls=UmlsFilter(sources=("RXNORM",))))


def test_a_filter_by_semantic_types_needs_the_table_of_types(release: Path):
    (release / "MRSTY.RRF").unlink()
    with pytest.raises(DataError, match=r"no MRSTY\.RRF"):
        list(read_concepts(release, umls=UmlsFilter(semantic_types=("T017",))))


@pytest.mark.parametrize(("table", "fields"), [("MRCONSO", 18), ("MRSTY", 6), ("MRDEF", 8), ("MRCUI", 7)])
def test_a_row_with_a_wrong_number_of_fields_is_an_error_with_its_line(release: Path, table, fields):
    path = release / f"{table}.RRF"
    whole = path.read_text(encoding="utf-8")
    line = whole.count("\n") + 1
    path.write_text(whole + "C9|" * (fields - 1) + "\n", encoding="utf-8")
    with pytest.raises(FormatError) as error:
        list(read_concepts(release))
    assert str(error.value) == f"{path}:{line}: {fields - 1} fields, expected {fields}. Is this a full UMLS release?"


def test_a_row_that_is_cut_off_is_an_error(release: Path):
    path = release / "MRSTY.RRF"
    path.write_text("C9000001|T024|A1|Tissue|AT1|25\n")
    with pytest.raises(FormatError, match=r"MRSTY\.RRF:1: the row does not end in `\|`"):
        list(read_concepts(release))


def test_a_directory_without_mrconso_is_an_error_that_says_where_to_get_it(tmp_path: Path):
    with pytest.raises(DataError, match=r"no MRCONSO\.RRF in this directory.*uts\.nlm\.nih\.gov"):
        list(read_concepts(tmp_path, "umls"))
