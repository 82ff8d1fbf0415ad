"""``genlink link`` on corpora: every form that is read is written again, with the answers in their places."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from calls import Run
from link_files import text_of, write

from genlink.corpora import load_corpus


def test_tagged_tokens_come_back_with_ids_behind_their_tags(run: Run) -> None:
    write("tokens.conll", "No O\nheart B-D\nattack I-D\n\nGout B-D\n")
    assert run("tokens.conll", "--to", "same", "--output", "out.conll")[0] == 0
    assert text_of("out.conll") == "No O _ _\nheart B-D C1 _\nattack I-D _ _\n\nGout B-D -1 _\n"
    assert [m.gold for d in load_corpus("out.conll") for m in d.mentions] == [(frozenset({"C1"}),), (frozenset(),)]
    before = text_of("out.conll")
    assert run("out.conll", "--to", "same", "--output", "out.conll")[0] == 0
    assert text_of("out.conll") == before


CORPUS = "1|t|Asthma & heart attack.\n1|a|Gout.\n1\t0\t6\tAsthma\tDisease\n1\t23\t27\tGout\tDisease\n"


@pytest.mark.parametrize("to", ["bioc-xml", "bioc-json", "jsonl", "pubtator"])
def test_corpora_are_written_in_forms_that_can_be_read_again(run: Run, to: str) -> None:
    write("corpus", CORPUS)
    assert run("corpus", "--to", to, "--output", "out.gz")[0] == 0
    [before], [after] = load_corpus("corpus"), load_corpus("out.gz")
    assert (after.document_id, after.text, after.passages) == (before.document_id, before.text, before.passages)
    assert [(m.spans, m.text, m.type) for m in after.mentions] == [(m.spans, m.text, m.type) for m in before.mentions]
    assert [m.gold for m in after.mentions] == [(frozenset({"C2"}),), (frozenset(),)]
    assert run("out.gz", "--to", "same", "--output", "again.gz")[0] == 0
    assert Path("again.gz").read_bytes() == Path("out.gz").read_bytes()


BIOC = {
    "source": "a tagger",
    "date": "2024",
    "key": "its.key",
    "infons": {"licence": "none"},
    "documents": [
        {
            "id": "1",
            "infons": {"journal": "J"},
            "passages": [
                {
                    "offset": 0,
                    "infons": {"type": "title"},
                    "text": "Asthma, gout.",
                    "sentences": [],
                    "annotations": [
                        {
                            "id": "T1",
                            "infons": {"type": "Disease", "MESH": "D1", "tagger": "0.7", "Identifier": "D2"},
                            "text": "Asthma",
                            "locations": [{"offset": 0, "length": 6}],
                        },
                        {
                            "id": "T2",
                            "infons": {"CompositeRole": "IndividualMention"},
                            "text": "Asthma",
                            "locations": [{"offset": 0, "length": 6}],
                        },
                    ],
                    "relations": [{"id": "R1", "infons": {"kind": "x"}, "nodes": [{"refid": "T1", "role": "a"}]}],
                }
            ],
            "annotations": [],
            "relations": [],
        }
    ],
}


def collection_of(name: str) -> Any:
    """A BioC JSON file, without the names of classes that the package `bioc` writes into each object."""

    def plain(record: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in record.items() if key != "bioctype"}

    return json.loads(text_of(name), object_hook=plain)


def test_a_bioc_collection_comes_back_with_all_that_it_had(run: Run) -> None:
    write("in.json", json.dumps(BIOC))
    assert run("in.json", "--to", "same", "--output", "out.json")[0] == 0
    expected = json.loads(json.dumps(BIOC))
    annotation = expected["documents"][0]["passages"][0]["annotations"][0]
    annotation["infons"] = {"type": "Disease", "MESH": "D1", "tagger": "0.7", "identifier": "C2", "nil": "false"}
    assert collection_of("out.json") == expected
    # As XML, and as JSON again, nothing is lost either.
    assert run("out.json", "--to", "bioc-xml", "--output", "out.xml")[0] == 0
    assert run("out.xml", "--to", "bioc-json", "--output", "again.json")[0] == 0
    assert collection_of("again.json") == expected


def test_what_is_found_in_a_bioc_collection_stands_beside_its_annotations(run: Run) -> None:
    record = json.loads(json.dumps(BIOC))
    passage = record["documents"][0]["passages"][0]
    passage["text"] = "Gouty, asthma, heart attack."
    passage["annotations"][0].update(id="0", text="Gouty", locations=[{"offset": 0, "length": 5}])
    write("in.json", json.dumps(record))
    assert run("in.json", "--find", "--to", "same", "--output", "out.json")[0] == 0
    after = collection_of("out.json")["documents"][0]["passages"][0]
    assert after["annotations"][:2] == passage["annotations"] and after["relations"] == passage["relations"]
    assert [(a["id"], a["text"], a["infons"]["identifier"]) for a in after["annotations"][2:]] == [
        ("0-0", "asthma", "C2"),
        ("1", "heart attack", "C1"),
    ]


def test_what_xml_cannot_hold_is_an_error_in_a_line(run: Run) -> None:
    write(
        "in.jsonl", json.dumps({"id": "1", "text": "asthma\x00", "mentions": [{"spans": [[0, 6]], "text": "asthma"}]})
    )
    code, _, err = run("in.jsonl", "--to", "bioc-xml", "--output", "out.xml")
    assert code == 1 and "document 1: XML cannot hold it" in err and len(err.splitlines()) == 1
    assert not Path("out.xml").exists()


def test_spacys_json_comes_back_with_ids_and_all_that_it_had(run: Run) -> None:
    ents = [{"start": 0, "end": 6, "label": "D"}, {"start": 8, "end": 12, "label": "D"}]
    record = {"text": "Asthma, gout, heart attack", "ents": ents, "tokens": [{"id": 0}]}
    answered = [{**ents[0], "kb_id": "C2", "probability": None}, {**ents[1], "kb_id": "-1", "probability": None}]
    for text in (json.dumps(record), json.dumps(record, indent=1), json.dumps([record])):
        write("in.json", text)
        assert run("in.json", "--to", "same", "--output", "out.json")[0] == 0
        assert json.loads(text_of("out.json")) == {**record, "ents": answered}
    assert run("out.json", "--find", "--to", "same", "--output", "more.json")[0] == 0
    found = {"start": 14, "end": 26, "label": "", "kb_id": "C1", "probability": None}
    assert json.loads(text_of("more.json"))["ents"] == [*answered, found]
    twice = [{"start": 0, "end": 6, "label": label} for label in ("D", "E")]
    write("in.json", json.dumps({"text": record["text"], "ents": twice}))
    assert run("in.json", "--to", "same", "--output", "out.json")[0] == 0
    assert [ent["kb_id"] for ent in json.loads(text_of("out.json"))["ents"]] == ["C2", "C2"]
    write("in.json", json.dumps({"text": record["text"], "spans": [[14, 26]]}))
    assert run("in.json", "--to", "same", "--output", "out.json")[0] == 0
    assert json.loads(text_of("out.json"))["ents"] == [found]


def test_a_page_shows_texts_and_candidates_and_runs_nothing_that_they_say(run: Run) -> None:
    write("corpus", CORPUS.replace("& heart", "<script>"))
    assert run("corpus", "--output", "out.html")[0] == 1  # the second mention is no longer where it was
    write("corpus", CORPUS.replace("Gout", "<b>&"))
    assert run("corpus", "--output", "out.html")[0] == 0
    page = text_of("out.html")
    assert '<mark title="asthma">Asthma<sub> C2</sub></mark> &amp; heart attack.' in page
    assert '<mark class="nil" title="not in the knowledge base">&lt;b&gt;&amp;<sub> NIL</sub></mark>' in page
    assert not re.search(r"<b>|<script|https?:", page)


def test_a_page_shows_all_concepts_of_an_ambiguous_name(run: Run) -> None:
    write("note.txt", "No [[SF]].")
    assert run("note.txt", "--output", "out.html")[0] == 0
    assert '<mark title="SF | SF">SF<sub> C3|C4</sub></mark>' in text_of("out.html")


def test_every_record_says_how_probable_it_is_and_whether_it_is_nil(run: Run) -> None:
    write("corpus", CORPUS)
    write(
        "calibration.json",
        '{"kind": "calibration", "format_version": 1, "temperature": 1.0, "rest_logit": 1.0, "ranks": 5,'
        ' "nil_threshold": 0.4, "fitted_on": null}',
    )  # of a score of 1: probability 1/2
    calibrated = ("corpus", "--calibration", "calibration.json")
    assert run(*calibrated, "--to", "jsonl", "--output", "out")[0] == 0
    mentions = json.loads(text_of("out"))["mentions"]
    assert [(m["probability"], m["is_nil"]) for m in mentions] == [(0.5, False), (None, True)]
    assert run(*calibrated, "--output", "out.tsv")[0] == 0
    rows = list(csv.DictReader(text_of("out.tsv").splitlines(), dialect="excel-tab"))
    assert [(r["linked_probability"], r["linked_nil"]) for r in rows] == [("0.5", "false"), ("", "true")]
    assert run(*calibrated, "--to", "bioc-json", "--output", "out")[0] == 0
    assert '"probability": "0.5", "nil": "false"' in text_of("out")
