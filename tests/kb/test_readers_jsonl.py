"""JSON lines, GenLink's own form and scispaCy's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import FormatError
from genlink.kb.readers import read_concepts
from genlink.schema import Concept

FIXTURES = Path(__file__).parent / "fixtures"


def test_own_form():
    assert list(read_concepts(FIXTURES / "concepts.jsonl", "jsonl")) == [
        Concept("PRET:1", ("quill", "spine"), definition="A spine.", xrefs=("MESH:Q900",)),
        Concept("PRET:2", ("Öland fever",), types=("fever",), alternative_ids=("OLD:2",)),
        Concept("PRET:3", ("marsh",)),
    ]


def test_form_of_scispacy():
    assert list(read_concepts(FIXTURES / "scispacy.jsonl", "jsonl")) == [
        Concept("C9000001", ("Quill", "Spine"), types=("T024", "T017"), definition="A spine."),
        Concept("C9000002", ("Marsh",), types=("T083",)),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "B", "name": null}', "no `name`."),
        ('{"id": "B"}', "no `name`."),
        ('{"name": "b"}', "no `id`."),
        ('{"id": 5, "name": "b"}', "`id` is 5, expected a string"),
        ('{"id": "B", "name": " "}', "`name` is ' ', expected a string that is not empty"),
        ('{"id": "B", "name": "b", "synonyms": "c"}', "`synonyms` is not a list of strings"),
        ('{"id": "B", "name": "b", "xrefs": [1]}', "`xrefs` is not a list of strings"),
        ('{"id": "B", "name": "b", "definition": ["c"]}', "`definition` is not a string"),
        ('{"concept_id": "B", "name": "b"}', "no `canonical_name`."),
        ('["B", "b"]', "expected a JSON object, found list"),
        ('{"id": "B",', "not JSON"),
    ],
)
def test_a_line_that_is_no_concept_is_an_error_with_its_number(tmp_path: Path, line, problem):
    path = tmp_path / "kb.jsonl"
    path.write_text('{"id": "A", "name": "a"}\n\n' + line + "\n")
    with pytest.raises(FormatError) as error:
        list(read_concepts(path, "jsonl"))
    assert str(error.value).startswith(f"{path}:3: {problem}")


texts = st.text(min_size=1).map(str.strip).filter(bool)
lists = st.lists(texts, max_size=3, unique=True)


@given(texts, lists.filter(bool), st.none() | texts, lists, lists)
def test_what_is_written_is_read_back(tmp_path_factory, concept_id, names, definition, types, xrefs):
    path = tmp_path_factory.mktemp("round") / "kb.jsonl"
    record = {
        "id": concept_id,
        "name": names[0],
        "synonyms": names[1:],
        "definition": definition,
        "types": types,
        "xrefs": xrefs,
    }
    path.write_text(json.dumps(record) + "\n")
    assert list(read_concepts(path, "jsonl")) == [
        Concept(concept_id, tuple(names), tuple(types), definition, xrefs=tuple(xrefs))
    ]
