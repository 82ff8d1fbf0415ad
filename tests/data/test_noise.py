"""Disturbed names: every way in which writers depart from a dictionary happens, and a name never vanishes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.noise import add_noise
from genlink.text import normalise

names = st.one_of(
    st.text("aeiosy ", min_size=1, max_size=12),
    st.lists(
        st.sampled_from(["s", "y", "is", "ies", "type", "iii", "tumour", "haem", "a"]), min_size=1, max_size=5
    ).map(" ".join),
    st.text(min_size=1, max_size=12),
).map(normalise)


def disturbed(name: str, n: int = 5000) -> set[str]:
    """What becomes of a name in many draws."""
    rng = np.random.default_rng(0)
    return {add_noise(name, rng) for _ in range(n)}


@given(names.filter(bool), st.integers(0, 2**32))
def test_a_disturbed_name_is_never_empty_and_is_a_normalised_name_again(name, seed):
    noised = add_noise(name, np.random.default_rng(seed))
    assert noised
    assert noised == " ".join(noised.split())


@given(names.filter(bool), st.integers(0, 2**32))
def test_the_same_seed_disturbs_alike(name, seed):
    assert add_noise(name, np.random.default_rng(seed)) == add_noise(name, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("kind", "noised"),
    [
        ("a letter dropped", "rnal tumour"),
        ("a letter doubled", "reenal tumour"),
        ("letters swapped", "ernal tumour"),
        ("a letter replaced", "rqnal tumour"),
        ("plural", "renal tumours"),
        ("another order", "tumour renal"),
        ("turned round", "tumour of renal"),
        ("turned round with an article", "tumour of the renal"),
        ("a word dropped", "tumour"),
        ("a word added", "renal tumour syndrome"),
        ("another spelling", "renal tumor"),
        ("words joined", "renaltumour"),
        ("two kinds at once", "tumours renal"),
    ],
)
def test_every_kind_of_noise_happens(kind, noised):
    assert noised in disturbed("renal tumour"), kind


@pytest.mark.parametrize(
    ("name", "other_number"),
    [
        ("biopsy", "biopsies"),
        ("biopsies", "biopsy"),
        ("tumours", "tumour"),
        ("stenosis", "stenoses"),
        ("abscess", "abscesses"),
        ("virus", "viruses"),
        ("moth s lung", "moth lung"),
    ],
)
def test_plural_and_singular_change_places(name, other_number):
    assert other_number in disturbed(name, 500)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("haemophilia", "hemophilia"),
        ("edema", "oedema"),
        ("type i", "type 1"),
        ("type 2", "type ii"),
        ("sulfur", "sulphur"),
    ],
)
def test_other_spellings_go_both_ways(name, spelled):
    assert spelled in disturbed(name, 2000)


def test_most_names_are_changed_and_most_changes_are_single():
    rng = np.random.default_rng(1)
    noised = [add_noise("chronic renal tumour", rng) for _ in range(2000)]
    assert np.mean([name != "chronic renal tumour" for name in noised]) > 0.9
    kept = np.mean([len(set(name.split()) & {"chronic", "renal", "tumour"}) >= 2 for name in noised])
    assert kept > 0.8


def test_a_name_in_which_nothing_can_be_disturbed_is_given_back():
    # Three letters are too few for a typo, and there is no second word to drop, move or join.
    assert "cat" in disturbed("cat", 200)
