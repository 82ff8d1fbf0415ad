"""What is written is what is read back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.corpora import read_corpus, write_jsonl, write_pubtator
from genlink.corpora.ids import format_gold, parse_gold
from genlink.errors import CorpusError
from genlink.schema import Document, Mention, Passage

ids = st.text("CD0123456789:.", min_size=1, max_size=8)
golds = st.none() | st.lists(st.frozensets(ids, max_size=3), min_size=1, max_size=3).map(tuple)
words = st.text(st.characters(exclude_characters="\t\r\n|", exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def mentions(draw: st.DrawFn, text: str, document_id: str, n_spans: int) -> list[Mention]:
    found = []
    for i in range(draw(st.integers(0, 3))):
        bounds = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2 * n_spans, max_size=2 * n_spans)))
        spans = tuple(zip(bounds[::2], bounds[1::2], strict=True))
        found.append(
            Mention(
                context=text,
                spans=spans,
                text=" ".join(text[start:end] for start, end in spans),
                document_id=document_id,
                mention_id=str(i),
                type=draw(st.none() | words.filter(lambda word: word == word.strip())),
                gold=draw(golds),
                part_texts=tuple(draw(st.lists(words.filter(str.strip), max_size=2))),
            )
        )
    return found


@st.composite
def pubtator_documents(draw: st.DrawFn) -> list[Document]:
    documents = []
    for document_id in draw(st.lists(st.text("abc123", min_size=1, max_size=4), unique=True, min_size=1, max_size=3)):
        title, abstract = draw(words), draw(st.none() | words)
        text = title if abstract is None else f"{title} {abstract}"
        passages = [Passage("title", 0, len(title))]
        if abstract is not None:
            passages.append(Passage("abstract", len(title) + 1, len(text)))
        found = draw(mentions(text, document_id, 1))
        documents.append(Document(document_id, text, tuple(found), tuple(passages)))
    return documents


@st.composite
def any_documents(draw: st.DrawFn) -> list[Document]:
    documents = []
    for document_id in draw(st.lists(st.text(min_size=1, max_size=4), unique=True, min_size=1, max_size=3)):
        text = draw(st.text(max_size=30))
        found = draw(mentions(text, document_id, draw(st.integers(1, 2))))
        passages = (Passage(draw(st.text(max_size=5)), 0, len(text)),)
        documents.append(Document(document_id, text, tuple(found), passages))
    return documents


@settings(deadline=None, max_examples=60)
@given(any_documents(), st.sampled_from(["corpus.jsonl", "corpus.jsonl.gz"]))
def test_json_lines_are_read_back_as_they_were(documents: list[Document], name: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        write_jsonl(path, documents)
        assert list(read_corpus(path, "jsonl")) == documents


@settings(deadline=None, max_examples=60)
@given(pubtator_documents(), st.sampled_from(["corpus.txt", "corpus.txt.gz"]))
def test_pubtator_is_read_back_as_it_was(documents: list[Document], name: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        write_pubtator(path, documents)
        assert list(read_corpus(path, "pubtator")) == documents


@given(golds)
def test_gold_fields_are_read_back_as_they_were(gold: tuple[frozenset[str], ...] | None) -> None:
    assert parse_gold(format_gold(gold)) == gold


def test_a_gold_field_is_sorted_within_parts_and_keeps_the_order_of_parts() -> None:
    assert format_gold((frozenset({"D3", "D1"}), frozenset(), frozenset({"D2"}))) == "D1+D3|-1|D2"


def test_a_file_of_each_format_looks_like_this(tmp_path: Path) -> None:
    text = "Liver and kidney failure. Rash."
    composite = Mention(
        text,
        ((0, 24),),
        "Liver and kidney failure",
        "7",
        "0",
        "Disease",
        (frozenset({"D1"}), frozenset()),
        ("Liver failure", "kidney failure"),
    )
    unlabelled = Mention(text, ((26, 30),), "Rash", "7", "1")
    document = Document("7", text, (composite, unlabelled), (Passage("title", 0, 25), Passage("abstract", 26, 31)))
    write_pubtator(tmp_path / "c.txt", [document])
    assert (tmp_path / "c.txt").read_text(encoding="utf-8") == (
        "7|t|Liver and kidney failure.\n7|a|Rash.\n"
        "7\t0\t24\tLiver and kidney failure\tDisease\tD1|-1\tLiver failure|kidney failure\n"
        "7\t26\t30\tRash\n\n"
    )
    write_jsonl(tmp_path / "c.jsonl", [document])
    assert (tmp_path / "c.jsonl").read_text(encoding="utf-8") == (
        '{"id": "7", "text": "Liver and kidney failure. Rash.", "passages": [{"kind": "title", "start": 0, "end": 25}, '
        '{"kind": "abstract", "start": 26, "end": 31}], "mentions": [{"id": "0", "spans": [[0, 24]], '
        '"text": "Liver and kidney failure", "type": "Disease", "gold": [["D1"], []], '
        '"part_texts": ["Liver failure", "kidney failure"]}, {"id": "1", "spans": [[26, 30]], "text": "Rash", '
        '"type": null, "gold": null, "part_texts": []}]}\n'
    )


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("Fever.\nRash\tand pain.", ()),
        ("Fever. Rash and pain.", (Passage("title", 0, 6), Passage("abstract", 7, 21))),
        ("FeverxRash and pain.", (Passage("title", 0, 5), Passage("abstract", 5, 20))),
        ("\nRash", ()),
    ],
)
def test_in_pubtator_no_offset_moves_whatever_the_passages(
    tmp_path: Path, text: str, passages: tuple[Passage, ...]
) -> None:
    start = text.index("Rash")
    mention = Mention(text, ((start, start + 4),), "Rash", "d", "0")
    write_pubtator(tmp_path / "c.txt", [Document("d", text, (mention,), passages)])
    (document,) = read_corpus(tmp_path / "c.txt", "pubtator")
    assert document.text == text.replace("\n", " ").replace("\t", " ")
    assert document.text[document.mentions[0].start : document.mentions[0].end] == "Rash"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"spans": ((0, 2), (3, 5))}, "cannot hold a mention of 2 spans"),
        ({"gold": (frozenset({"A|B"}),)}, "concept id 'A|B' cannot be written"),
        ({"gold": (frozenset({"-1"}),)}, "concept id '-1' cannot be written"),
        ({"part_texts": ("a|b",)}, "cannot hold these part texts"),
    ],
)
def test_what_pubtator_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    fields = {"context": "Fever", "spans": ((0, 5),), "text": "Fever", "document_id": "d", "mention_id": "0"} | change
    path = tmp_path / "c.txt"
    with pytest.raises(CorpusError, match=problem.replace("|", r"\|")):
        write_pubtator(path, [Document("d", "Fever", (Mention(**fields),))])  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_document_id_with_a_separator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"document id 'a\|b'"):
        write_pubtator(tmp_path / "c.txt", [Document("a|b", "Fever")])
