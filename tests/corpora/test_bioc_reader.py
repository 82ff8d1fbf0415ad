"""BioC as XML and as JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from genlink.corpora.readers import read_bioc_json, read_bioc_xml
from genlink.errors import DataError, FormatError
from genlink.schema import Document, Passage

XML = """<?xml version="1.0" encoding="UTF-8"?>
<collection><source>test</source><date>2020</date><key>k</key>
<document><id>11</id>
  <passage><infon key="type">title</infon><offset>0</offset><text>Fever &amp; rash.</text>
    <annotation id="a1"><infon key="type">Disease</infon><infon key="MESH">D005334</infon>
      <location offset="0" length="5"/><text>Fever</text></annotation>
  </passage>
  <passage><infon key="type">abstract</infon><offset>14</offset><text>Liver and kidney failure.</text>
    <annotation id="a2"><infon key="type">Disease</infon><infon key="identifier">D1|-1</infon>
      <infon key="CompositeRole">CompositeMention</infon>
      <location offset="14" length="24"/><text>Liver and kidney failure</text></annotation>
    <annotation id="a3"><infon key="type">Disease</infon><infon key="identifier">D1</infon>
      <infon key="CompositeRole">IndividualMention</infon>
      <location offset="14" length="5"/><location offset="31" length="7"/><text>Liver failure</text></annotation>
    <annotation id="a4"><infon key="type">Disease</infon>
      <location offset="14" length="5"/><location offset="31" length="7"/><text>Liver failure</text></annotation>
  </passage>
</document></collection>
"""


def read_xml(tmp_path: Path, xml: str = XML) -> list[Document]:
    path = tmp_path / "corpus.xml"
    path.write_text(xml, encoding="utf-8")
    return list(read_bioc_xml(path))


def test_passage_offsets_are_document_offsets_and_gaps_are_blanks(tmp_path: Path) -> None:
    (document,) = read_xml(tmp_path)
    assert document.document_id == "11"
    assert document.text == "Fever & rash. Liver and kidney failure."
    assert document.passages == (Passage("title", 0, 13), Passage("abstract", 14, 39))


def test_gold_ids_are_found_under_the_names_that_corpora_give_them(tmp_path: Path) -> None:
    (document,) = read_xml(tmp_path)
    assert [(m.mention_id, m.type, m.gold) for m in document.mentions] == [
        ("a1", "Disease", (frozenset({"D005334"}),)),
        ("a2", "Disease", (frozenset({"D1"}), frozenset())),
        ("a4", "Disease", None),
    ]


def test_the_parts_of_a_composite_that_are_annotated_again_are_left_out(tmp_path: Path) -> None:
    assert "a3" not in [m.mention_id for m in read_xml(tmp_path)[0].mentions]


def test_several_locations_make_a_discontinuous_mention(tmp_path: Path) -> None:
    mention = read_xml(tmp_path)[0].mentions[-1]
    assert mention.spans == ((14, 19), (31, 38))
    assert mention.text == "Liver failure"


def test_sentences_make_up_a_passage_without_text(tmp_path: Path) -> None:
    xml = """<collection><document><id>1</id><passage><offset>0</offset>
      <sentence><offset>0</offset><text>One.</text></sentence>
      <sentence><offset>5</offset><text>Two.</text><annotation id="s"><infon key="identifier">C1</infon>
        <location offset="5" length="3"/><text>Two</text></annotation></sentence></passage></document></collection>"""
    (document,) = read_xml(tmp_path, xml)
    assert document.text == "One. Two."
    assert document.mentions[0].text == document.text[5:8]


def test_a_gzipped_collection_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "corpus.xml.gz"
    path.write_bytes(gzip.compress(XML.encode()))
    assert [d.document_id for d in read_bioc_xml(path)] == ["11"]


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<collection>\n<document>\n</collection>", r"corpus\.xml:3: not XML"),
        (XML.replace('length="5"', 'length="x"'), "not a BioC collection"),
        (XML.replace("<offset>14</offset>", ""), "not a BioC collection"),
        (XML.replace("<offset>14</offset>", "<offset>5</offset>"), "passage at offset 5 overlaps the one before"),
        (XML.replace("<id>11</id>", ""), "a document has no id"),
    ],
)
def test_what_is_not_bioc_xml_is_an_error(tmp_path: Path, xml: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        read_xml(tmp_path, xml)


def test_a_broken_gzip_or_missing_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "corpus.xml.gz"
    path.write_bytes(gzip.compress(XML.encode())[:60])
    with pytest.raises(FormatError, match="truncated or broken gzip"):
        list(read_bioc_xml(path))
    with pytest.raises(DataError, match="no such file"):
        list(read_bioc_xml(tmp_path / "absent.xml"))


def json_document(document_id: str = "9") -> dict[str, Any]:
    annotation = {
        "id": "1",
        "infons": {"type": "Species", "identifier": "9606"},
        "text": "Patients",
        "locations": [{"offset": 0, "length": 8}],
    }
    passage = {
        "offset": 0,
        "infons": {"section_type": "TITLE"},
        "text": "Patients slept.",
        "sentences": [],
        "annotations": [annotation],
        "relations": [],
    }
    return {"id": document_id, "infons": {}, "passages": [passage], "annotations": [], "relations": []}


@pytest.mark.parametrize(
    "wrapped",
    [
        {"source": "", "date": "", "key": "", "infons": {}, "documents": [json_document()]},
        {"PubTator3": [json_document()]},
        [json_document()],
    ],
)
def test_json_collections_of_all_three_kinds_are_read(tmp_path: Path, wrapped: Any) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(wrapped, indent=1), encoding="utf-8")
    (document,) = read_bioc_json(path)
    assert document.text == "Patients slept."
    assert document.passages == (Passage("TITLE", 0, 15),)
    (mention,) = document.mentions
    assert (mention.text, mention.spans, mention.type, mention.gold_ids) == (
        "Patients",
        ((0, 8),),
        "Species",
        frozenset({"9606"}),
    )


def test_mention_ids_that_repeat_are_replaced_by_running_numbers(tmp_path: Path) -> None:
    record = json_document()
    record["passages"][0]["annotations"] *= 2
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps([record]), encoding="utf-8")
    assert [m.mention_id for m in next(read_bioc_json(path)).mentions] == ["0", "1"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"source": ""}, "no `documents`"),
        ([{"id": "3", "infons": {}}], "document 3 is not BioC .*passages"),
        (["text"], "is not BioC"),
    ],
)
def test_what_is_not_bioc_json_is_an_error(tmp_path: Path, value: Any, problem: str) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(FormatError, match=problem):
        list(read_bioc_json(path))
