"""Our own JSON lines, CRAFT's, and BigBIO's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genlink.corpora import sniff_format
from genlink.corpora.readers import read_bigbio, read_json_lines, read_spacy
from genlink.errors import FormatError
from genlink.schema import Document, Passage

Reader = Callable[..., Iterator[Document]]


def read(tmp_path: Path, reader: Reader, *records: Any) -> list[Document]:
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    return list(reader(path))


def own(**changes: Any) -> dict[str, Any]:
    mention = {"id": "m", "spans": [[0, 5]], "text": "Fever", "type": "Disease", "gold": [["D1", "D2"], []]}
    return {"id": "d", "text": "Fever and rash.", "mentions": [mention | changes]}


def craft(**changes: Any) -> dict[str, Any]:
    entity = {"type": "UBERON", "spans": [[0, 4]], "text": "Limb", "id": "UBERON:0002101"}
    return {"id": "17", "text": "Limb buds grow.", "entities": [entity | changes]}


def bigbio(**changes: Any) -> dict[str, Any]:
    entity = {
        "id": "T1",
        "type": "Disease",
        "text": ["Liver", "failure"],
        "offsets": [[0, 5], [17, 24]],
        "normalized": [{"db_name": "MESH", "db_id": "D1"}],
    }
    passages = [
        {"id": "p1", "type": "title", "text": ["Liver and kidney failure."], "offsets": [[0, 25]]},
        {"id": "p2", "type": "abstract", "text": ["Rash."], "offsets": [[26, 31]]},
    ]
    return {"id": "0", "document_id": "b", "passages": passages, "entities": [entity | changes]}


def test_our_own_form_holds_everything_a_mention_has(tmp_path: Path) -> None:
    record = own(part_texts=["Fever", "rash"]) | {"passages": [{"kind": "title", "start": 0, "end": 15}]}
    (document,) = read(tmp_path, read_json_lines, record)
    assert document.passages == (Passage("title", 0, 15),)
    (mention,) = document.mentions
    assert mention.context is document.text
    assert (mention.document_id, mention.mention_id, mention.spans, mention.type) == ("d", "m", ((0, 5),), "Disease")
    assert mention.gold == (frozenset({"D1", "D2"}), frozenset())
    assert mention.part_texts == ("Fever", "rash")


def test_null_or_missing_gold_is_unlabelled_and_an_empty_list_is_nil(tmp_path: Path) -> None:
    missing = own()
    del missing["mentions"][0]["gold"]
    documents = read(
        tmp_path, read_json_lines, own(gold=None), missing, own(gold=[]), own(gold=[[]]), own(gold=[["-1"]])
    )
    assert [d.mentions[0].gold for d in documents] == [None, None, (frozenset(),), (frozenset(),), (frozenset(),)]


def test_documents_without_mentions_and_mentions_without_ids_are_fine(tmp_path: Path) -> None:
    bare, unnamed = {"id": "x", "text": "Nothing."}, own(id="")
    documents = read(tmp_path, read_json_lines, bare, unnamed)
    assert documents[0].mentions == ()
    assert documents[1].mentions[0].mention_id == "0"


def test_repeated_document_ids_are_made_unique(tmp_path: Path) -> None:
    assert [d.document_id for d in read(tmp_path, read_json_lines, own(), own())] == ["d", "d#2"]


def test_in_crafts_form_the_id_is_the_concepts(tmp_path: Path) -> None:
    documents = read(tmp_path, read_json_lines, craft(), craft(id=None), craft(id="-1"))
    assert [d.mentions[0].gold for d in documents] == [(frozenset({"UBERON:0002101"}),), None, (frozenset(),)]
    assert [d.mentions[0].mention_id for d in documents] == ["0", "0", "0"]


def test_craft_mentions_may_be_nested_and_discontinuous(tmp_path: Path) -> None:
    record = craft(spans=[[0, 4], [10, 14]], text="Limb ... grow")
    record["entities"].append({"type": "UBERON", "spans": [[0, 9]], "text": "Limb buds", "id": "UBERON:0004347"})
    (document,) = read(tmp_path, read_json_lines, record)
    assert [m.spans for m in document.mentions] == [((0, 4), (10, 14)), ((0, 9),)]
    assert document.mentions[0].is_discontinuous


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"text": "No id."}, "no `id`. Found: text"),
        ({"id": "d", "text": 5}, "`text` is int, expected a string"),
        ({"id": "d", "text": "", "mentions": {}}, "`mentions` is dict, expected a list"),
        ({"id": "d", "text": "", "mentions": ["m"]}, "`mentions` holds str, expected an object"),
        (own(spans=[[0]]), r"`spans` holds \[0\], expected \[start, end\]"),
        (own(spans=[[0, 1.5]]), r"expected \[start, end\]"),
        (own(gold=["D1"]), "`gold` holds str, expected a list"),
        (own(gold="D1"), "`gold` is str, expected a list"),
        (own(type=3), "`type` is int, expected a string"),
        (craft(id=7), "`id` is int, expected a string"),
        (own() | {"passages": [{"kind": "t", "start": 0}]}, "no `end`"),
    ],
)
def test_a_record_that_lacks_something_is_an_error_with_its_line(tmp_path: Path, record: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=rf"corpus\.jsonl:2: .*{problem}"):
        read(tmp_path, read_json_lines, own(), record)


def test_bigbio_passages_are_put_together_by_their_offsets(tmp_path: Path) -> None:
    (document,) = read(tmp_path, read_bigbio, bigbio())
    assert (document.document_id, document.text) == ("b", "Liver and kidney failure. Rash.")
    assert document.passages == (Passage("title", 0, 25), Passage("abstract", 26, 31))
    (mention,) = document.mentions
    assert (mention.mention_id, mention.text, mention.spans) == ("T1", "Liver failure", ((0, 5), (17, 24)))


def test_bigbio_ids_get_their_vocabulary_as_prefix(tmp_path: Path) -> None:
    ids = [{"db_name": "MESH", "db_id": "D1"}, {"db_name": "OMIM", "db_id": "OMIM:7"}, {"db_name": "", "db_id": "C0"}]
    (document,) = read(tmp_path, read_bigbio, bigbio(normalized=ids))
    assert document.mentions[0].gold == (frozenset({"MESH:D1"}), frozenset({"OMIM:7"}), frozenset({"C0"}))


def test_bigbio_without_ids_is_unlabelled_and_minus_one_is_nil(tmp_path: Path) -> None:
    documents = read(
        tmp_path, read_bigbio, bigbio(normalized=[]), bigbio(normalized=[{"db_name": "MESH", "db_id": "-1"}])
    )
    assert [d.mentions[0].gold for d in documents] == [None, (frozenset(),)]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"document_id": "b", "entities": []}, "no `passages`"),
        (bigbio(text="Liver"), "`text` is str, expected a list"),
        (bigbio(offsets=[[0]]), r"expected \[start, end\]"),
        (bigbio() | {"passages": [{"type": "t", "text": ["a", "b"], "offsets": [[0, 1]]}]}, "2 texts for 1 offsets"),
        (
            bigbio() | {"passages": [{"text": ["abc"], "offsets": [[0, 3]]}, {"text": ["d"], "offsets": [[1, 2]]}]},
            "document b#2: the passage at offset 1 overlaps",
        ),
    ],
)
def test_what_is_not_bigbio_is_an_error_with_its_line(tmp_path: Path, record: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=rf"corpus\.jsonl:2: .*{problem}"):
        read(tmp_path, read_bigbio, bigbio(), record)


ENT = {"start": 0, "end": 5, "label": "Disease", "kb_id": "D1|D2"}


def test_spacys_texts_have_labels_ids_and_running_numbers(tmp_path: Path) -> None:
    documents = read(tmp_path, read_spacy, {"text": "Fever", "ents": [ENT]}, {"text": "Rash", "spans": [[0, 4]]})
    assert [(d.document_id, d.text) for d in documents] == [("1", "Fever"), ("2", "Rash")]
    [fever], [rash] = (document.mentions for document in documents)
    assert (fever.text, fever.type, fever.gold) == ("Fever", "Disease", (frozenset({"D1"}), frozenset({"D2"})))
    assert (rash.text, rash.spans, rash.type, rash.gold) == ("Rash", ((0, 4),), None, None)


@pytest.mark.parametrize("text", ['[{"text": "Fever", "ents": []}]', '{\n"text": "Fever",\n"ents": []\n}', "[\n]"])
def test_a_file_of_one_json_value_is_a_text_or_a_list_of_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(text, encoding="utf-8")
    assert [document.text for document in read_spacy(path)] == ["Fever"] * ("Fever" in text)
    assert sniff_format(path) == ("spacy" if "Fever" in text else "bioc-json")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"ents": []}, "no `text`"),
        ({"text": "Fever"}, "no `spans`"),
        ({"text": "Fever", "ents": [{"start": 0}]}, "no `end`"),
        ({"text": "Fever", "ents": [ENT | {"start": 5}]}, "the span 5 to 5"),
        ({"text": "Fever", "ents": [ENT | {"label": ["x"]}]}, "`label` is list, expected a string"),
        ({"text": "Fever", "spans": [[0, "5"]]}, r"expected \[start, end\]"),
    ],
)
def test_what_is_no_text_with_spans_is_an_error_with_its_line(tmp_path: Path, record: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=rf"corpus\.jsonl:2: .*{problem}"):
        read(tmp_path, read_spacy, {"text": "Fever", "ents": [ENT]}, record)
