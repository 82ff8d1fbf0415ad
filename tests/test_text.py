"""Keys of names: what is folded, what is kept, and where each character came from."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.text import Normalisation, normalise, normalise_with_offsets

STEPS = [Normalisation(*switches) for switches in product([True, False], repeat=3)]
# Characters that melt into one another or fall apart when Unicode is folded, marks without a letter, odd spaces.
TRICKY = "aA1 -ßẞİıŒﬁ²½Σςφöo\u0308\u0301\u0345\uac01\u1100\u1161\u11a8ㅎㅏｶﾞカ゛\u3099\u09c7\u09be\u0b47\u0b56´¨\u037a"
TRICKY += "\ufc5e\u00ad\u200b\u00a0\u2028\t\x1c"
texts = st.one_of(st.text(max_size=12), st.text(TRICKY, max_size=12))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Sjögren's Syndrome, TYPE-II", "sjogren s syndrome type ii"),
        ("  Fever,\t spotted\n", "fever spotted"),
        ("β-Thalassämie (ﬁnal)", "β thalassamie final"),
        ("Straße", "strasse"),
        ("1,25-(OH)₂D₃", "1 25 oh 2d3"),
        ("e\u0301tat", "etat"),  # an accent of its own, as in é
        ("ｶﾞﾝ", "ガン"),  # half-width Japanese: the voicing mark belongs to the letter, it is no accent
        ("!?", ""),
    ],
)
def test_the_key_of_a_name(text, key):
    assert normalise(text) == key


@pytest.mark.parametrize(
    ("steps", "key"),
    [
        (Normalisation(unicode=False), "sjögren s disease"),
        (Normalisation(case=False), "Sjogren s Disease"),
        (Normalisation(punctuation=False), "sjogren's disease"),
        (Normalisation(unicode=False, case=False, punctuation=False), "Sjögren's Disease"),
    ],
)
def test_each_step_can_be_switched_off_and_white_space_is_always_collapsed(steps, key):
    assert normalise(" Sjögren's  Disease ", steps) == key


def test_text_of_ascii_letters_takes_the_same_steps_as_any_other():
    # A Greek letter at the end forces the long way through.
    for steps in STEPS:
        assert normalise("A-b\t 'C' α", steps).split() == [*normalise("A-b\t 'C'", steps).split(), "α"]


def test_offsets_say_where_each_character_of_the_key_came_from():
    #                                 0123456789012345
    key, offsets = normalise_with_offsets("Sjögren’s  (ﬁne)")
    assert key == "sjogren s fine"
    assert offsets == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 12, 13, 14]


def test_a_letter_and_its_marks_have_one_offset():
    assert normalise_with_offsets("o\u0308l ｶﾞ") == ("ol ガ", [0, 2, 3, 4])


@given(texts, st.sampled_from(STEPS))
def test_the_key_with_offsets_is_the_key(text, steps):
    key, offsets = normalise_with_offsets(text, steps)
    assert key == normalise(text, steps)
    assert len(offsets) == len(key)
    assert offsets == sorted(offsets)
    assert all(0 <= offset < len(text) for offset in offsets)


@given(texts, st.sampled_from(STEPS))
def test_a_key_is_its_own_key(text, steps):
    key = normalise(text, steps)
    assert normalise(key, steps) == key
    assert key == " ".join(key.split())
