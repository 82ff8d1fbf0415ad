"""Abbreviations that a document defines, and their expansion."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.preprocessing import expand_abbreviations, find_abbreviations

FAP = {"FAP": "familial adenomatous polyposis"}


@pytest.mark.parametrize(
    ("text", "definitions"),
    [
        ("Familial adenomatous polyposis (FAP) is inherited.", {"FAP": "Familial adenomatous polyposis"}),
        ("We saw ataxia-telangiectasia (A-T) here.", {"A-T": "ataxia-telangiectasia"}),
        ("Deficiency of beta-hexosaminidase A (Hex A) was seen.", {"Hex A": "beta-hexosaminidase A"}),
        ("It is 1-methyl-4-phenylpyridine (MPP) that harms.", {"MPP": "1-methyl-4-phenylpyridine"}),
        ("Many palmoplantar keratoderma (PPK) conditions.", {"PPK": "palmoplantar keratoderma"}),
        ("Phenylalanine hydroxylase (PAH, EC 1. 14) and more.", {"PAH": "Phenylalanine hydroxylase"}),
        ("Genes (ataxia-telangiectasia (AT) -mutated) too.", {"AT": "ataxia-telangiectasia"}),
        ("The APC (adenomatous polyposis coli) gene.", {"APC": "adenomatous polyposis coli"}),
        ("An attenuated adenomatous polyposis coli (AAPC) is.", {"AAPC": "attenuated adenomatous polyposis coli"}),
        ("Cases of Von Hippel-Lindau (VHL) disease.", {"VHL": "Von Hippel-Lindau"}),
        ("(Insulin-dependent) diabetes mellitus (IDDM) here.", {}),
        ("It is 1-methyl pyridine (MP) that harms.", {"MP": "1-methyl pyridine"}),
        ("The patients (parents and their children) came.", {}),
        ("They saw other new ones (one case).", {}),
        ("No definition (at all) here.", {}),
        ("", {}),
    ],
)
def test_definitions_are_found(text: str, definitions: dict[str, str]) -> None:
    assert find_abbreviations(text) == definitions


def test_definitions_are_found_across_the_whole_document() -> None:
    text = "Wilson disease (WD) in Italy\n\nIntroduction\n\nHuntington disease (HD) is rare. So is Fabry disease (FD)."
    assert find_abbreviations(text) == {"WD": "Wilson disease", "HD": "Huntington disease", "FD": "Fabry disease"}


def test_line_ends_and_double_blanks_within_a_definition_do_not_matter() -> None:
    assert find_abbreviations("a  case of familial adenomatous\npolyposis\n(FAP) here") == FAP


def test_a_stray_parenthesis_costs_its_sentence_alone() -> None:
    text = "One (unclosed remark is here. Then familial adenomatous polyposis (FAP) was found."
    assert find_abbreviations(text) == FAP


def test_initials_may_come_in_the_order_of_another_language() -> None:
    assert find_abbreviations("CTG repeats in myotonic dystrophy (DM).") == {"DM": "myotonic dystrophy"}
    assert find_abbreviations("CTG repeats in myotonic dystrophy (dm).") == {}  # a word, a unit
    assert find_abbreviations("CTG repeats in cancer of lungs (LC).") == {}  # "of" has no letter
    assert find_abbreviations("CTG repeats measured in cells (CI).") == {}  # "in" is no word of a name


def test_the_parts_of_a_whole_are_defined_by_it_unless_the_text_does() -> None:
    text = "The hyperparathyroidism-jaw tumor syndrome (HPT-JT), hence jaw tremor (JT)."
    whole = "hyperparathyroidism-jaw tumor syndrome"
    assert find_abbreviations(text) == {"HPT": "hyperparathyroidism", "HPT-JT": whole, "JT": "jaw tremor"}


def test_no_part_of_a_single_letter_is_defined() -> None:
    assert find_abbreviations("X-linked adrenoleukodystrophy (X-ALD)") == {
        "ALD": "adrenoleukodystrophy",
        "X-ALD": "X-linked adrenoleukodystrophy",
    }


def test_the_first_of_several_definitions_counts() -> None:
    text = "First heart attack (HA) was seen. Then high altitude (HA) was named."
    assert find_abbreviations(text) == {"HA": "heart attack"}


@pytest.mark.parametrize(
    "text",
    [
        "They have ataxia: the mutant (ATM) was seen.",  # would run over the end of a clause
        "They gave aprotinin and tranexamic acid (ATA) to all.",  # would begin at "and", for want of a better word
        "The HDL-linked density locus (HDL) was found.",  # would contain itself
    ],
)
def test_false_finds_are_left_out(text: str) -> None:
    assert find_abbreviations(text) == {}


def test_what_a_hyphen_ties_to_another_occurrence_is_not_taken() -> None:
    assert find_abbreviations("Of 3-renal pain and renal pain (RP).") == {"RP": "renal pain"}


@pytest.mark.parametrize(
    ("mention", "expanded"),
    [
        ("FAP", "familial adenomatous polyposis"),
        ("FAPs", "familial adenomatous polyposis"),
        ("attenuated FAP", "attenuated familial adenomatous polyposis"),
        ("FAP-associated tumour", "familial adenomatous polyposis-associated tumour"),
        ("fap", "fap"),  # the case of the definition counts
        ("FAPA", "FAPA"),
        ("polyposis", "polyposis"),
    ],
)
def test_a_short_form_is_expanded_as_a_word_of_its_own(mention: str, expanded: str) -> None:
    assert expand_abbreviations(mention, FAP) == expanded


@pytest.mark.parametrize(
    ("mention", "expanded"),
    [
        ("familial adenomatous polyposis (FAP)", "familial adenomatous polyposis"),
        ("Familial Adenomatous Polyposis [FAP] coli", "Familial Adenomatous Polyposis coli"),
        ("FAP (familial adenomatous polyposis)", "familial adenomatous polyposis"),
        ("familial adenomatous polyposis FAP", "familial adenomatous polyposis FAP"),
        ("polyposis (FAP)", "polyposis (FAP)"),
    ],
)
def test_nothing_is_expanded_beside_its_own_long_form(mention: str, expanded: str) -> None:
    assert expand_abbreviations(mention, FAP) == expanded


def test_the_head_is_not_said_twice() -> None:
    definitions = {"HD": "Huntington disease"}
    assert expand_abbreviations("HD disease", definitions) == "Huntington disease"
    assert expand_abbreviations("HD patients", definitions) == "Huntington disease patients"


def test_every_short_form_of_a_mention_is_expanded() -> None:
    definitions = {"WD": "Wilson disease", "HD": "Huntington disease"}
    assert expand_abbreviations("WD HD", definitions) == "Wilson disease Huntington disease"
    assert expand_abbreviations("WD/HD and HD", definitions) == (
        "Wilson disease/Huntington disease and Huntington disease"
    )


def test_the_longest_short_form_wins() -> None:
    definitions = {"MEN": "multiple endocrine neoplasia", "MEN 2": "medullary carcinoma syndrome"}
    assert expand_abbreviations("MEN 2", definitions) == "medullary carcinoma syndrome"
    assert expand_abbreviations("MEN 1", definitions) == "multiple endocrine neoplasia 1"


def test_long_forms_are_expanded_in_turn() -> None:
    assert expand_abbreviations("HBC", {"HBC": "hereditary BC", "BC": "breast cancer"}) == "hereditary breast cancer"


def test_definitions_in_a_circle_come_to_an_end() -> None:
    assert expand_abbreviations("AB", {"AB": "a BA", "BA": "b AB"}) == "a b AB"
    assert expand_abbreviations("VHL", {"VHL": "VHL disease"}) == "VHL disease"


shorts = st.text("AB", min_size=1, max_size=2)
longs = st.lists(st.sampled_from(["A", "B", "AB", "BA", "cancer", "(A)"]), min_size=1, max_size=3).map(" ".join)


@given(longs, st.dictionaries(shorts, longs, max_size=4))
def test_expansion_always_ends(mention: str, definitions: dict[str, str]) -> None:
    assert expand_abbreviations(mention, definitions)


@given(st.text(max_size=60))
def test_any_text_can_be_searched(text: str) -> None:
    for short, long in find_abbreviations(text).items():
        assert short
        assert long


def test_the_package_behind_does_not_configure_logging() -> None:
    code = (
        "import logging; from genlink.preprocessing import find_abbreviations; "
        "find_abbreviations('heart attack (HA)'); assert not logging.getLogger().handlers; "
        "assert logging.getLogger().level == logging.WARNING; import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert logging.getLogger("abbreviations").handlers == []
