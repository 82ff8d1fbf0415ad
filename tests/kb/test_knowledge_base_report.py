"""The build report, with counts worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

from genlink.kb import BuildReport, KnowledgeBase
from genlink.kb.report import unspellable
from genlink.schema import Concept

CONCEPTS = [
    Concept("MESH:D1", ("Cold", "common cold", "the common cold"), definition="A virus.", alternative_ids=("X:1",)),
    Concept("MESH:D2", ("COLD", "c.o.l.d.", "+"), types=("T047",), alternative_ids=("X:1", "X:2")),
    Concept("OMIM:1", ("cold", "???"), types=("T047",), definition=""),
    Concept("7", ("!",)),
    Concept("8", ("chill",)),
    Concept("8", ("chill",)),
    Concept("8", ("shiver", "COLD")),
]


def test_the_report_counts_what_was_kept_and_dropped() -> None:
    kb = KnowledgeBase.from_concepts(CONCEPTS, max_name_length=14, on_duplicate="merge")
    assert kb.report == BuildReport(
        concepts=4,  # D1, D2, OMIM:1, 8
        names=8,  # Cold, common cold | COLD, c.o.l.d. | cold | chill, shiver, COLD
        keys=5,  # cold, common cold, c o l d, chill, shiver
        ambiguous_keys=1,  # cold
        max_concepts_per_key=4,
        names_dropped_empty=3,  # +, ???, !
        names_dropped_too_long=1,  # the common cold: 15 characters
        names_dropped_unspellable=0,
        concepts_dropped=1,  # 7
        duplicates_merged=2,
        shared_alternative_ids=1,  # X:1
        definitions=1,  # the empty one is none
        concepts_with_types=2,
        longest_name=11,  # common cold
        vocabularies={"": 1, "MESH": 2, "OMIM": 1},
    )


def test_the_report_survives_json() -> None:
    report = KnowledgeBase.from_concepts(CONCEPTS, on_duplicate="merge").report
    assert report is not None
    assert BuildReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_an_overlay_has_no_report() -> None:
    assert KnowledgeBase.from_concepts(CONCEPTS[:1]).overlay({"MESH:D1": ["new"]}).report is None


def test_names_without_spelling_are_counted_on_top_of_the_first_report() -> None:
    kb = KnowledgeBase.from_concepts(CONCEPTS, max_name_length=14, on_duplicate="merge")
    assert kb.without_unspellable([]) is kb
    report = kb.without_unspellable({"cold", "c o l d"}).report
    assert report is not None
    assert report.concepts == 2  # D1, 8
    assert report.names == 3  # common cold | chill, shiver
    assert report.keys == 3
    assert report.names_dropped_unspellable == 5  # Cold | COLD, c.o.l.d. | cold | COLD
    assert report.names_dropped_empty == 3
    assert report.names_dropped_too_long == 1
    assert report.concepts_dropped == 3  # 7, then D2 and OMIM:1
    assert report.duplicates_merged == 2


# A tokenizer of letters: a is 1, b is 2, whatever else is the unknown 0; capitals are lost.
def encode(texts: Sequence[str]) -> list[list[int]]:
    return [[" ab".find(c.lower()) if c.lower() in "ab" else 0 for c in text] for text in texts]


def decode(ids: Sequence[Sequence[int]]) -> list[str]:
    return ["".join("?ab"[i] for i in row) for row in ids]


def test_unspellable_are_keys_that_do_not_come_back_or_need_a_special_token() -> None:
    keys = ["ab", "aBa", "c", "?", "b"]
    assert list(unspellable(keys, encode, decode)) == ["aBa", "c"]
    assert list(unspellable(keys, encode, decode, special_ids=[0])) == ["aBa", "c", "?"]
    assert list(unspellable(keys, encode, decode, batch=2)) == ["aBa", "c"]
    assert list(unspellable([], encode, decode)) == []


def test_white_space_around_a_decoded_key_is_ignored() -> None:
    assert list(unspellable(["a"], encode, lambda ids: [f" {text} " for text in decode(ids)])) == []
