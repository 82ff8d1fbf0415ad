"""The counts of a corpus, and the command that prints them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from genlink.cli.corpus import app
from genlink.corpora import corpus_report, read_corpus
from genlink.errors import UsageError
from genlink.schema import Document, Mention

TEXT = "Liver and kidney failure with fever."


def mention(
    i: int, start: int, end: int, gold: tuple[frozenset[str], ...] | None, kind: str | None = "Disease"
) -> Mention:
    return Mention(TEXT, ((start, end),), TEXT[start:end], "d", str(i), kind, gold)


DOCUMENT = Document(
    "d",
    TEXT,
    (
        mention(0, 0, 24, (frozenset({"D1"}), frozenset({"D2"}))),  # Liver and kidney failure
        mention(1, 10, 24, (frozenset({"D2"}),)),  # kidney failure: nested in the first
        mention(2, 17, 35, (frozenset({"X1"}),)),  # failure with fever: overlaps both
        mention(3, 30, 35, (frozenset(),), "Symptom"),  # fever: nested in the one before
        Mention(TEXT, ((0, 5), (17, 24)), "Liver failure", "d", "4"),  # as wide as the first, so nested
    ),
)


def test_every_kind_of_mention_is_counted() -> None:
    report = corpus_report([DOCUMENT, Document("e", "Nothing here.")])
    assert (report.documents, report.mentions, report.unique_texts, report.concepts) == (2, 5, 5, 3)
    assert report.types == {"Disease": 3, "Symptom": 1}
    assert (report.nil, report.unlabelled, report.composite, report.discontinuous) == (1, 1, 1, 1)
    assert (report.nested, report.overlapping) == (3, 5)
    assert (report.out_of_kb, report.out_of_kb_share, report.missing_ids) == (None, None, None)
    assert report.offset_problems == ()


def test_mentions_that_touch_do_not_overlap() -> None:
    document = Document("d", TEXT, (mention(0, 0, 5, None), mention(1, 5, 9, None), mention(2, 10, 16, None)))
    report = corpus_report([document])
    assert (report.nested, report.overlapping) == (0, 0)


def test_out_of_kb_is_a_share_of_the_mentions_with_gold_ids() -> None:
    def missing(ids: Iterable[str]) -> frozenset[str]:
        return frozenset(ids) - {"D2"}

    report = corpus_report([DOCUMENT], missing)
    # Of three mentions with gold ids, "failure with fever" has none in the KB; the composite has one.
    assert (report.out_of_kb, report.missing_ids) == (1, ("D1", "X1"))
    assert report.out_of_kb_share == pytest.approx(1 / 3)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(
        "1|t|Fever in mice.\n1\t0\t5\tFever\tDisease\tD1\n1\t8\t13\tmice.\tSpecies\tD9\n1\t2\t5\tFev\tDisease\tD1\n",
        encoding="utf-8",
    )
    return path


def test_info_prints_counts_and_every_offset_that_does_not_match(corpus: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(corpus)], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["mentions", "3"] in rows
    assert ["type", "Disease", "2"] in rows
    assert ["mentions", "not", "where", "the", "file", "says", "2"] in rows
    assert ["1", "1", "8-13", "text", "differs", "'mice.'", "'", "mice'"] in rows
    assert ["1", "2", "2-5", "text", "differs", "'Fev'", "'ver'"] in rows


def test_info_as_json_counts_ids_that_are_not_in_the_kb(corpus: Path, tmp_path: Path) -> None:
    kb = tmp_path / "dictionary.txt"
    kb.write_text("D1||Fever\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["info", str(corpus), "--kb", str(kb), "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["mentions"], report["out_of_kb"], report["missing_ids"]) == (3, 1, ["D9"])
    assert report["offset_problems"][0]["found"] == " mice"


def test_convert_keeps_what_was_read(corpus: Path, tmp_path: Path) -> None:
    there, back = tmp_path / "c.jsonl", tmp_path / "c.pubtator"
    result = CliRunner().invoke(app, ["convert", str(corpus), "--output", str(there)])
    assert result.exit_code == 0
    assert "1 documents, 3 mentions" in result.stderr
    assert "2 mentions are not where the corpus says" in result.stderr
    CliRunner().invoke(app, ["convert", str(there), "--output", str(back), "--to", "pubtator"])
    assert back.read_text(encoding="utf-8") == corpus.read_text(encoding="utf-8") + "\n"
    assert list(read_corpus(there)) == list(read_corpus(corpus))


def test_convert_to_an_unknown_format_is_a_usage_error(corpus: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["convert", str(corpus), "--output", str(tmp_path / "c"), "--to", "brat"])
    assert isinstance(result.exception, UsageError)
    assert "Known: jsonl, pubtator" in str(result.exception)
