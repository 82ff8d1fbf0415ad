"""BioSyn's dictionary form and the raw one-line form of MEDIC."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import FormatError
from genlink.kb.readers import read_concepts
from genlink.schema import Concept

FIXTURES = Path(__file__).parent / "fixtures"

words = st.text(st.characters(blacklist_characters="|\r\n", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda text: text == text.strip()
)


def test_rows_of_a_concept_may_be_scattered_and_their_alternative_ids_are_united():
    assert list(read_concepts(FIXTURES / "biosyn.txt", "biosyn")) == [
        Concept("Q001", ("Quillpox", "Quill pox, acute", "Pox | quill type"), alternative_ids=("900002",)),
        Concept("Q002", ("Marsh ague", "Ague, marsh"), alternative_ids=("900001", "900003")),
        Concept("Q003", ("Öland fever",)),
    ]


def test_medic_has_a_concept_a_line_and_names_between_bars():
    assert list(read_concepts(FIXTURES / "medic.txt", "medic")) == [
        Concept("Q001", ("Quillpox", "Quill pox, acute"), alternative_ids=("900002",)),
        Concept("Q002", ("Marsh ague", "Ague, marsh"), alternative_ids=("900001", "900003")),
        Concept("Q003", ("Öland fever",)),
    ]


def test_names_lose_outer_white_space_empty_ones_and_repetitions(tmp_path: Path):
    path = tmp_path / "d.txt"
    path.write_text("A|B|B|A|||  x \nA||\n\nA||x\n A ||y\n")
    # The first `||` ends the ids, so the first row's name is `|  x`.
    assert list(read_concepts(path, "biosyn")) == [Concept("A", ("|  x", "x", "y"), alternative_ids=("B",))]


@pytest.mark.parametrize("format", ["biosyn", "medic"])
@pytest.mark.parametrize(
    ("row", "line", "problem"),
    [
        ("B|name", 2, "no `||` between id and name"),
        ("||name", 2, "no concept id before `||`"),
        ("B|| ", 2, "concept B has no name"),
    ],
)
def test_a_row_that_is_no_id_and_name_is_an_error_with_its_line(tmp_path: Path, format, row, line, problem):
    path = tmp_path / "d.txt"
    path.write_text(f"A||first\n{row}\n")
    with pytest.raises(FormatError) as error:
        list(read_concepts(path, format))
    assert str(error.value).startswith(f"{path}:{line}: {problem}")


dictionaries = st.dictionaries(
    words, st.tuples(st.lists(words, max_size=2, unique=True), st.lists(words, min_size=1, max_size=4, unique=True))
)


@given(dictionaries, st.booleans())
def test_what_is_written_in_either_form_is_read_back(tmp_path_factory, dictionary, one_line):
    path = tmp_path_factory.mktemp("round") / "d.txt"
    rows = []
    for concept_id, (alternatives, names) in dictionary.items():
        ids = "|".join([concept_id, *alternatives])
        rows += [f"{ids}||{'|'.join(names)}"] if one_line else [f"{ids}||{name}" for name in names]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    assert list(read_concepts(path, "medic" if one_line else "biosyn")) == [
        Concept(concept_id, tuple(names), alternative_ids=tuple(a for a in alternatives if a != concept_id))
        for concept_id, (alternatives, names) in dictionary.items()
    ]
