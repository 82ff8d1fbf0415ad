"""What holds between the searches, and between each of them and brute force, under scores from a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import END, A, B, C, D, FakeSession, LogProb, brute_force, build, name_lists, names_of, random_scores, seeds

from genlink.decoding import Beam, Exact, Hypothesis, LazyBeam, Search, SearchResult, run_searches
from genlink.trie import NameTrie

concept_sets = st.lists(st.frozensets(st.integers(0, 5), min_size=1, max_size=3), min_size=25, max_size=25)
UNLIMITED = 10_000


def over_children(log_prob: LogProb, trie: NameTrie) -> LogProb:
    """The same preferences, normalised over the children of each node."""

    def normalised(mention: int, prefix: tuple[int, ...], token: int) -> float:
        logits = [log_prob(mention, prefix, int(child)) for child in trie.allowed_tokens(prefix)]
        return log_prob(mention, prefix, token) - float(np.logaddexp.reduce(logits))

    return normalised


def run(log_prob: LogProb, searches: list[Search], **options) -> list[SearchResult]:
    return run_searches(FakeSession(log_prob, len(searches)), searches, **options)


def assert_same_names(found: tuple[Hypothesis, ...], expected) -> None:
    assert names_of(found) == names_of(expected)
    np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], rtol=1e-5)


@given(name_lists, seeds, st.integers(1, 6), st.integers(1, 4), st.data())
def test_a_lazy_beam_finds_what_the_beam_finds_with_no_more_rows(names, seed, beams, width, data) -> None:
    k = data.draw(st.integers(1, beams))
    trie, log_prob = build(names), random_scores(seed)
    beam = run(log_prob, [Beam(trie, beams, k)])[0]
    lazy = run(log_prob, [LazyBeam(trie, beams, k)])[0]
    wide = run(log_prob, [LazyBeam(trie, beams, k, width=width)])[0]
    assert lazy.hypotheses == wide.hypotheses == beam.hypotheses
    assert lazy.rows <= beam.rows
    assert lazy.exact == wide.exact


@given(name_lists, seeds, st.integers(1, 6), st.integers(1, 8), concept_sets)
def test_a_lazy_beam_finds_the_distinct_concepts_that_the_beam_finds(names, seed, beams, k, concepts) -> None:
    trie, log_prob = build(names), random_scores(seed)
    of_name: Callable[[int], tuple[int, ...]] = lambda name: tuple(concepts[name])  # noqa: E731
    beam, lazy = (run(log_prob, [kind(trie, beams, k, of_name)])[0] for kind in (Beam, LazyBeam))
    assert lazy.hypotheses == beam.hypotheses


@given(name_lists, seeds, st.integers(1, 30), st.integers(1, 4))
def test_exact_search_finds_the_best_names_of_all_and_says_so(names, seed, k, width) -> None:
    trie, log_prob = build(names), random_scores(seed)
    result = run(log_prob, [Exact(trie, UNLIMITED, k, width=width)])[0]
    assert_same_names(result.hypotheses, brute_force(log_prob, names, 0)[:k])
    assert result.exact
    assert result.status == "complete"


@given(name_lists, seeds, st.integers(1, 8), concept_sets)
def test_exact_search_finds_the_best_distinct_concepts(names, seed, k, concepts) -> None:
    listed: set[int] = set()
    expected = []
    log_prob = random_scores(seed)
    for hypothesis in brute_force(log_prob, names, 0):
        if not concepts[hypothesis.name] <= listed:
            listed |= concepts[hypothesis.name]
            expected.append(hypothesis)
    search = Exact(build(names), UNLIMITED, k, lambda name: tuple(concepts[name]))
    assert_same_names(run(log_prob, [search])[0].hypotheses, expected[:k])


@given(name_lists, seeds, st.integers(1, 4), st.data())
def test_whatever_is_called_exact_is_what_brute_force_finds(names, seed, beams, data) -> None:
    k = data.draw(st.integers(1, beams))
    trie, log_prob = build(names), random_scores(seed)
    expected = brute_force(log_prob, names, 0)[:k]
    for search in (Beam(trie, beams, k), LazyBeam(trie, beams, k), Exact(trie, 3, k, beams=beams)):
        result = run(log_prob, [search])[0]
        if result.exact:
            assert_same_names(result.hypotheses, expected)


@given(name_lists, seeds)
def test_the_beam_says_exact_whenever_the_lazy_beam_does(names, seed) -> None:
    trie, log_prob = build(names), random_scores(seed)
    beam, lazy = (run(log_prob, [kind(trie, 2, 1)])[0] for kind in (Beam, LazyBeam))
    assert beam.exact or not lazy.exact


def test_a_beam_that_missed_the_best_name_does_not_claim_to_be_exact() -> None:
    # B looks worse than A and C at first, and would have won: -1.5 against -2.1.
    entries = {(A,): -0.5, (C,): -0.6, (B,): -1.4}
    entries |= {(A, D): -0.1, (A, D, END): -1.5, (C, D): -0.1, (C, D, END): -1.6, (B, D): -0.05, (B, D, END): -0.05}
    names = [(A, D), (B, D), (C, D)]

    def log_prob(mention: int, prefix: tuple[int, ...], token: int) -> float:
        return entries[(*prefix, token)]

    trie = build(names)
    for search in (Beam(trie, 1, 1), LazyBeam(trie, 1, 1)):
        result = run(log_prob, [search])[0]
        assert names_of(result.hypotheses) == [0]
        assert not result.exact
    result = run(log_prob, [Exact(trie, UNLIMITED, 1)])[0]
    assert names_of(result.hypotheses) == [1]
    assert result.exact


def test_past_its_cap_an_exact_search_goes_on_as_a_beam_and_says_so() -> None:
    # Every continuation is as good as any other, so that only depth ends the search.
    names = [(a, b, c) for a in (A, B, C, D) for b in (A, B, C, D) for c in (A, B, C, D)]

    def log_prob(mention: int, prefix: tuple[int, ...], token: int) -> float:
        return -1.0 - 0.001 * token

    trie = build(names)
    capped = run(log_prob, [Exact(trie, 4, 1, beams=1)])[0]
    proven = run(log_prob, [Exact(trie, UNLIMITED, 1, beams=1)])[0]
    assert (capped.status, capped.exact) == ("capped", False)
    assert (proven.status, proven.exact) == ("complete", True)
    assert len(capped.hypotheses) == len(proven.hypotheses) == 1
    # 4 prefixes of any depth, then at most one more at each of the depths 1 to 3; the root is no row.
    assert capped.rows <= 4 - 1 + 3 < proven.rows


@given(name_lists, seeds, st.integers(1, 8), st.integers(1, 4), st.integers(1, 12))
def test_past_its_cap_an_exact_search_is_never_worse_than_the_beam(names, seed, k, beams, cap) -> None:
    trie, log_prob = build(names), random_scores(seed)
    of_name: Callable[[int], tuple[int, ...]] = lambda name: (name,)  # noqa: E731
    beam = run(log_prob, [Beam(trie, beams, k, of_name)])[0].hypotheses
    capped = run(log_prob, [Exact(trie, cap, k, beams=beams)])[0].hypotheses
    assert len(capped) >= len(beam)
    assert all(ours.score >= theirs.score - 1e-5 for ours, theirs in zip(capped, beam, strict=False))


@given(name_lists, seeds, st.integers(1, 3), st.integers(0, 12), st.sampled_from(["beam", "lazy", "exact"]))
def test_feeding_ahead_changes_no_answer_and_takes_no_more_passes(names, seed, k, ahead, kind) -> None:
    trie, log_prob = build(names), random_scores(seed)
    searches: list[Search] = [Beam(trie, 3, k), LazyBeam(trie, 3, k), Exact(trie, UNLIMITED, k)]
    again: list[Search] = [Beam(trie, 3, k), LazyBeam(trie, 3, k), Exact(trie, UNLIMITED, k)]
    which = ["beam", "lazy", "exact"].index(kind)
    plain = run(log_prob, [searches[which]])[0]
    fed_ahead = run(log_prob, [again[which]], ahead=ahead)[0]
    assert fed_ahead.hypotheses == plain.hypotheses
    assert fed_ahead.exact == plain.exact
    assert fed_ahead.passes <= plain.passes
    assert fed_ahead.rows >= plain.rows


def test_a_chain_is_fed_in_one_pass_where_that_is_asked_for() -> None:
    session = FakeSession(random_scores(0), 1)
    (result,) = run_searches(session, [LazyBeam(build([(A, B, C, D)]), 1, 1)], ahead=8)
    assert result.passes == session.passes == 1
    assert result.rows == len(session.fed) == 4


@given(name_lists, seeds, st.integers(1, 3), st.integers(0, 8))
def test_forced_tokens_that_are_free_are_never_asked_about(names, seed, k, ahead) -> None:
    trie = build(names)
    log_prob = over_children(random_scores(seed), trie)
    session = FakeSession(log_prob, 1)
    (free,) = run_searches(session, [Exact(trie, UNLIMITED, k)], forced_is_free=True, ahead=ahead)
    asked = run(log_prob, [Exact(trie, UNLIMITED, k)])[0]
    assert_same_names(free.hypotheses, asked.hypotheses)
    assert free.rows <= asked.rows or ahead
    if not ahead:
        assert all(len(trie.allowed_tokens(prefix)) > 1 for _, prefix in session.asked)


def test_under_a_normaliser_over_children_a_single_name_costs_nothing() -> None:
    session = FakeSession(random_scores(0), 1)
    (result,) = run_searches(session, [LazyBeam(build([(A, B, C)]), 5, 5)], forced_is_free=True)
    assert result == SearchResult((Hypothesis(0, 0.0),), exact=True, names=(Hypothesis(0, 0.0),), rows=0, passes=0)
    assert session.fed == session.asked == []


@given(st.lists(name_lists, min_size=1, max_size=4), seeds, st.sampled_from([Beam, LazyBeam]))
def test_every_mention_of_a_batch_may_have_names_of_its_own(lists, seed, kind) -> None:
    log_prob = random_scores(seed)
    tries = [build(names) for names in lists]
    together = run(log_prob, [kind(trie, 3, 2) for trie in tries])
    for mention, trie in enumerate(tries):
        alone = run(lambda _, prefix, token, m=mention: log_prob(m, prefix, token), [kind(trie, 3, 2)])
        assert together[mention] == alone[0]


@given(name_lists, seeds)
def test_nothing_is_fed_or_asked_twice(names, seed) -> None:
    session = FakeSession(random_scores(seed), 2)  # which refuses to be fed twice
    run_searches(session, [Exact(build(names), UNLIMITED, 3) for _ in range(2)], ahead=4)
    assert len(set(session.asked)) == len(session.asked)


@pytest.mark.parametrize("kind", [Beam, LazyBeam])
def test_rows_and_passes_are_those_of_the_decoder(kind) -> None:
    session = FakeSession(random_scores(3), 1)
    (result,) = run_searches(session, [kind(build([(A, B), (A, C), (B,), (C, D, A)]), 2, 2)])
    assert (result.rows, result.passes) == (len(session.fed), session.passes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda trie: LazyBeam(trie, 0, 1), "positive"),
        (lambda trie: LazyBeam(trie, 2, 3), "at most"),
        (lambda trie: LazyBeam(trie, 2, 1, width=0), "width"),
        (lambda trie: Exact(trie, 0, 1), "positive"),
    ],
)
def test_an_impossible_search_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(build([(A,)]))
