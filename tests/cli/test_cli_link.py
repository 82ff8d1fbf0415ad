"""``genlink link``: a marked text is answered on the screen, a corpus in the form that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calls import Run

from genlink.bulk.forms import FORMS
from genlink.corpora import load_corpus, offset_problems
from genlink.evaluation import read_predictions

# Two documents; the last mention is in no dictionary, and none has an id yet.
CORPUS = (
    "1|t|Asthma and heart attack.\n1|a|Both are common.\n"
    "1\t0\t6\tAsthma\tDisease\n"
    "1\t11\t23\theart attack\tDisease\n"
    "\n"
    "2|t|Gout.\n2|a|It hurts.\n"
    "2\t0\t4\tGout\tDisease\n"
    "\n"
)
ANSWERS = [("C2",), ("C1",), ()]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.pubtator"
    path.write_text(CORPUS, encoding="utf-8")
    return path


def test_a_marked_text_is_answered_with_its_concepts(run: Run) -> None:
    code, out, err = run("--text", "A history of [[Heart attack]] and [[gout]].")
    assert (code, err) == (0, "")
    heading, first, second = out.strip().splitlines()
    assert heading.split()[0] == "mention"
    assert all(word in first for word in ("Heart attack", "C1", "heart attack"))
    assert "gout" in second and "nothing found" in second
    assert "[[" not in out


def test_only_concepts_of_a_vocabulary_or_a_type_are_answered(
    genlink: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb = tmp_path / "kb.jsonl"
    concepts = [("A:1", "asthma", "T1"), ("B:1", "asthma", "T2"), ("B:2", "gout", "T1")]
    lines = [json.dumps({"id": i, "name": name, "synonyms": [], "types": [kind]}) for i, name, kind in concepts]
    kb.write_text("\n".join(lines), encoding="utf-8")

    def answers(*options: str) -> tuple[int, str]:
        code, out, err = genlink("link", "exact", "--kb", kb, "--text", "[[asthma]] and [[gout]]", *options)
        return code, " ".join(i for i, *_ in concepts if i in out) + err

    assert answers() == (0, "A:1 B:1 B:2")
    assert answers("--id-prefix", "B") == (0, "B:1 B:2")
    assert answers("--concept-type", "T1") == (0, "A:1 B:2")
    assert answers("--concept-type", "T2", "--id-prefix", "B") == (0, "B:1")
    code, error = answers("--id-prefix", "C")
    assert (code, error.startswith("error: no concept of the knowledge base passes --id-prefix C.")) == (1, True)
    assert "It has the types T1, T2; " in error
    monkeypatch.setattr("genlink.bulk.run.MOST_TYPES", 1)
    assert "It has the types T1 and 1 more; " in answers("--concept-type", "t1")[1]


def test_predictions_can_be_read_and_scored_again(run: Run, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "predictions.jsonl"
    code, out, err = run(corpus, "--output", output)
    assert (code, out) == (0, "")
    assert "3 predictions" in err and "predictions.jsonl" in err
    records = list(read_predictions(output))
    assert [(r.document_id, r.mention_id, r.text, r.spans) for r in records] == [
        ("1", "0", "Asthma", ((0, 6),)),
        ("1", "1", "heart attack", ((11, 23),)),
        ("2", "0", "Gout", ((0, 4),)),
    ]
    assert [tuple(c.concept_id for c in r.candidates) for r in records] == ANSWERS


def test_predictions_of_a_marked_text_can_be_kept_too(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "predictions.jsonl"
    assert run("--text", "No [[asthma]].", "--output", output)[:2] == (0, "")
    [record] = read_predictions(output)
    assert (record.text, record.spans, record.candidates[0].concept_id) == ("asthma", ((3, 9),), "C2")


def test_pubtator_comes_back_as_it_was_with_the_ids_filled_in(run: Run, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "linked.pubtator"
    assert run(corpus, "--to", "pubtator", "--output", output)[0] == 0
    # NIL, which PubTator writes as -1, is the answer for a mention of which nothing was found.
    filled = CORPUS.replace("Asthma\tDisease", "Asthma\tDisease\tC2")
    filled = filled.replace("heart attack\tDisease", "heart attack\tDisease\tC1")
    assert output.read_text(encoding="utf-8") == filled.replace("Gout\tDisease", "Gout\tDisease\t-1")


@pytest.mark.parametrize("to", ["jsonl", "pubtator"])
def test_texts_and_offsets_of_a_linked_corpus_are_those_it_came_with(
    run: Run, corpus: Path, tmp_path: Path, to: str
) -> None:
    output = tmp_path / f"linked.{to}"
    assert run(corpus, "--to", to, "--output", output)[0] == 0
    before, after = load_corpus(corpus), load_corpus(output)
    assert [(d.document_id, d.text, d.passages) for d in after] == [(d.document_id, d.text, d.passages) for d in before]
    old, new = ([m for d in documents for m in d.mentions] for documents in (before, after))
    assert [(m.spans, m.text, m.type) for m in new] == [(m.spans, m.text, m.type) for m in old]
    assert [m.gold for m in old] == [None] * 3
    assert [tuple(m.gold_ids) for m in new] == ANSWERS and new[2].is_nil
    assert not [problem for document in after for problem in offset_problems(document)]


def test_jsonl_is_one_document_a_line(run: Run, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "linked.jsonl"
    assert run(corpus, "--to", "jsonl", "--output", output)[0] == 0
    documents = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [[mention["gold"] for mention in document["mentions"]] for document in documents] == [
        [[["C2"]], [["C1"]]],
        [[[]]],
    ]


def assert_usage_error(outcome: tuple[int, str, str], *words: str) -> None:
    code, out, err = outcome
    assert (code, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("error: ") and all(word in line for word in words)


def test_in_a_text_that_marks_no_mention_the_names_of_the_dictionary_are_found(run: Run) -> None:
    code, out, err = run("--text", "A heart attack, no asthma.")
    assert (code, err) == (0, "")
    assert [line.split()[-2] for line in out.strip().splitlines()[1:]] == ["attack", "asthma"]
    code, out, err = run("--text", "A heart attack, no asthma.", "--leave-out", "Heart attack")
    assert "asthma" in out and "heart" not in out
    code, out, err = run("--text", "All is well.")
    assert code == 0 and "No name of the dictionary" in err


def test_a_text_that_marks_no_mention_is_a_usage_error_where_none_may_be_found(run: Run) -> None:
    assert_usage_error(run("--text", "A history of asthma.", "--no-find"), "--text", "--find")


def test_a_corpus_needs_an_output(run: Run, corpus: Path) -> None:
    assert_usage_error(run(corpus), "--output")


def test_an_unknown_form_of_output_is_a_usage_error_and_writes_nothing(run: Run, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "linked.xml"
    outcome = run(corpus, "--to", "bioc", "--output", output)
    assert_usage_error(outcome, "bioc", "predictions", "jsonl", "pubtator")
    assert not output.exists()


def test_a_corpus_or_a_text_and_not_both(run: Run, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "predictions.jsonl"
    assert_usage_error(run("--output", output), "corpus", "--text")
    assert_usage_error(run(corpus, "--text", "No [[asthma]].", "--output", output), "corpus", "--text")
    assert not output.exists()


@pytest.mark.parametrize("to", [to for to in FORMS if to != "same"])
def test_a_text_is_answered_on_standard_output_in_any_form(run: Run, tmp_path: Path, to: str) -> None:
    output = tmp_path / "out"
    assert run("--text", "No [[asthma]].", "--to", to, "--output", output)[0] == 0
    code, out, err = run("--text", "No [[asthma]].", "--to", to)
    assert (code, out, err) == (0, output.read_text(encoding="utf-8"), "") and "C2" in out


def test_a_text_comes_back_with_its_ids(run: Run) -> None:
    assert run("--text", "No [[asthma]].", "--to", "same") == (0, "No [[asthma|C2]].\n", "")
    assert_usage_error(run("--text", "No [[asthma]].", "--to", "parquet"), "`parquet` is no form of output")


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_a_usage_error(run: Run, text: str, tmp_path: Path) -> None:
    assert_usage_error(run("--text", text), "--text is empty")
    assert_usage_error(run("--text", text, "--output", tmp_path / "out"), "--text is empty")
    assert not (tmp_path / "out").exists()


def test_a_text_has_neither_format_nor_encoding(run: Run) -> None:
    assert_usage_error(run("--text", "No [[asthma]].", "--format", "pubtator"), "--format")
    assert_usage_error(run("--text", "No [[asthma]].", "--encoding", "cp1252"), "--encoding")


def test_a_corpus_is_read_in_the_format_and_the_encoding_that_are_given(run: Run, tmp_path: Path) -> None:
    path, output = tmp_path / "corpus.data", tmp_path / "predictions.jsonl"
    path.write_bytes("1|t|Ménière and asthma.\n1\t12\t18\tasthma\tDisease\n".encode("cp1252"))
    assert run(path, "--format", "pubtator", "--encoding", "cp1252", "--output", output)[0] == 0
    [record] = read_predictions(output)
    assert (record.text, record.candidates[0].concept_id) == ("asthma", "C2")


def test_what_is_missing_or_given_twice_is_said(genlink: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text("No asthma.", encoding="utf-8")
    for arguments, message in (
        ([], "Give a corpus, - for standard input, or --text."),
        (["note.txt", "--text", "[[asthma]]"], "Give either a corpus or --text, not both."),
        (["nofile.txt"], "nofile.txt is taken for the MODEL: there is no such file."),
    ):
        code, out, error = genlink("link", *arguments)
        assert (code, out, error.count("\n")) == (2, "", 1) and message in error
