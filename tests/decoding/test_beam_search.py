"""Beam search under scores from a table: no model, no tensor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import END, A, B, C, D, FakeSession, LogProb, brute_force, build, name_lists, names_of, random_scores, seeds

from genlink.decoding import Beam, Hypothesis, run_searches
from genlink.decoding.search import NameConcepts


def beam_search(
    session: FakeSession, trie, n_mentions: int, beams: int, k: int, name_concepts: NameConcepts | None = None
) -> list[list[Hypothesis]]:
    searches = [Beam(trie, beams, k, name_concepts) for _ in range(n_mentions)]
    return [list(result.hypotheses) for result in run_searches(session, searches)]


@given(name_lists, seeds, st.integers(1, 30))
def test_with_as_many_beams_as_names_the_search_returns_what_brute_force_over_all_names_returns(names, seed, k) -> None:
    log_prob, beams = random_scores(seed), len(names)
    k = min(k, beams)
    found = beam_search(FakeSession(log_prob, 3), build(names), 3, beams=beams, k=k)
    for mention in range(3):
        expected = brute_force(log_prob, names, mention)[:k]
        assert names_of(found[mention]) == names_of(expected)
        np.testing.assert_allclose([h.score for h in found[mention]], [h.score for h in expected], rtol=1e-5)


@given(name_lists, seeds, st.integers(1, 30), st.data())
def test_distinct_concepts_with_as_many_beams_as_names_equals_walking_all_names(names, seed, k, data) -> None:
    concepts = data.draw(
        st.lists(st.frozensets(st.integers(0, 5), min_size=1, max_size=3), min_size=len(names), max_size=len(names))
    )
    log_prob = random_scores(seed)
    listed: set[int] = set()
    expected = []
    for hypothesis in brute_force(log_prob, names, 0):
        if not concepts[hypothesis.name] <= listed:
            listed |= concepts[hypothesis.name]
            expected.append(hypothesis.name)
    session = FakeSession(log_prob, 1)
    (found,) = beam_search(session, build(names), 1, beams=len(names), k=k, name_concepts=lambda i: tuple(concepts[i]))
    assert names_of(found) == expected[:k]


@given(name_lists, seeds, st.integers(1, 4))
def test_a_narrow_beam_returns_real_names_with_their_real_scores_best_first(names, seed, beams) -> None:
    log_prob = random_scores(seed)
    (found,) = beam_search(FakeSession(log_prob, 1), build(names), 1, beams=beams, k=beams)
    scores = {h.name: h.score for h in brute_force(log_prob, names, 0)}
    assert 1 <= len(found) <= beams
    assert len(set(names_of(found))) == len(found)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(scores[hypothesis.name], rel=1e-5)


@given(name_lists, seeds, st.integers(1, 4))
def test_asking_for_fewer_names_gives_the_head_of_the_longer_list(names, seed, beams) -> None:
    trie, log_prob = build(names), random_scores(seed)
    (whole,) = beam_search(FakeSession(log_prob, 1), trie, 1, beams=beams, k=beams)
    for k in range(1, beams + 1):
        (head,) = beam_search(FakeSession(log_prob, 1), trie, 1, beams=beams, k=k)
        assert head == whole[:k]


@given(name_lists, seeds, st.integers(1, 4))
def test_one_concept_a_name_changes_nothing(names, seed, beams) -> None:
    trie, log_prob = build(names), random_scores(seed)
    plain = beam_search(FakeSession(log_prob, 2), trie, 2, beams=beams, k=beams)
    assert beam_search(FakeSession(log_prob, 2), trie, 2, beams=beams, k=beams, name_concepts=lambda i: [i]) == plain


@given(name_lists, seeds)
def test_a_mention_is_searched_alike_alone_and_in_company(names, seed) -> None:
    trie, log_prob = build(names), random_scores(seed)
    together = beam_search(FakeSession(log_prob, 4), trie, 4, beams=2, k=2)
    for mention in range(4):
        alone = FakeSession(lambda _, prefix, token, m=mention: log_prob(m, prefix, token), 1)
        assert beam_search(alone, trie, 1, beams=2, k=2) == [together[mention]]


def table(entries: dict[tuple[int, ...], float]) -> LogProb:
    """Natural log-probabilities by prefix and token, for a single mention."""
    return lambda mention, prefix, token: entries[(*prefix, token)]


def test_fewer_names_than_beams_gives_fewer_results_and_no_junk() -> None:
    entries = {(A,): -1.0, (A, END): -2.0, (B,): -0.5, (B, END): -4.0}
    found = beam_search(FakeSession(table(entries), 1), build([(A,), (B,)]), 1, beams=5, k=5)
    assert found == [[Hypothesis(0, -3.0), Hypothesis(1, -4.5)]]


def test_a_single_name_is_found_by_a_single_beam() -> None:
    entries = {(A,): -1.0, (A, B): -2.0, (A, B, END): -0.25}
    assert beam_search(FakeSession(table(entries), 1), build([(A, B)]), 1, beams=1, k=1) == [[Hypothesis(0, -3.25)]]


def test_a_name_and_its_continuation_are_two_names() -> None:
    entries = {(A,): -1.0, (A, END): -2.0, (A, B): -0.5, (A, B, END): -0.5}
    found = beam_search(FakeSession(table(entries), 1), build([(A,), (A, B)]), 1, beams=2, k=2)
    assert found == [[Hypothesis(1, -2.0), Hypothesis(0, -3.0)]]


def test_an_end_ranked_below_the_number_of_beams_does_not_count() -> None:
    names = [(A,), (A, B), (A, C)]
    entries = {(A,): -1.0, (A, B): -1.0, (A, C): -3.0, (A, END): -2.0, (A, B, END): -1.0, (A, C, END): -1.0}
    # One beam: of B (-2), END (-3), C (-4) two continuations are ranked, but an end only counts on the first place.
    assert beam_search(FakeSession(table(entries), 1), build(names), 1, beams=1, k=1) == [[Hypothesis(1, -3.0)]]
    # Two beams: END is second and counts.
    found = beam_search(FakeSession(table(entries), 1), build(names), 1, beams=2, k=2)
    assert found == [[Hypothesis(0, -3.0), Hypothesis(1, -3.0)]]


def test_equal_scores_are_ordered_by_name() -> None:
    entries = dict.fromkeys([(A,), (B,), (A, END), (B, END)], -1.0)
    found = beam_search(FakeSession(table(entries), 1), build([(B,), (A,)]), 1, beams=2, k=2)
    assert found == [[Hypothesis(0, -2.0), Hypothesis(1, -2.0)]]


def test_a_mention_is_left_alone_once_nothing_better_can_follow() -> None:
    names = [(A,), (B, C, D)]
    sure = {(A,): -0.1, (A, END): -0.1, (B,): -3.0, (B, C): -1.0, (B, C, D): -1.0, (B, C, D, END): -1.0}
    unsure = sure | {(A,): -9.0}
    session = FakeSession(lambda mention, prefix, token: (sure, unsure)[mention][(*prefix, token)], 2)
    found = beam_search(session, build(names), 2, beams=2, k=1)
    assert [names_of(h) for h in found] == [[0], [1]]
    assert [prefix for mention, prefix in session.fed if mention == 0] == [(A,), (B,)]
    assert (1, (B, C, D)) in session.fed


def test_names_that_bring_no_new_concept_are_passed_over_and_the_search_goes_on() -> None:
    names = [(A,), (B,), (C, D), (D, D, D)]
    first = {(A,): -0.1, (B,): -0.2, (C,): -1.0, (D,): -2.0}
    entries = dict.fromkeys([(A, END), (B, END), (C, D), (C, D, END), (D, D), (D, D, D), (D, D, D, END)], -0.5) | first
    concepts = [[7], [7], [7, 8], [9]]

    def search(k: int) -> list[int]:
        session = FakeSession(table(entries), 1)
        return names_of(beam_search(session, build(names), 1, beams=4, k=k, name_concepts=concepts.__getitem__)[0])

    # By score: name 0 (concept 7), name 1 (7 again), name 2 (7 again, and 8), name 3 (9).
    assert search(1) == [0]
    assert search(2) == [0, 2]
    assert search(3) == [0, 2, 3]
    assert search(9) == [0, 2, 3]


def test_no_mentions_no_results() -> None:
    assert beam_search(FakeSession(table({}), 0), build([(A,)]), 0, beams=2, k=1) == []


@pytest.mark.parametrize(
    ("beams", "k", "message"), [(0, 1, "must be positive"), (1, 0, "must be positive"), (2, 3, "at most")]
)
def test_an_impossible_search_is_refused(beams: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Beam(build([(A,)]), beams, k)
