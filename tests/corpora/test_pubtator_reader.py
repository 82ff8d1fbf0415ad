"""PubTator, with every trap that the real NCBI disease and BC5CDR files hold."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from genlink.corpora.readers import read_pubtator
from genlink.errors import DataError, FormatError
from genlink.schema import Document, Mention, Passage

TITLE, ABSTRACT = "Fever in mice.", "Rash and fever followed."


def read(tmp_path: Path, *lines: str) -> list[Document]:
    path = tmp_path / "corpus.pubtator"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(read_pubtator(path))


def one_mention(tmp_path: Path, *columns: str) -> Mention:
    (document,) = read(tmp_path, f"1|t|{TITLE}", f"1|a|{ABSTRACT}", "\t".join(("1", "0", "5", "Fever", *columns)))
    (mention,) = document.mentions
    return mention


def test_offsets_count_in_title_one_blank_and_abstract(tmp_path: Path) -> None:
    (document,) = read(tmp_path, f"1|t|{TITLE}", f"1|a|{ABSTRACT}", "1\t15\t19\tRash\tDisease\tD005076")
    assert document.text == "Fever in mice. Rash and fever followed."
    assert document.passages == (Passage("title", 0, 14), Passage("abstract", 15, 39))
    (mention,) = document.mentions
    assert (mention.text, document.text[mention.start : mention.end]) == ("Rash", "Rash")
    assert (mention.document_id, mention.mention_id, mention.type) == ("1", "0", "Disease")
    assert mention.gold == (frozenset({"D005076"}),)
    assert mention.context is document.text


def test_a_document_may_have_no_abstract(tmp_path: Path) -> None:
    (document,) = read(tmp_path, f"1|t|{TITLE}", "1\t0\t5\tFever\tDisease\tD1")
    assert document.text == TITLE
    assert document.passages == (Passage("title", 0, 14),)


def test_blank_lines_may_come_first_last_between_or_not_at_all(tmp_path: Path) -> None:
    documents = read(tmp_path, "", "", "1|t|A", "1|a|B", "", "", "2|t|C", "2|a|D", "3|t|E", "", "")
    assert [(d.document_id, d.text) for d in documents] == [("1", "A B"), ("2", "C D"), ("3", "E")]


def test_a_repeated_document_is_kept_under_an_id_of_its_own(tmp_path: Path) -> None:
    documents = read(tmp_path, *("7|t|A", "7|a|B", "7\t0\t1\tA\tDisease\tD1", "") * 3)
    assert [d.document_id for d in documents] == ["7", "7#2", "7#3"]
    assert [d.mentions[0].document_id for d in documents] == ["7", "7#2", "7#3"]


def test_blanks_at_the_end_of_a_mention_are_kept(tmp_path: Path) -> None:
    (document,) = read(tmp_path, f"1|t|{TITLE}", "1\t0\t5\tFever  \tDisease\tD1")
    assert document.mentions[0].text == "Fever  "


def test_blanks_around_ids_are_dropped_and_prefixes_kept(tmp_path: Path) -> None:
    assert one_mention(tmp_path, "Disease", " D008661").gold == (frozenset({"D008661"}),)
    assert one_mention(tmp_path, "Disease", "OMIM:106210 ").gold == (frozenset({"OMIM:106210"}),)


def test_a_bar_joins_the_parts_of_a_composite(tmp_path: Path) -> None:
    mention = one_mention(tmp_path, "CompositeMention", "D001943|OMIM:167000")
    assert mention.gold == (frozenset({"D001943"}), frozenset({"OMIM:167000"}))
    assert mention.is_composite


def test_a_plus_joins_the_ids_of_one_concept(tmp_path: Path) -> None:
    assert one_mention(tmp_path, "Disease", "D015862+D058499 |D3").gold == (
        frozenset({"D015862", "D058499"}),
        frozenset({"D3"}),
    )


def test_minus_one_is_nil_also_within_a_composite(tmp_path: Path) -> None:
    nil = one_mention(tmp_path, "Chemical", "-1")
    assert nil.gold == (frozenset(),)
    assert nil.is_nil
    mixed = one_mention(tmp_path, "Disease", "D002544|-1")
    assert mixed.gold == (frozenset({"D002544"}), frozenset())
    assert not mixed.is_nil


def test_the_seventh_column_holds_the_texts_of_the_parts(tmp_path: Path) -> None:
    assert one_mention(tmp_path, "Disease", "D1|D2", "liver fever|kidney fever").part_texts == (
        "liver fever",
        "kidney fever",
    )
    assert one_mention(tmp_path, "Disease", "D1", "").part_texts == ()


@pytest.mark.parametrize(("columns", "kind"), [((), None), (("Disease",), "Disease"), (("Disease", ""), "Disease")])
def test_a_line_that_ends_before_the_ids_is_an_unlabelled_mention(
    tmp_path: Path, columns: tuple[str, ...], kind: str | None
) -> None:
    mention = one_mention(tmp_path, *columns)
    assert (mention.type, mention.gold) == (kind, None)


def test_relation_lines_are_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="genlink"):
        (document,) = read(tmp_path, f"1|t|{TITLE}", "1\t0\t5\tFever\tDisease\tD1", "1\tCID\tD1\tD2", "1\tCID\tD1\tD3")
    assert len(document.mentions) == 1
    assert "skipped 2 relation lines" in caplog.text


def test_bars_in_texts_and_line_separators_within_them_are_text(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "1|t|A |t| b", "1|a|c\u2028d |a| e")
    assert document.text == "A |t| b c\u2028d |a| e"


def test_a_gzipped_file_with_byte_order_mark_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt.gz"
    path.write_bytes(gzip.compress("\ufeff1|t|A\r\n1|a|B\r\n".encode()))
    assert [d.text for d in read_pubtator(path)] == ["A B"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1\t0\t5", "3 columns, at least 4 needed"),
        ("1\t0\tfive\tFever", "offsets '0', 'five' are not numbers"),
        ("1\t0.5\t5\tFever", "offsets '0.5', '5' are not numbers"),
        ("2\t0\t5\tFever\tDisease\tD1", "document 2 has no title line before this line"),
        ("2|a|Abstract of another.", "document 2 has no title line"),
        ("1|a|A second abstract.", "document 1 has a second abstract"),
        ("plain words", "not a PubTator line"),
    ],
)
def test_anything_else_is_an_error_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(FormatError, match=rf"corpus\.pubtator:4: .*{problem}"):
        read(tmp_path, "", f"1|t|{TITLE}", f"1|a|{ABSTRACT}", line)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: no such file"):
        list(read_pubtator("nowhere.txt"))
