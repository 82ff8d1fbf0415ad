"""Every policy, with outcomes worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.evaluation import Policy, score_outcomes
from genlink.evaluation.outcomes import Dropped
from genlink.schema import Candidate


def rank(records, **rules):
    """The rank of the only outcome."""
    [outcome], _ = score_outcomes(records, Policy(**rules))
    return outcome.rank


def part_ranks(records, **rules):
    [outcome], _ = score_outcomes(records, Policy(**rules))
    return outcome.part_ranks


# One concept


def test_the_rank_is_that_of_the_first_accepted_concept(record):
    assert rank([record([["A", "B"]], ("X", 1), ("B", 2), ("A", 3))]) == 2


def test_a_concept_that_is_not_listed_is_at_no_rank(record):
    assert rank([record([["A"]], ("X", 1))]) == inf
    assert rank([record([["A"]])]) == inf


# Ambiguous names


def test_lenient_takes_any_concept_of_an_ambiguous_name(record):
    assert rank([record([["B"]], ("A", 1, True), ("B", 1, True))], ambiguous="lenient") == 1


def test_strict_takes_no_ambiguous_answer_even_where_a_later_one_is_plain(record):
    assert rank([record([["B"]], ("A", 1, True), ("B", 1, True))], ambiguous="strict") == inf
    assert rank([record([["B", "C"]], ("A", 1, True), ("B", 1, True), ("C", 2))], ambiguous="strict") == 2


def test_std_draws_one_concept_of_the_name_always_the_same_for_a_mention(record):
    for mention_id in map(str, range(20)):
        ranks = [
            rank([record([[gold]], ("A", 1, True), ("B", 1, True), mention_id=mention_id)], ambiguous="std")
            for gold in "AB"
        ]
        assert sorted(ranks) == [1, inf]  # one is drawn, the other is not
        again = rank([record([["A"]], ("A", 1, True), ("B", 1, True), mention_id=mention_id)], ambiguous="std")
        assert again == ranks[0]


def test_std_draws_each_concept_for_its_share_of_the_mentions(record):
    records = [record([["A"]], ("A", 1, True), ("B", 1, True), ("C", 1, True), document_id=str(i)) for i in range(900)]
    outcomes, _ = score_outcomes(records, Policy(ambiguous="std"))
    assert 250 < sum(outcome.rank == 1 for outcome in outcomes) < 350


def test_std_and_strict_leave_plain_names_alone(record):
    for mode in ("std", "strict"):
        assert rank([record([["A"]], ("A", 1))], ambiguous=mode) == 1


# Composite mentions, split: "breast and ovarian cancer" as two sub-mentions


def split(record, first, second):
    return [record([["A"]], *first, part=0), record([["B"]], *second, part=1)]


def test_any_needs_one_part_of_a_split_composite_for_some_sub_mention(record):
    records = split(record, [("X", 1), ("B", 2)], [("X", 1)])
    assert rank(records, composite="any") == 2
    assert part_ranks(records, composite="any") == (inf, 2)


def test_all_needs_every_part(record):
    records = split(record, [("A", 1)], [("X", 1), ("B", 3)])
    assert rank(records, composite="all") == 3
    assert part_ranks(records, composite="all") == (1, 3)


def test_all_lets_a_sub_mention_hit_any_gold_concept_of_the_whole(record):
    # The wording gave the parts in the other order: BioSyn's code does not ask which is which.
    assert rank(split(record, [("B", 1)], [("A", 1)]), composite="all") == 1


def test_all_is_not_content_with_one_part_hit_twice(record):
    assert rank(split(record, [("A", 1)], [("A", 1)]), composite="all") == inf


def test_all_wants_something_of_each_sub_mention(record):
    # Both parts stand with the first sub-mention, nothing with the second.
    records = split(record, [("A", 1), ("B", 2)], [("X", 1)])
    assert rank(records, composite="all") == inf
    assert rank(records, composite="any") == 1
    assert part_ranks(records) == (1, 2)


# Composite mentions, not split


def test_all_needs_a_rank_for_each_part_of_a_composite_that_was_not_split(record):
    records = [record([["A"], ["B"]], ("A", 1), ("X", 2), ("B", 3))]
    assert rank(records, composite="any") == 1
    assert rank(records, composite="all") == 3
    assert rank([record([["A"], ["B"]], ("A", 1))], composite="all") == inf


def test_the_sub_mentions_of_one_span_are_one_outcome(record):
    records = [*split(record, [("A", 1)], [("B", 1)]), record([["C"]], ("C", 1), mention_id="1")]
    outcomes, _ = score_outcomes(records, Policy())
    assert [len(outcome.records) for outcome in outcomes] == [2, 1]


def test_a_document_that_the_corpus_holds_twice_counts_twice(record):
    outcomes, _ = score_outcomes([record([["A"]], ("A", 1)), record([["A"]], ("X", 1))], Policy())
    assert [(outcome.identity, outcome.rank) for outcome in outcomes] == [(("1", "0", 0), 1), (("1", "0", 1), inf)]


# NIL, out of the knowledge base, unlabelled


def test_drop_leaves_out_what_has_no_gold_concept_and_says_how_many(record):
    records = [
        record([["A"]], ("A", 1)),
        record([[]], mention_id="1"),
        record([["Z"]], ("A", 1), mention_id="2", out_of_kb=["Z"]),
        record(None, ("A", 1), mention_id="3"),
    ]
    outcomes, dropped = score_outcomes(records, Policy(nil="drop"))
    assert len(outcomes) == 1
    assert dropped == Dropped(unlabelled=1, nil=1, out_of_kb=1)
    assert dropped.total == 3


def test_count_takes_an_empty_prediction_for_nil(record):
    assert rank([record([[]])], nil="count") == 1
    assert rank([record([[]], ("A", 1))], nil="count") == inf


def test_count_scores_a_nil_answer_as_nothing_found_and_drop_ranks_its_candidates(record):
    nil, right = (replace(record(gold, ("A", 1)), is_nil=True) for gold in ([[]], [["A"]]))
    assert rank([nil], nil="count") == 1
    assert rank([right], nil="count") == inf
    assert rank([right], nil="drop") == 1
    assert rank([replace(nil, is_nil=False)], nil="count") == inf
    assert rank([replace(right, is_nil=False)], nil="count") == 1
    out_of_kb = replace(record([["Z"]], ("A", 1), out_of_kb=["Z"]), is_nil=True)
    assert rank([out_of_kb], nil="count") == inf


def test_count_takes_a_concept_out_of_the_knowledge_base_for_wrong(record):
    assert rank([record([["Z"]], out_of_kb=["Z"])], nil="count") == inf
    assert rank([record([["Z"]], ("A", 1), out_of_kb=["Z"])], nil="count") == inf


def test_unlabelled_mentions_never_count(record):
    outcomes, dropped = score_outcomes([record(None)], Policy(nil="count"))
    assert (outcomes, dropped.unlabelled) == ([], 1)


def test_a_part_out_of_the_knowledge_base_is_dropped_from_a_composite(record):
    records = [record([["A"]], ("A", 1), part=0), record([["Z"]], ("X", 1), part=1, out_of_kb=["Z"])]
    assert rank(records, composite="all", nil="drop") == 1
    assert part_ranks(records, composite="all", nil="drop") == (1,)
    assert rank(records, composite="all", nil="count") == inf
    assert rank(records, composite="any", nil="count") == 1


def test_a_nil_part_counts_for_its_own_sub_mention(record):
    records = [record([["A"]], ("A", 2), part=0), record([[]], part=1)]
    assert rank(records, composite="all", nil="count") == 2
    assert part_ranks(records, composite="all", nil="count") == (2, 1)


# Laws

ids = st.sampled_from("ABCD")
candidates = st.lists(st.tuples(st.sets(ids, min_size=1, max_size=3), st.booleans()), max_size=4)


@st.composite
def predictions(draw, make):
    """A span of one or two gold parts, split or not, with names of one or several concepts."""
    gold = draw(st.lists(st.sets(ids, max_size=2), min_size=1, max_size=2))
    is_split = len(gold) > 1 and draw(st.booleans())

    def answers():
        listed, seen = [], set()
        for place, (concepts, also_elsewhere) in enumerate(draw(candidates), start=1):
            new = sorted(concepts - seen)
            seen |= concepts
            listed += [(concept, place, len(concepts) > 1 or also_elsewhere) for concept in new]
        return listed

    if is_split:
        return [make([part], *answers(), part=i) for i, part in enumerate(gold)]
    return [make(gold, *answers())]


@given(st.data())
@pytest.mark.parametrize("composite", ["any", "all"])
@pytest.mark.parametrize("nil", ["drop", "count"])
def test_strict_is_never_better_than_std_nor_std_than_lenient(nil, composite, record, data):
    records = data.draw(predictions(record))
    found = {}
    for mode in ("strict", "std", "lenient"):
        outcomes, _ = score_outcomes(records, Policy(ambiguous=mode, composite=composite, nil=nil))
        found[mode] = [outcome.rank for outcome in outcomes]
    assert found["strict"] >= found["std"] >= found["lenient"]


@given(st.data())
@pytest.mark.parametrize("mode", ["lenient", "std", "strict"])
def test_all_is_never_better_than_any(mode, record, data):
    records = data.draw(predictions(record))
    found = {
        composite: [o.rank for o in score_outcomes(records, Policy(ambiguous=mode, composite=composite))[0]]
        for composite in ("any", "all")
    }
    assert found["all"] >= found["any"]


def test_candidates_keep_their_order_out_of_the_score(record):
    # Ranks decide, not positions: a reader may list the concepts of a rank in any order.
    one = record([["A"]])
    shuffled = (Candidate("B", "", "", 0.0, 2), Candidate("A", "", "", 0.0, 1))
    assert rank([type(one)(**{f: getattr(one, f) for f in one.__slots__} | {"candidates": shuffled})]) == 1
