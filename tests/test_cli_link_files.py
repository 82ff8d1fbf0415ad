"""``genlink link`` on files: every form in, every form out, and on with it after an interruption."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pytest
from pyarrow import parquet

from genlink.corpora import load_corpus
from genlink.evaluation import read_predictions
from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Concept

DICTIONARY = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\nC3||SF\nC4||SF\n"
CONFIGURATION = Path(__file__).parents[1] / "configs" / "accelerate" / "two_cpu_processes.yaml"


class Run(Protocol):
    def __call__(self, *arguments: object, stdin: str = "") -> tuple[int, str, str]: ...


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "dictionary.txt"
    path.write_text(DICTIONARY, encoding="utf-8")
    return path


@pytest.fixture
def run(
    genlink: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, dictionary: Path, tmp_path: Path
) -> Run:
    """`genlink link exact --kb <the tiny dictionary>` in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        return genlink("link", "exact", *arguments, "--kb", dictionary)

    return call


@pytest.fixture
def default_is_tiny(tiny_generator: Callable[..., GenerativeLinker], dictionary: Path, tmp_path: Path) -> Iterator[str]:
    """The id of the one concept of a model that stands in the place of the default one."""
    kb = KnowledgeBase.from_concepts([Concept("D9", ("asthma",))])
    tiny_generator(kb).save(tmp_path / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genlink.linkers.opening.default_model", lambda: tmp_path / "tiny")
        yield "D9"


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def text_of(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


NOTE = "A heart attack\n(myocardial infarction), no asthma.\n"


def test_in_plain_text_the_names_of_the_dictionary_are_linked(run: Run) -> None:
    assert run(write("note.txt", NOTE), "--output", "out.jsonl") == (0, "", "Wrote 3 predictions to out.jsonl.\n")
    records = read_predictions("out.jsonl")
    assert [(r.text, r.spans, r.candidates[0].concept_id) for r in records] == [
        ("heart attack", ((2, 14),), "C1"),
        ("myocardial infarction", ((16, 37),), "C1"),
        ("asthma", ((43, 49),), "C2"),
    ]
    assert {path.name for path in Path().iterdir()} == {"dictionary.txt", "note.txt", "out.jsonl"}


def test_a_text_that_marks_mentions_comes_back_with_their_ids(run: Run) -> None:
    write("note.txt", "No [[asthma]], no [[gout]], a heart attack.")
    assert run("note.txt", "--to", "same", "--output", "out.txt")[0] == 0
    assert text_of("out.txt") == "No [[asthma|C2]], no [[gout|-1]], a heart attack.\n"
    assert run("note.txt", "--find", "--to", "same", "--output", "out.txt")[0] == 0
    assert text_of("out.txt") == "No [[asthma|C2]], no gout, a [[heart attack|C1]].\n"


def test_each_line_may_be_a_document(run: Run) -> None:
    write("notes.txt", "Asthma.\n\nNone.\nSF, asthma.\n")
    assert run("notes.txt", "--format", "lines", "--output", "out.csv")[0] == 0
    rows = list(csv.DictReader(text_of("out.csv").splitlines()))
    assert [(r["document_id"], r["start"], r["text"], r["linked_id"], r["linked_nil"]) for r in rows] == [
        ("1", "0", "Asthma", "C2", "false"),
        ("4", "4", "asthma", "C2", "false"),
    ]
    assert run("notes.txt", "--format", "lines", "--to", "same", "--output", "out.txt")[0] == 0
    assert text_of("out.txt") == "[[Asthma|C2]].\n\nNone.\nSF, [[asthma|C2]].\n"


def test_standard_input_is_answered_on_standard_output(run: Run) -> None:
    code, out, err = run("-", stdin=NOTE)
    assert (code, err) == (0, "")
    assert [json.loads(line)["text"] for line in out.splitlines()] == [
        "heart attack",
        "myocardial infarction",
        "asthma",
    ]
    pubtator = "1|t|Asthma.\n1\t0\t6\tAsthma\tDisease\n\n"
    assert run("-", "--to", "same", stdin=pubtator)[1] == pubtator.replace("Disease\n", "Disease\tC2\n")
    table = run("-", "--column", "m", "--format", "csv", stdin="m\nasthma\n")[1]
    assert table.splitlines()[1].startswith("asthma,C2,")


def test_a_table_comes_back_as_it_was_with_columns_of_answers(run: Run) -> None:
    write("table.csv", 'id,what\n007,"Asthma"\n008,gout\n009,\n010,sf\n')
    assert run("table.csv", "--column", "what", "--output", "out.csv")[0] == 0
    assert text_of("out.csv").splitlines() == [
        "id,what,linked_id,linked_name,linked_by,linked_score,linked_probability,linked_nil",
        "007,Asthma,C2,asthma,asthma,1.0,,false",
        "008,gout,,,,,,true",
        "009,,,,,,,",
        "010,sf,C3|C4,SF|SF,SF|SF,1.0,,false",
    ]
    for output, more in (("out.tsv", ()), ("any.name", ("--to", "tsv"))):
        assert run("table.csv", "--column", "what", "--output", output, *more)[0] == 0
        assert text_of(output) == text_of("out.csv").replace(",", "\t")
    assert run("table.csv", "--column", "what", "--output", "out.html")[0] == 0
    assert text_of("out.html").startswith("<!doctype html>")
    code, _, err = run("out.csv", "--column", "what", "--output", "again.csv")
    assert code == 2 and "has a column linked_id already" in err
    parquet.write_table(pa.table({"what": ["asthma", None], "n": [1, 2]}), "table.parquet")
    assert run("table.parquet", "--column", "what", "--output", "out.parquet")[0] == 0
    assert parquet.read_table("out.parquet").select(["n", "linked_id"]).to_pylist() == [
        {"n": 1, "linked_id": "C2"},
        {"n": 2, "linked_id": None},
    ]


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


def test_short_forms_are_found_where_the_long_form_is(run: Run) -> None:
    write("note.txt", "A heart attack (HA). HAs and HA, not HAT. A bad cough (BC), BC.")
    assert run("note.txt", "--output", "out.csv")[0] == 0
    rows = list(csv.DictReader(text_of("out.csv").splitlines()))
    assert [(r["start"], r["text"], r["linked_id"]) for r in rows] == [
        ("2", "heart attack", "C1"),
        ("16", "HA", "C1"),
        ("21", "HAs", "C1"),
        ("29", "HA", "C1"),
    ]
    assert run("note.txt", "--no-abbreviations", "--output", "out.csv") == (0, "", "Wrote 1 predictions to out.csv.\n")


def test_a_page_shows_texts_and_candidates_and_runs_nothing_that_they_say(run: Run) -> None:
    write("corpus", CORPUS.replace("& heart", "<script>"))
    assert run("corpus", "--output", "out.html")[0] == 1  # the second mention is no longer where it was
    write("corpus", CORPUS.replace("Gout", "<b>&"))
    assert run("corpus", "--output", "out.html")[0] == 0
    page = text_of("out.html")
    assert '<mark title="asthma">Asthma<sub> C2</sub></mark> &amp; heart attack.' in page
    assert '<mark class="nil" title="not in the knowledge base">&lt;b&gt;&amp;<sub> NIL</sub></mark>' in page
    assert not re.search(r"<b>|<script|https?:", page)


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table.csv", "--context-column", "b", "--output", "out"], ["--column"]),
        (["table.csv", "--column", "c", "--output", "out"], ["no column c", "a, b"]),
        (["table.csv", "--format", "csv", "--output", "out"], ["table.csv: is a table", "--column", "a, b"]),
        (["table.csv", "--output", "out"], ["table.csv: is a table", "--column", "a, b"]),
        (["table.parquet", "--output", "out"], ["table.parquet: is a table", "--column", "a, b"]),
        (["table.csv", "--column", "a", "--to", "xlsx", "--output", "out"], ["`xlsx`", "bioc-xml"]),
        (["table.csv", "--column", "a", "--resume", "--overwrite", "--output", "out"], ["--resume", "--overwrite"]),
        (["-", "--resume"], ["--resume", "standard input"]),
        (["table.csv", "--column", "a", "--output", "out.parquet"], ["the table is csv", "--to"]),
        (["--text", "[[asthma\udcff]]", "--output", "out"], ["--text is not UTF-8"]),
        (["table.csv", "--find", "--leave-out", "\udcff", "--output", "out"], ["--leave-out is not UTF-8"]),
        (["table.csv", "--column", "a", "--output", "out.jsonl"], [".jsonl says no form", "--to", ".csv", ".parquet"]),
        (["table.csv", "--format", "text", "--find", "--output", "out.foo"], [".foo says no form", "--to", ".jsonl"]),
        (
            ["table.csv", "--format", "text", "--find", "--output", "out.pubtator.gz"],
            [".pubtator says no form", "--to"],
        ),
        (["table.csv", "--column", "a", "--output", "folder"], ["folder: is a directory"]),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(run: Run, arguments: list[str], words: list[str]) -> None:
    write("table.csv", "a,b\nasthma,x\n")
    parquet.write_table(pa.table({"a": ["asthma"], "b": ["x"]}), "table.parquet")
    Path("folder").mkdir()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and all(word in err for word in words)
    assert len(err.splitlines()) == 1
    assert not list(Path().glob("out*"))


def test_a_file_without_mentions_is_an_error_unless_they_are_to_be_found(run: Run) -> None:
    write("corpus", "1|t|Asthma.\n\n")
    code, _, err = run("corpus", "--output", "out")
    assert code == 1 and "no mentions in 1 documents" in err and "--find" in err
    assert run("corpus", "--find", "--output", "out") == (0, "", "Wrote 1 predictions to out.\n")


def test_a_corpus_may_have_the_name_of_a_table(run: Run) -> None:
    write("corpus.csv", CORPUS)
    assert run("corpus.csv", "--output", "out")[0] == 0


def test_predictions_are_no_corpus(run: Run, genlink: Callable[..., tuple[int, str, str]]) -> None:
    run(write("note.txt", NOTE), "--output", "predictions.jsonl")
    words = "predictions.jsonl: holds the predictions of `genlink link` or `evaluate`, and no texts."
    for code, out, err in (
        run("predictions.jsonl", "--output", "out"),
        genlink("corpus", "info", "predictions.jsonl"),
        genlink("evaluate", "exact", "predictions.jsonl", "--kb", "dictionary.txt", "--dictionary", "kb"),
    ):
        assert (code, out, err.count("\n")) == (1, "", 1) and words in err and "--to jsonl" in err
    assert run("-", "--to", "same", stdin=text_of("predictions.jsonl"))[0] == 1
    assert not Path("out").exists()


def test_an_interrupted_linking_is_gone_on_with_when_that_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genlink.bulk.sources._CHUNK_DOCUMENTS", 1)
    mentions = [{"spans": [[0, 8]], "text": f"asthma {i}"} for i in range(5)]
    lines = [json.dumps({"id": "d", "text": mention["text"], "mentions": [mention]}) for mention in mentions]
    write("corpus.jsonl", "\n".join(lines))
    assert run("corpus.jsonl", "--output", "whole")[0] == 0
    link, calls = ExactLinker.link, []

    def interrupted(self: ExactLinker, mentions: object, k: int = 5, *, progress: bool = False) -> object:
        calls.append(mentions)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return link(self, mentions, k)  # type: ignore[arg-type]

    monkeypatch.setattr(ExactLinker, "link", interrupted)
    assert run("corpus.jsonl", "--output", "out")[0] == 130
    assert not Path("out").exists() and Path("out.parts").is_dir()
    code, _, err = run("corpus.jsonl", "--output", "out")
    assert code == 2 and "--resume" in err
    code, _, err = run("corpus.jsonl", "--output", "out", "--resume", "--k", 3)
    assert code == 2 and "another number of ranks" in err
    assert run("corpus.jsonl", "--output", "out", "--resume")[0] == 0
    assert len(calls) == 6 and not Path("out.parts").exists()
    assert Path("out").read_bytes() == Path("whole").read_bytes()


def test_two_processes_write_what_one_writes(run: Run, dictionary: Path) -> None:
    names = ["asthma", "heart attack", "gout"]
    rows = [f"{i},{names[i % 3]}" for i in range(9001)]  # three parts: a part has 4,096 documents at most
    write("table.csv", "\n".join(["id,what", *rows]))
    assert run("table.csv", "--column", "what", "--output", "one.csv")[0] == 0
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGURATION)]
    command += ["-m", "genlink", "link", "exact", "table.csv", "--kb", str(dictionary), "--column", "what"]
    done = subprocess.run([*command, "--output", "two.csv"], env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Wrote 9001 predictions") == 1
    assert Path("two.csv").read_bytes() == Path("one.csv").read_bytes()


def test_a_file_alone_is_linked_by_the_default_model(
    genlink: Callable[..., tuple[int, str, str]],
    default_is_tiny: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    notes = write("notes.txt", "A case of asthma.\n")
    code, _, err = genlink("link", notes, "--to", "same", "--output", "linked.txt")
    assert code == 0, err
    assert text_of("linked.txt") == f"A case of [[asthma|{default_is_tiny}]].\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(notes.read_bytes())))
    code, out, err = genlink("link", "-", "--to", "same")
    assert code == 0 and out == text_of("linked.txt"), err
    write("table.csv", "what\nasthma\n")
    code, _, err = genlink("link", "table.csv", "--column", "what", "--output", "linked.csv")
    assert code == 0 and default_is_tiny in text_of("linked.csv"), err


@pytest.mark.parametrize("alone", ["nots.txt", "exact", "tiny"])
def test_what_is_no_file_stays_the_model_and_then_there_is_nothing_to_link(
    genlink: Callable[..., tuple[int, str, str]],
    default_is_tiny: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    alone: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write("exact", "A file that is called like a linker: asthma.")
    code, _, err = genlink("link", alone, "--output", "out.jsonl")
    assert code == 2 and err.count("\n") == 1 and f"{alone} is taken for the MODEL" in err
    assert ("no such file" in err) == (not Path(alone).exists())
    assert not Path("out.jsonl").exists()
