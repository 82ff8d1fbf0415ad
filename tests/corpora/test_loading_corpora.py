"""Formats told apart, offsets checked."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.corpora import FORMATS, load_corpus, offset_problems, read_corpus, sniff_format
from genlink.errors import CorpusError, DataError, FormatError, UsageError
from genlink.schema import Document, Mention

PUBTATOR = "1|t|Fever in mice.\n1|a|Rash.\n1\t0\t5\tFever\tDisease\tD1\n"
SAMPLES = {
    "pubtator": "\n\n" + PUBTATOR,
    "bioc-xml": "<?xml version='1.0'?>\n<collection></collection>",
    "bioc-json": '{"source": "",\n "documents": []}',
    "bigbio": '{"id": "0", "document_id": "1", "passages": [], "entities": []}',
    "phrases": "1\tlabel\tphrase\n",
    "jsonl": '{"id": "1", "text": "", "mentions": []}',
    "spacy": '{"text": "Rash.", "ents": [{"start": 0, "end": 4, "label": "D"}]}',
    "bio": "Silver\tNN\tB-Disease\nfever\tNN\tI-Disease\n\nRash\tNN\tO\n",
    "text": "[[Silver fever]] in a smith.\n",
}


@pytest.mark.parametrize("format", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_format_is_told_by_its_beginning(tmp_path: Path, format: str, packed: bool) -> None:
    path = tmp_path / "corpus.gz"
    content = SAMPLES[format].encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    assert sniff_format(path) == format


def test_a_record_longer_than_what_is_looked_at_is_told_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    path.write_text(json.dumps({"id": "1", "text": "x" * 100_000, "mentions": []}), encoding="utf-8")
    assert sniff_format(path) == "jsonl"
    path.write_text(json.dumps([{"id": "1", "passages": []}]), encoding="utf-8")
    assert sniff_format(path) == "bioc-json"


def test_a_directory_of_concept_files_is_biosyns(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"without \.concept files"):
        sniff_format(tmp_path)
    (tmp_path / "1.concept").touch()
    assert sniff_format(tmp_path) == "biosyn"


def test_unknown_beginnings_and_formats_are_usage_errors(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("once upon a time", encoding="utf-8")
    with pytest.raises(FormatError, match=r"no known corpus format. Name it \(--format\)"):
        read_corpus(path)
    with pytest.raises(UsageError, match=r"brat: unknown corpus format\. Known: auto, pubtator, .*jsonl"):
        read_corpus(path, "brat")
    with pytest.raises(DataError, match="no such file"):
        read_corpus(tmp_path / "absent")


def test_every_format_that_can_be_sniffed_can_be_read() -> None:
    # Of marked text, nothing tells whether each line is a document: that has to be said.
    assert {*SAMPLES, "biosyn", "lines"} == set(FORMATS)


def test_the_encoding_is_passed_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes("1|t|Sjögren\n1\t0\t7\tSjögren\n".encode("latin-1"))
    assert load_corpus(path, encoding="latin-1")[0].text == "Sjögren"
    with pytest.raises(FormatError, match="not UTF-8"):
        load_corpus(path)


def test_a_corpus_without_mentions_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("1|t|Title.\n\n2|t|Title.\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no mentions in 2 documents"):
        load_corpus(path)


def test_loading_names_the_first_wrong_offset_and_how_many_more_there_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(PUBTATOR + "1\t1\t6\tFever\n1\t15\t19\tRush\n1\t90\t95\tFever\n", encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"document 1, mention 1 at 1-6: text differs: 'Fever', .*'ever '.*\(2 more\)"
    ):
        load_corpus(path)
    assert len(load_corpus(path, check_offsets=False)[0].mentions) == 4


def test_blanks_at_the_ends_of_a_mention_are_a_warning_not_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("1|t|Fever in mice.\n1\t0\t5\tFever  \tDisease\tD1\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="genlink"):
        (document,) = load_corpus(path)
    assert "document 1, mention 0 at 0-5: text differs: 'Fever  ', the text there is 'Fever'" in caplog.text
    assert document.mentions[0].text == "Fever  "


CONTEXT = "Liver and kidney failure"


def problems_of(text: str, *spans: tuple[int, int]) -> list[tuple[str, str | None, bool]]:
    document = Document("d", CONTEXT, (Mention(CONTEXT, spans, text, "d", "0"),))
    return [(p.problem, p.found, p.harmless) for p in offset_problems(document)]


@pytest.mark.parametrize(
    ("text", "spans", "problem"),
    [
        ("kidney", ((10, 16),), None),
        ("Liver failure", ((0, 5), (17, 24)), None),
        ("Liver ... failure", ((0, 5), (17, 24)), None),
        ("Kidney", ((10, 16),), ("text differs", "kidney", False)),
        ("kidney", ((9, 15),), ("text differs", " kidne", False)),
        (" kidney", ((10, 16),), ("text differs", "kidney", True)),
        ("", ((3, 3),), ("empty span", None, False)),
        ("Liver ... ", ((0, 5), (8, 8)), ("empty span", "Liver ", True)),
        ("kidney", ((16, 10),), ("reversed span", None, False)),
        ("failure", ((17, 25),), ("span outside the text of 24 characters", None, False)),
        ("Liver", ((-1, 5),), ("span outside the text of 24 characters", None, False)),
        ("Liver", (), ("no span", None, False)),
    ],
)
def test_offset_problems(
    text: str, spans: tuple[tuple[int, int], ...], problem: tuple[str, str | None, bool] | None
) -> None:
    assert problems_of(text, *spans) == ([] if problem is None else [problem])


@given(st.text(min_size=1), st.data())
def test_a_mention_cut_out_of_its_text_has_no_problem(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    document = Document("d", context, (Mention(context, ((start, end),), context[start:end], "d", "0"),))
    assert offset_problems(document) == []
