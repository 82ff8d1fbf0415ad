"""OBO files and OBO Graphs: two spellings of the same ontology."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.errors import FormatError, UsageError
from genlink.kb.readers import read_concepts
from genlink.kb.readers.obographs import curie
from genlink.schema import Concept

FIXTURES = Path(__file__).parent / "fixtures"

QUILL = Concept(
    "PRET:0000001",
    ("quill", "spine", "quills", "wow ! quill", "barb"),
    types=("pretend",),
    definition='A spine, "sharp"! Often hollow.',
    alternative_ids=("PRET:0000009",),
    xrefs=("MESH:Q900", "FMA:9"),
)
MARSH = Concept("PRET:0000002", ("marsh, salt", "salt marsh"), types=("places",))


@pytest.mark.parametrize(("file", "format"), [("terms.obo", "obo"), ("terms.json", "obographs")])
def test_both_spellings_give_the_same_concepts_without_obsolete_and_unnamed_ones(file, format):
    assert list(read_concepts(FIXTURES / file, format)) == [QUILL, MARSH]


@pytest.mark.parametrize("file", ["terms.obo", "terms.json"])
@pytest.mark.parametrize(
    ("scopes", "quill", "marsh"),
    [
        (["EXACT"], ("quill", "spine", "quills"), ("marsh, salt", "salt marsh")),
        (["BROAD"], ("quill", "feather"), ("marsh, salt",)),
        (["NARROW"], ("quill",), ("marsh, salt", "tiny marsh")),
        (["RELATED"], ("quill", "wow ! quill", "barb"), ("marsh, salt",)),
        ([], ("quill",), ("marsh, salt",)),
    ],
)
def test_scopes_select_synonyms(file, scopes, quill, marsh):
    assert [concept.names for concept in read_concepts(FIXTURES / file, scopes=scopes)] == [quill, marsh]


def test_unknown_scope_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown synonym scope `exact`\. Known: EXACT, RELATED, NARROW, BROAD"):
        read_concepts(FIXTURES / "terms.obo", scopes=["exact"])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[Term]\nid: A:1\nname: a\nrubbish\n", 4, "neither a stanza nor `tag: value`: 'rubbish'"),
        ("[Term]\nid: A:1\nname: a\n\n[Term]\nname: b\n", 5, "a term without an id"),
        ("[Term]\nid: A:1\nname: a\nsynonym: b EXACT []\n", 1, "a synonym of A:1 is not in quotes: 'b EXACT []'"),
        ("[Term]\nid: A:1\nname: a\ndef: b\n", 1, "the definition of A:1 is not in quotes: 'b'"),
        ("[Term]\nid: \nname: a\n", 1, "a record without a concept id"),
    ],
)
def test_broken_obo_is_an_error_with_the_line_of_the_tag_or_its_term(tmp_path: Path, text, line, problem):
    path = tmp_path / "o.obo"
    path.write_text("format-version: 1.4\n" + text)
    with pytest.raises(FormatError) as error:
        list(read_concepts(path, "obo"))
    assert str(error.value).startswith(f"{path}:{line + 1}: {problem}")


def test_terms_need_no_blank_lines_between_them_and_may_have_some_within(tmp_path: Path):
    path = tmp_path / "o.obo"
    path.write_text("ontology: o\n[Term]\nid: A:1\n\nname: a\n[Term]\nid: A:2\nname: b\n[Annotation]\nsubject=x\n")
    with pytest.raises(FormatError, match=r"o\.obo:10: neither"):
        list(read_concepts(path, "obo"))
    path.write_text("ontology: o\n[Term]\nid: A:1\n\nname: a\n[Term]\nid: A:2\nname: b\n[Other]\nsubject: x\n")
    assert [concept.name for concept in read_concepts(path, "obo")] == ["a", "b"]


printable = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=12)


def escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in '\\"{}[](),:!' else c for c in text)


@given(st.lists(printable, min_size=1, max_size=4, unique=True), printable)
def test_names_and_definitions_survive_obo_escapes(tmp_path_factory, names, definition):
    path = tmp_path_factory.mktemp("round") / "o.obo"
    synonyms = "".join(f'synonym: "{escaped(name)}" EXACT []\n' for name in names[1:])
    path.write_text(
        f'ontology: o\n\n[Term]\nid: A:1\nname: {escaped(names[0])}\ndef: "{escaped(definition)}" []\n{synonyms}',
        encoding="utf-8",
    )
    assert list(read_concepts(path, "obo")) == [Concept("A:1", tuple(names), definition=definition)]


@pytest.mark.parametrize(
    ("iri", "short"),
    [
        ("http://purl.obolibrary.org/obo/MONDO_0000001", "MONDO:0000001"),
        ("https://purl.obolibrary.org/obo/NCIT_C100012", "NCIT:C100012"),
        ("http://purl.obolibrary.org/obo/NCBITaxon_Union_0000001", "NCBITaxon_Union:0000001"),
        ("http://www.ebi.ac.uk/efo/EFO_0000400", "EFO:0000400"),
        ("http://www.orpha.net/ORDO/Orphanet_558", "Orphanet:558"),
        ("MONDO:0000001", "MONDO:0000001"),
        ("http://www.ifomis.org/bfo/1.1/snap#Disposition", "http://www.ifomis.org/bfo/1.1/snap#Disposition"),
    ],
)
def test_iris_of_ontologies_become_short_ids(iri, short):
    assert curie(iri) == short


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "no list `graphs`"),
        ({"nodes": []}, "no list `graphs`"),
        ({"graphs": ["x"]}, r"graphs\[0\] is no object"),
        ({"graphs": [{"nodes": ["x"]}]}, r"graphs\[0\].nodes\[0\] does not follow the schema"),
        ({"graphs": [{"nodes": [{"type": "CLASS", "lbl": "a"}]}]}, r"graphs\[0\].nodes\[0\] .*KeyError\('id'\)"),
        ({"graphs": [{"nodes": [{"type": "CLASS", "id": "A:1", "lbl": 5}]}]}, r"graphs\[0\].nodes\[0\]"),
    ],
)
def test_json_that_is_no_obo_graph_is_an_error_that_names_the_node(tmp_path: Path, document, problem):
    path = tmp_path / "o.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=problem):
        list(read_concepts(path, "obographs"))


def test_broken_json_is_an_error_with_its_line(tmp_path: Path):
    path = tmp_path / "o.json"
    path.write_text('{\n"graphs": ]\n')
    with pytest.raises(FormatError, match=r"o\.json:2: not JSON"):
        list(read_concepts(path, "obographs"))
