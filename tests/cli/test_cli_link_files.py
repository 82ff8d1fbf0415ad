"""``genlink link`` on files: texts and tables in every form, and what does not go together."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from calls import Run
from link_files import text_of, write
from pyarrow import parquet

from genlink.evaluation import read_predictions

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
    write("corpus.csv", "1|t|Asthma.\n1\t0\t6\tAsthma\tDisease\tC2\n\n")
    assert run("corpus.csv", "--output", "out")[0] == 0


def test_predictions_are_no_corpus(run: Run, genlink: Run) -> None:
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
