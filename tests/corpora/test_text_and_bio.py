"""Plain text with marked mentions, and tagged tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from genlink.corpora import read_corpus
from genlink.errors import FormatError


def test_a_text_is_one_document_or_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes("\ufeffNo [[fever]].\r\n\r\nA [[rash]], gone.\r\n".encode())
    [document] = read_corpus(path, "text")
    assert document.text == "No fever.\n\nA rash, gone."
    assert [(m.text, m.spans) for m in document.mentions] == [("fever", ((3, 8),)), ("rash", ((13, 17),))]
    assert [(d.document_id, d.text, d.mentions[0].text) for d in read_corpus(path, "lines")] == [
        ("1", "No fever.", "fever"),
        ("3", "A rash, gone.", "rash"),
    ]


def tagged(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "tokens.conll"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_tokens_are_joined_and_their_tags_are_mentions(tmp_path: Path) -> None:
    path = tagged(tmp_path, "No O", "silver B-Disease", "fever I-Disease", "", "", "Rash B-Sign", "again O")
    documents = list(read_corpus(path))
    assert [(d.document_id, d.text) for d in documents] == [("1", "No silver fever"), ("2", "Rash again")]
    assert [(m.text, m.spans, m.type, m.gold) for d in documents for m in d.mentions] == [
        ("silver fever", ((3, 15),), "Disease", None),
        ("Rash", ((0, 4),), "Sign", None),
    ]


def test_documents_begin_where_the_file_says_so(tmp_path: Path) -> None:
    path = tagged(tmp_path, "-DOCSTART- O", "", "A O", "rash B", "", "Gone O", "", "-DOCSTART- O", "", "Gout B")
    assert [(d.text, [m.text for m in d.mentions]) for d in read_corpus(path)] == [
        ("A rash\nGone", ["rash"]),
        ("Gout", ["Gout"]),
    ]


@pytest.mark.parametrize(
    ("tags", "mentions"),
    [
        ("B I O", ["a b"]),
        ("I I O", ["a b"]),  # as in CoNLL 2003
        ("B B I", ["a", "b c"]),
        ("B-X I-Y O", ["a", "b"]),
        ("B E S", ["a b", "c"]),
        ("B L U", ["a b", "c"]),
        ("S I O", ["a", "b"]),
        ("B I E", ["a b c"]),
        ("O I-X B-X", ["b", "c"]),
    ],
)
def test_schemes_of_tags(tmp_path: Path, tags: str, mentions: list[str]) -> None:
    path = tagged(tmp_path, *(f"{token}\t{tag}" for token, tag in zip("abc", tags.split(), strict=True)))
    [document] = read_corpus(path, "bio")
    assert [m.text for m in document.mentions] == mentions


def test_the_column_behind_the_tag_has_gold_ids(tmp_path: Path) -> None:
    rows = ["fever NN B-D D1|D2 0.5", "and CC O _ _", "rash NN B-D -1 _", "colic NN B-D _ _"]
    [document] = read_corpus(tagged(tmp_path, *rows))
    assert [m.gold for m in document.mentions] == [(frozenset({"D1"}), frozenset({"D2"})), (frozenset(),), None]


def test_a_line_without_a_tag_is_named(tmp_path: Path) -> None:
    path = tagged(tmp_path, "fever B-D", "", "rash")
    with pytest.raises(FormatError, match=r"tokens.conll:3: no tag in column 2\."):
        list(read_corpus(path, "bio"))
