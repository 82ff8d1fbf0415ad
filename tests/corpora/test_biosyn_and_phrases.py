"""BioSyn's directories and phrases without context."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genlink.corpora import load_corpus, offset_problems
from genlink.corpora.readers import read_biosyn, read_phrases
from genlink.errors import DataError, FormatError


def biosyn(tmp_path: Path, text: str, *rows: str, name: str = "12") -> Path:
    (tmp_path / f"{name}.txt").write_bytes(text.encode())
    (tmp_path / f"{name}.concept").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


# The offsets are PubTator's: "Fever in mice." is followed by one character and "Rash".
ROWS = ("12||0|5||SpecificDisease||Fever||D005334", "12||15|19||DiseaseClass||Rash||D005076|OMIM:1")


def test_rows_hold_id_offsets_type_mention_and_concept(tmp_path: Path) -> None:
    (document,) = read_biosyn(biosyn(tmp_path, "Fever in mice.\nRash followed.", *ROWS))
    assert document.document_id == "12"
    first, second = document.mentions
    assert (first.spans, first.text, first.type, first.gold) == (
        ((0, 5),),
        "Fever",
        "SpecificDisease",
        (frozenset({"D005334"}),),
    )
    assert second.gold == (frozenset({"D005076"}), frozenset({"OMIM:1"}))
    assert [m.mention_id for m in document.mentions] == ["0", "1"]


def test_the_empty_line_that_biosyn_puts_after_the_title_is_not_counted(tmp_path: Path) -> None:
    (document,) = read_biosyn(biosyn(tmp_path, "Fever in mice.\n\nRash followed.\n", *ROWS))
    assert document.text == "Fever in mice.\nRash followed.\n"
    assert offset_problems(document) == []


def test_it_is_counted_where_the_offsets_count_it(tmp_path: Path) -> None:
    text = "Fever in mice.\n\nRash followed.\n"
    (document,) = read_biosyn(biosyn(tmp_path, text, "12||16|20||DiseaseClass||Rash||D005076"))
    assert document.text == text
    assert offset_problems(document) == []


def test_offsets_that_match_neither_way_are_reported_not_repaired(tmp_path: Path) -> None:
    (document,) = read_biosyn(biosyn(tmp_path, "Fever.\n\nRash.", "12||2|6||Disease||Rash||D1"))
    assert document.text == "Fever.\n\nRash."
    assert [problem.found for problem in offset_problems(document)] == ["ver."]


def test_documents_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("3", "1", "2"):
        biosyn(tmp_path, "Fever", f"{name}||0|5||Disease||Fever||D1", name=name)
    assert [d.document_id for d in read_biosyn(tmp_path)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("12||0|5||Disease||Fever", "4 fields, expected 5"),
        ("12||0-5||Disease||Fever||D1", "offsets '0-5' are not"),
    ],
)
def test_a_malformed_row_is_an_error_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(FormatError, match=rf"12\.concept:2: {problem}"):
        list(read_biosyn(biosyn(tmp_path, "Fever in mice.", ROWS[0], row)))


def test_a_missing_text_or_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.concept files"):
        list(read_biosyn(tmp_path))
    with pytest.raises(DataError, match="no such directory"):
        list(read_biosyn(tmp_path / "absent"))
    (tmp_path / "12.concept").write_text(ROWS[0], encoding="utf-8")
    with pytest.raises(FormatError, match=r"12\.txt: no such file"):
        list(read_biosyn(tmp_path))


def test_a_phrase_is_a_document_and_its_one_mention(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("22298006\tMyocardial infarction\theart attack\n\n386661006\tFever\tfelt hot\n", encoding="utf-8")
    first, second = read_phrases(path)
    assert (first.document_id, second.document_id) == ("1", "3")
    assert second.text == "felt hot"
    (mention,) = second.mentions
    assert (mention.text, mention.spans, mention.gold_ids) == ("felt hot", ((0, 8),), frozenset({"386661006"}))
    assert "Fever" not in repr(second)  # the label is the answer


def test_phrases_that_are_not_utf8_are_read_as_cp1252_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes("1\tlabel\tSjögren’s\n".encode("cp1252"))
    with caplog.at_level(logging.WARNING, logger="genlink"):
        assert load_corpus(path)[0].text == "Sjögren’s"
    assert "not UTF-8, read as cp1252" in caplog.text


def test_a_named_encoding_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes("1\tlabel\tSjögren\n".encode("latin-1"))
    assert next(read_phrases(path, encoding="latin-1")).text == "Sjögren"
    with pytest.raises(FormatError, match="not UTF-8 text"):
        list(read_phrases(path, encoding="utf-8"))


@pytest.mark.parametrize(("row", "problem"), [("1\tphrase", "2 columns, expected 3"), ("1\tlabel\t ", "empty phrase")])
def test_a_malformed_phrase_is_an_error_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text(f"1\tlabel\tphrase\n{row}\n", encoding="utf-8")
    with pytest.raises(FormatError, match=rf"phrases\.txt:2: {problem}"):
        list(read_phrases(path))
