"""Names found in plain text: the longest, whole words only, where the text has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.kb import KnowledgeBase
from genlink.preprocessing import FinderRules, NameFinder
from genlink.preprocessing.common_words import FUNCTION_WORDS
from genlink.schema import Concept, Document
from genlink.text import Normalisation, normalise

EVERYTHING = FinderRules(min_characters=1, capitals=0, common_words=False, plurals=False)


def kb_of(*names: str, normalisation: Normalisation = Normalisation()) -> KnowledgeBase:
    concepts = (Concept(f"C{i}", (name,)) for i, name in enumerate(names))
    return KnowledgeBase.from_concepts(concepts, normalisation=normalisation)


def found(text: str, *names: str, rules: FinderRules = EVERYTHING) -> list[str]:
    return [text[start:end] for start, end in NameFinder(kb_of(*names), rules).find(text)]


def test_the_longest_name_is_taken_and_the_search_goes_on_behind_it() -> None:
    text = "Acute lung injury; lung injury scores."
    assert found(text, "lung", "lung injury", "acute lung injury", "injury scores") == [
        "Acute lung injury",
        "lung injury",
    ]


def test_a_name_within_a_word_is_no_mention() -> None:
    assert found("A subcategory of cats: cat, (cat) cat-like", "cat") == ["cat", "cat", "cat"]


def test_spelling_that_has_the_same_key_is_found_where_it_stands() -> None:
    assert found("In SJO\u0308GREN’S\n  syndrome, β-thalassämie.", "Sjögren's syndrome", "β thalassamie") == [
        "SJO\u0308GREN’S\n  syndrome",
        "β-thalassämie",
    ]


def test_half_a_character_is_not_found() -> None:
    assert found("½ dose", "1", "2 dose") == []
    assert found("½ dose", "1 2 dose", "1") == ["½ dose"]


def test_two_names_side_by_side_are_both_found() -> None:
    assert found("fever rash fever", "fever", "rash") == ["fever", "rash", "fever"]


def test_a_dictionary_that_keeps_punctuation_is_searched_word_by_word_too() -> None:
    finder = NameFinder(kb_of("type-2", "asthma", normalisation=Normalisation(punctuation=False)), EVERYTHING)
    text = "(asthma), asthmatic, Type-2."
    assert [text[slice(*span)] for span in finder.find(text)] == ["asthma", "Type-2"]


def test_short_names_and_numbers_are_left_out() -> None:
    names = ("ms", "a b", "a bc", "1900", "flu")
    assert found("MS, a b, a bc, 1900 and flu", *names, rules=FinderRules()) == ["a bc", "flu"]
    assert found("MS and flu", *names, rules=FinderRules(min_characters=2)) == ["MS", "flu"]


def test_an_abbreviation_that_is_a_word_is_found_in_capitals_alone() -> None:
    assert found("All ALL was WAS.", "ALL", "WAS", rules=FinderRules()) == ["ALL", "WAS"]
    assert found("cat Cat CAT", "CAT", "cat", rules=FinderRules()) == ["cat", "Cat", "CAT"]  # one name of two concepts
    assert found("gout", "GOUT", rules=FinderRules(capitals=0)) == ["gout"]


def test_a_word_of_the_initials_of_another_name_is_found_in_capitals_alone() -> None:
    kb = KnowledgeBase.from_concepts([Concept("C1", ("chronic obstructive lung disease", "cold", "smoker lung"))])
    text = "cold COLD, smoker lung"
    assert [text[slice(*span)] for span in NameFinder(kb).find(text)] == ["COLD", "smoker lung"]
    assert [text[slice(*span)] for span in NameFinder(kb, FinderRules(capitals=0)).find(text)] == [
        "cold",
        "COLD",
        "smoker lung",
    ]
    of = KnowledgeBase.from_concepts([Concept("C1", ("cancer of lung", "CL", "clu"))])
    assert NameFinder(of, FinderRules(min_characters=2)).find("cl CL clu") == [(3, 5), (6, 9)]  # without "of" too


def test_plurals_are_found() -> None:
    assert found("Kidneys, kidneyss, KIDNEYS", "kidney", rules=FinderRules()) == ["Kidneys", "KIDNEYS"]
    assert found("kidneys fail, kidneys", "kidney", "kidneys fail", rules=FinderRules()) == ["kidneys fail", "kidneys"]
    assert found("kidneys", "kidney", rules=FinderRules(plurals=False)) == []


def test_what_is_a_name_or_left_out_is_not_found_as_a_plural() -> None:
    kb = KnowledgeBase.from_concepts([Concept("C1", ("acne",)), Concept("C2", ("nerve entrapment", "ACNES"))])
    text = "P. acnes, ACNES, acne"
    assert [text[slice(*span)] for span in NameFinder(kb).find(text)] == ["ACNES", "acne"]
    assert found("no fevers here", "fever", rules=FinderRules(without=("Fevers",))) == []
    assert found("no fevers here", "fever", "fevers", rules=FinderRules(without=("fevers",))) == []


def test_the_key_of_what_is_found_is_that_of_the_singular() -> None:
    kb = kb_of("kidney", "sars")
    finder = NameFinder(kb)
    assert finder.key_of("Kidneys") == finder.key_of("kidney") == kb.key_index("kidney")
    assert finder.key_of("SARS") == kb.key_index("sars")
    assert finder.key_of("sar") is finder.key_of("kidneyss") is finder.key_of("") is None
    assert NameFinder(kb, FinderRules(plurals=False)).key_of("kidneys") is None


def test_a_name_with_half_of_its_short_form_is_not_found() -> None:
    names = ("lung disease", "lung disease (COPD)", "metformin", "metformin(1+)")
    assert found("Lung disease (COPD), metformin(1+) (lung disease)", *names, rules=FinderRules()) == [
        "Lung disease",
        "metformin",
        "lung disease",
    ]


def test_a_letter_is_no_abbreviation_of_itself() -> None:
    kb = KnowledgeBase.from_concepts([Concept("C1", ("potassium", "K"))])
    assert NameFinder(kb, FinderRules(min_characters=1)).find("Serum K was low") == [(6, 7)]


def test_function_words_and_the_names_that_somebody_leaves_out_are_not_found() -> None:
    assert found("other fever here", "other", "fever", "here", rules=FinderRules()) == ["fever"]
    assert found("The result: a light fever", "result", "light", "fever", rules=FinderRules()) == ["fever"]
    assert found("Spotted fever", "fever", rules=FinderRules(without=("FEVER",))) == []


def test_the_mentions_of_a_document_are_replaced_by_what_is_found() -> None:
    finder = NameFinder(kb_of("asthma", "gout"))
    document = finder.with_mentions(Document("d", "Gout, no asthma."))
    assert [(m.text, m.spans, m.key) for m in document.mentions] == [
        ("Gout", ((0, 4),), ("d", "0")),
        ("asthma", ((9, 15),), ("d", "1")),
    ]


WORDS = ["ab", "Ab", "ÀB", "b", "bß", "c\u0327d", "d", "ｶﾞ"]
sequences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)


@given(st.lists(sequences, min_size=1, max_size=5), st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(" -,"))))
def test_what_is_found_is_what_trying_every_row_of_words_finds(names: list[list[str]], words: list[tuple[str, str]]):
    keys = {normalise(" ".join(name)) for name in names}
    text, tokens = "", []
    for word, separator in words:
        tokens.append((len(text), len(text) + len(word)))
        text += word + separator
    expected, i = [], 0
    while i < len(tokens):
        ends = [j for j in range(i, len(tokens)) if normalise(text[tokens[i][0] : tokens[j][1]]) in keys]
        if ends:
            expected.append((tokens[i][0], tokens[ends[-1]][1]))
        i = ends[-1] + 1 if ends else i + 1
    kb = KnowledgeBase.from_concepts(Concept(key, (key,)) for key in sorted(keys))
    assert NameFinder(kb, EVERYTHING).find(text) == expected
    first, *others = sorted(keys)
    over = KnowledgeBase.from_concepts([Concept("C", (first,))]).overlay({"C": others})
    assert NameFinder(over, EVERYTHING).find(text) == expected


TRICKY = "aA1 -ßẞİﬁ²½öo\u0308\u0301\uac01\u1100\u1161ｶﾞ゛\u3099´¨\u037a\u249c\t"


@given(st.lists(st.text(TRICKY, min_size=1, max_size=3), min_size=1, max_size=6), st.text(TRICKY, max_size=20))
@pytest.mark.parametrize("punctuation", [True, False])
def test_in_any_text_a_span_is_a_name_of_whole_words_and_overlaps_no_other(
    punctuation: bool, names: list[str], text: str
) -> None:
    steps = Normalisation(punctuation=punctuation)
    keys = {key for name in names if any(map(str.isalpha, key := normalise(name, steps)))}
    if not keys:
        return
    kb = KnowledgeBase.from_concepts((Concept(key, (key,)) for key in sorted(keys)), normalisation=steps)
    end_before = 0
    for start, end in NameFinder(kb, EVERYTHING).find(text):
        assert start >= end_before and normalise(text[start:end], steps) in keys
        # Cut out, the span and what stands around it keep the keys that they have in the text.
        pieces = [piece for piece in (text[:start], text[start:end], text[end:]) if normalise(piece, steps)]
        keys_of_pieces = [normalise(piece, steps) for piece in pieces]
        assert "".join(keys_of_pieces).replace(" ", "") == normalise(text, steps).replace(" ", "")
        if punctuation:  # so that blanks are all that words are parted by
            assert " ".join(keys_of_pieces) == normalise(text, steps)
        end_before = end


def test_the_function_words_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    assert FUNCTION_WORDS == ENGLISH_STOP_WORDS
