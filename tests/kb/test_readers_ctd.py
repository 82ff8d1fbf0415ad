"""CTD's own downloads of diseases and chemicals."""

from __future__ import annotations

from pathlib import Path

import pytest

from genlink.errors import FormatError
from genlink.kb.readers import read_concepts
from genlink.schema import Concept

FIXTURES = Path(__file__).parent / "fixtures"
HEADER = "# Fields:\n# DiseaseName\tDiseaseID\tSynonyms\n#\n"


def test_diseases_keep_their_prefixes_and_lose_the_wrapper_of_disease_ontology_ids():
    assert list(read_concepts(FIXTURES / "ctd_diseases.tsv", "ctd")) == [
        Concept(
            "MESH:Q001",
            ("Quillpox", "Quill pox", "Pox, quill"),
            types=("Infection", "Skin disease"),
            definition='A pox of "quills".',
            alternative_ids=("DOID:0900001", "OMIM:900002"),
        ),
        Concept("OMIM:900003", ("Marsh ague",), types=("Infection",)),
    ]


def test_chemicals_have_names_in_every_column_of_synonyms_and_may_be_comma_separated():
    assert list(read_concepts(FIXTURES / "ctd_chemicals.csv", "ctd")) == [
        Concept(
            "MESH:QC01",
            ("1,2-quillane", "Quillane, 1,2-", "ortho-quillane", "quillol"),
            definition="A solvent, mostly.",
            xrefs=("CAS:900-00-1",),
        ),
        Concept("MESH:QC02", ("marshine",)),
    ]


def test_a_row_may_start_with_the_comment_sign_once_rows_have_begun(tmp_path: Path):
    path = tmp_path / "ctd.tsv"
    path.write_text(f"{HEADER}a\tMESH:1\t\n#2 disease\tMESH:2\t\n")
    assert [concept.name for concept in read_concepts(path, "ctd")] == ["a", "#2 disease"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("# CTD\na\tMESH:1\n", 2, "no `# Fields:` line before the first row"),
        ("# Fields:\n# GeneSymbol\tGeneID\n#\nA\t1\n", 2, "neither CTD's diseases"),
        (f"{HEADER}a\tMESH:1\n", 4, "2 fields, expected 3"),
        (f"{HEADER}a\t\t\n", 4, "a record without a concept id"),
        (f"{HEADER}\tMESH:1\t\n", 4, "concept MESH:1 has no name"),
        ('# Fields:\n# DiseaseName,DiseaseID\n#\na,1\n"b"c,2\n', 5, "a broken row"),
    ],
)
def test_what_is_no_vocabulary_of_ctd_is_an_error_with_its_line(tmp_path: Path, text, line, problem):
    path = tmp_path / "ctd.tsv"
    path.write_text(text)
    with pytest.raises(FormatError) as error:
        list(read_concepts(path, "ctd"))
    assert str(error.value).startswith(f"{path}:{line}: {problem}")


def test_the_error_for_foreign_columns_lists_those_found(tmp_path: Path):
    path = tmp_path / "ctd.tsv"
    path.write_text("# Fields:\n# GeneSymbol\tGeneID\n#\nA\t1\n")
    with pytest.raises(FormatError, match="Columns found: GeneSymbol, GeneID"):
        list(read_concepts(path, "ctd"))


def test_comments_without_rows_have_no_concepts(tmp_path: Path):
    path = tmp_path / "ctd.tsv"
    path.write_text("# nothing yet\n")
    assert list(read_concepts(path, "ctd")) == []
