"""Texts with double brackets: the marks go, and every span is where its mention stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.corpora.marked import document_of_spans, marked_document
from genlink.errors import CorpusError

words = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), max_size=8)
# Brackets around nothing are text, and behind a bar may stand ids.
mentions = words.filter(lambda word: word.strip() and "|" not in word)


@given(words, st.lists(st.tuples(mentions, words), max_size=5))
def test_a_text_comes_back_without_its_marks_and_with_a_mention_for_each(first, rest) -> None:
    document = marked_document(first + "".join(f"[[{mention}]]{after}" for mention, after in rest))
    assert document.text == first + "".join(mention + after for mention, after in rest)
    assert [m.text for m in document.mentions] == [mention for mention, _ in rest]
    assert all(document.text[m.start : m.end] == m.text and m.context is document.text for m in document.mentions)
    assert [m.mention_id for m in document.mentions] == [str(i) for i in range(len(rest))]


def test_brackets_that_close_nothing_or_hold_nothing_are_text() -> None:
    for text in ("a [[b", "a ]] b", "[[]]", "[[ ]] [[\n]]", "[a]", ""):
        document = marked_document(text)
        assert (document.text, document.mentions) == (text, ())


@pytest.mark.parametrize(
    ("marked", "mention", "gold"),
    [
        ("asthma|MONDO:0004979", "asthma", ({"MONDO:0004979"},)),
        ("asthma|-1", "asthma", (set(),)),
        ("x and y|D1,D2+D3", "x and y", ({"D1"}, {"D2", "D3"})),
        ("a|b|D1", "a|b", ({"D1"},)),
        *((text, text, None) for text in ("a|b", "a|", "|D1", " |D1", "a|D1 D2", "a|D1,", "a|D1;D2", "D1", "a|b,D1")),
    ],
)
def test_ids_behind_the_last_bar_are_gold_and_any_other_bar_is_text(marked, mention, gold) -> None:
    document = marked_document(f"No [[{marked}]].")
    [found] = document.mentions
    assert (document.text, found.text) == (f"No {mention}.", mention)
    assert found.gold == (None if gold is None else tuple(map(frozenset, gold)))


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("[[[asthma]]]", "asthma"),
        ("[[[18F]FDG]]", "[18F]FDG"),
        ("a [[ b [[c]]", "c"),
        ("[[a [b]]]", "a [b"),
    ],
)
def test_the_last_brackets_that_open_mark_the_mention(text, mention) -> None:
    assert [m.text for m in marked_document(text).mentions] == [mention]


@pytest.mark.parametrize("span", [(0, 0), (2, 1), (-1, 2), (0, 5)])
def test_a_span_that_is_no_piece_of_the_text_is_refused(span) -> None:
    with pytest.raises(CorpusError, match=f"span {span[0]} to {span[1]}: not a piece of a text of 4 characters"):
        document_of_spans("gout", [span])


def test_spans_may_overlap_and_come_in_any_order() -> None:
    document = document_of_spans("acute gout", [(6, 10), (0, 10)], "d")
    assert [(m.text, m.spans, m.key) for m in document.mentions] == [
        ("gout", ((6, 10),), ("d", "0")),
        ("acute gout", ((0, 10),), ("d", "1")),
    ]
