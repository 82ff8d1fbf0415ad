"""Scores, slices, errors and comparisons of small sets of predictions."""

from __future__ import annotations

import pytest

from genlink.errors import DataError, UsageError
from genlink.evaluation import Policy, compare_predictions, score_predictions, training_facts, training_names
from genlink.evaluation.report import result_rows
from genlink.evaluation.run import prepare_setting
from genlink.schema import Document, Mention


def value(report, row, measure):
    return report.rows[row][measure].value


def test_measures_of_four_mentions_by_hand(record):
    records = [
        record([["A"]], ("A", 1), document_id="1"),
        record([["A"]], ("X", 1), ("A", 2), document_id="2"),
        record([["A"], ["B"]], ("X", 1), ("B", 4), document_id="3"),
        record([["A"]], ("X", 1), document_id="4"),
    ]
    report = score_predictions(records, Policy(), k=10)
    assert report.n == 4
    assert value(report, "all", "acc@1") == 1 / 4
    assert value(report, "all", "acc@5") == 3 / 4
    assert value(report, "all", "mrr") == (1 + 1 / 2 + 1 / 4 + 0) / 4
    # Five gold parts: found at 1, 2, never, 4, never.
    assert value(report, "all", "recall@1") == 1 / 5
    assert value(report, "all", "recall@5") == 3 / 5
    assert report.rows["all"]["recall@10"].n == 5


def test_measures_beyond_k_are_not_reported(record):
    report = score_predictions([record([["A"]], ("A", 1))], Policy(), k=1)
    assert list(report.rows["all"]) == ["acc@1", "recall@1", "mrr"]


def test_each_estimate_has_an_interval_over_documents(record):
    records = [record([["A"]], ("A" if i % 2 else "X", 1), document_id=str(i)) for i in range(20)]
    estimate = score_predictions(records, Policy(), k=1).rows["all"]["acc@1"]
    assert estimate.low < 0.5 < estimate.high
    assert estimate == score_predictions(records, Policy(), k=1).rows["all"]["acc@1"]


def test_nothing_that_counts_is_an_error_that_says_why(record):
    with pytest.raises(DataError, match="1 are unlabelled, 1 NIL, 1 have no gold"):
        score_predictions([record(None), record([[]]), record([["Z"]], out_of_kb=["Z"])], Policy(), k=1)


def mention(text, *gold, surface="", part=None):
    whole = tuple(frozenset(ids.split("|")) for ids in gold)
    return Mention(text, ((0, len(text)),), text, "9", "0", gold=whole, surface=surface, part=part)


def test_training_names_are_surfaces_of_plain_mentions_that_resolve(kb):
    names = training_names(
        [
            mention("RC", "MESH:D1", surface="Belly ache"),
            mention("Belly ache", "D1"),
            mention("belly ache", "D3"),
            mention("podagra", "OLD4|D9"),
            mention("plague", "D9"),
            mention("gout and colic", "D4", "D1"),
            mention("colic", "D1", part=0),
            mention("!!", "D1"),
        ],
        kb,
    )
    assert names == {"D1": ["Belly ache"], "D3": ["belly ache"], "D4": ["podagra"]}


def test_training_facts_are_normalised_surfaces_and_resolved_concepts(kb):
    facts = training_facts([mention("Belly-Ache", "OLD4"), mention("plague", "D9")], kb)
    assert facts.surfaces == {"belly ache", "plague"}
    assert facts.concepts == {"D4"}


def test_slices_by_type_training_dictionary_and_kind(record, kb):
    training = training_facts([mention("belly ache", "D1")], kb)
    records = [
        record([["D1"]], ("D1", 1), surface="Belly ache", type="Disease"),
        record([["D2"]], ("D1", 1), surface="Fever", type="Disease", mention_id="1"),
        record([["D1"]], ("D1", 1), surface="colic", type="Sign", part=0, mention_id="2"),
        record([["D4"]], ("D4", 1), surface="belly ache", type="Sign", part=1, mention_id="2"),
    ]
    report = score_predictions(records, Policy(), k=1, kb=kb, training=training)
    assert {row: measures["acc@1"].n for row, measures in report.rows.items()} == {
        "all": 3,
        "type Disease": 2,
        "type Sign": 1,
        "mention seen": 1,  # of the composite one sub-mention was seen, the other not
        "mention unseen": 2,
        "concept seen": 1,
        "concept unseen": 2,
        "in dictionary": 1,  # fever; "belly ache" is not, and with it the composite
        "not in dictionary": 2,
        "ambiguous mention": 1,
        "composite": 1,
    }
    assert value(report, "type Disease", "acc@1") == 1 / 2
    assert value(report, "ambiguous mention", "acc@1") == 0


def test_a_single_type_makes_no_row(record):
    report = score_predictions([record([["A"]], ("A", 1), type="Disease")], Policy(), k=1)
    assert list(report.rows) == ["all"]


def test_errors_are_counted_most_frequent_first_in_words(record, kb):
    records = [
        record([["D1"]], ("D4", 1), surface="ache", document_id="1"),
        record([["D1"]], ("D4", 1), surface="ache", document_id="2"),
        record([["D2"]], surface="heat", document_id="3"),
        record([["D4"]], ("D2", 1, True), ("D3", 1, True), surface="fever", document_id="4"),
        record([["D4"]], ("D4", 1), document_id="5"),
    ]
    errors = score_predictions(records, Policy(), k=1, kb=kb).errors
    assert [(e.mention, e.gold, e.predicted, e.count) for e in errors] == [
        ("ache", "Colic", "name of D4", 2),
        ("fever", "Gout", "name of D2 or name of D3", 1),
        ("heat", "Lung fever", "(nothing)", 1),
    ]
    assert len(score_predictions(records, Policy(), k=1, n_errors=1).errors) == 1


def test_an_error_on_a_split_composite_shows_all_parts(record):
    records = [
        record([["A"]], ("X", 1), surface="one", part=0),
        record([["Z"]], ("Y", 1), surface="two", part=1, out_of_kb=["Z"]),
    ]
    [error] = score_predictions(records, Policy(), k=1).errors
    assert (error.mention, error.gold, error.predicted) == ("one | two", "A | (Z)", "name of X | name of Y")


def test_rows_of_several_presets_stand_side_by_side(record):
    records = [record([["A"], ["B"]], ("A", 1, True), ("C", 1, True))]
    reports = {mode: score_predictions(records, Policy(ambiguous=mode), k=1) for mode in ("lenient", "strict")}
    rows = result_rows(reports)
    assert list(rows) == ["lenient", "lenient: composite", "strict", "strict: composite"]
    assert (rows["lenient"]["acc@1"].value, rows["strict"]["acc@1"].value) == (1, 0)


# Comparing


def test_two_systems_are_compared_on_the_same_mentions_in_any_order(record):
    first = [record([["A"]], ("A" if i < 2 else "X", 1), document_id=str(i)) for i in range(4)]
    second = [record([["A"]], ("A" if i > 0 else "X", 1), document_id=str(i)) for i in range(4)]
    compared = compare_predictions(first, second[::-1], Policy())
    assert (compared.first, compared.second, compared.difference.value) == (2 / 4, 3 / 4, 1 / 4)
    assert (compared.only_first, compared.only_second) == (1, 2)
    assert compared.p == 1.0


def test_mentions_that_do_not_match_are_counted_in_the_error(record):
    first = [record([["A"]], mention_id=str(i)) for i in (1, 2, 3)]
    second = [record([["A"]], mention_id=str(i)) for i in (3, 4)]
    with pytest.raises(DataError, match="2 count in the first file only, 1 in the second only"):
        compare_predictions(first, second, Policy())


def test_gold_that_differs_is_counted_in_the_error(record):
    with pytest.raises(DataError, match="gold ids of 1 mentions differ"):
        compare_predictions([record([["A"]])], [record([["B"]])], Policy())


# The setting of a run


def documents(*mentions):
    return [Document("9", mentions[0].context, mentions)]


def test_the_dictionary_of_the_policy_is_extended_by_training_mentions(kb):
    training = documents(mention("Belly ache", "D1"))
    dev = documents(mention("Colic", "D1"))
    extended = prepare_setting(dev, kb, Policy(), training=training)
    assert (extended.kb.concept_ids("belly ache"), extended.names_added) == (("D1",), 1)
    plain = prepare_setting(dev, kb, Policy(dictionary="kb"), training=training)
    assert (plain.kb, plain.names_added) == (kb, 0)
    assert plain.training is not None
    assert prepare_setting(dev, kb, Policy(dictionary="kb")).training is None


def test_a_dictionary_with_training_names_needs_a_training_corpus(kb):
    with pytest.raises(UsageError, match="--train"):
        prepare_setting(documents(mention("Colic", "D1")), kb, Policy())


def test_only_mentions_of_the_types_asked_for_are_linked_and_learnt(kb):
    def typed(text, kind):
        return Mention(text, ((0, len(text)),), text, "9", text, kind, (frozenset({"D1"}),))

    corpus = documents(typed("one", "Disease"), typed("two", "Chemical"))
    setting = prepare_setting(corpus, kb, Policy(), training=corpus, types=["Disease"])
    assert [m.text for m in setting.mentions] == ["one"]
    assert setting.kb.concept_ids("two") == ()
    with pytest.raises(UsageError, match=r"No mention of type Gene\. The corpus has: Chemical, Disease"):
        prepare_setting(corpus, kb, Policy(), training=corpus, types=["Gene"])
