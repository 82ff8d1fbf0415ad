"""Unions of a generator and a retriever, against scores of all names and sums by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import MENTIONS, with_search

from genlink.errors import DataError, UsageError
from genlink.evaluation.fusion import best_weight, cross_fitted, weight_grid
from genlink.evaluation.policy import Policy
from genlink.linkers.base import rank_scored
from genlink.linkers.model_directory import UnionSettings, read_union, write_union
from genlink.linkers.opening import open_linker, systems_of
from genlink.linkers.tfidf import TfidfLinker
from genlink.linkers.union import Pooled, UnionLinker
from genlink.schema import Prediction

ALL = 50  # beams enough for every name of the dictionary
# What the retriever says of each mention: concept index and similarity. The first finds nothing.
SIMILAR = [[], [(3, 0.9), (4, 0.9)], [(1, 0.8), (5, 0.1)], [(2, 0.7)], [(5, 0.6), (0, 0.5), (1, 0.4)]]
ASKED = MENTIONS[: len(SIMILAR)]


class Told:
    """A retriever that answers what it was told to."""

    index_bytes = 0

    def __init__(self, kb) -> None:
        self.kb = kb

    def link(self, mentions, k=5, *, progress=False):
        answers = {mention.surface: similar for mention, similar in zip(ASKED, SIMILAR, strict=True)}
        return [Prediction(m, rank_scored(self.kb, self._scored(answers[m.surface]), k, ())) for m in mentions]

    def _scored(self, similar):
        return [(concept, self.kb.concept_keys(concept)[0], score) for concept, score in similar]

    def with_kb(self, kb):
        return Told(kb)

    def describe(self):
        return {"kind": "told"}


def union(linker, weight=None, candidates=20):
    return UnionLinker(linker, Told(linker.kb), UnionSettings("g", "r", candidates, weight))


@pytest.fixture(scope="module")
def log_probs(linker):
    """For each mention the best log-probability of each concept, over all names of the dictionary."""
    tables = []
    for result in with_search(linker, beams=ALL).find(ASKED, k=ALL):
        table: dict[int, float] = {}
        for name in result.names:
            for concept in linker.kb.key_concepts(name.name):
                table.setdefault(concept, name.score)
        tables.append(table)
    return tables


def best_first(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda concept: -scores[concept])


def concepts(linker, prediction) -> list[int]:
    return [linker.kb.concept_index(candidate.concept_id) for candidate in prediction.candidates]


def test_the_generator_chooses_the_most_probable_of_the_candidates(linker, log_probs) -> None:
    for prediction, similar, table in zip(union(linker).link(ASKED), SIMILAR, log_probs, strict=True):
        among = {concept: table[concept] for concept, _ in similar}
        assert sorted(concepts(linker, prediction)) == sorted(among)
        scores = [candidate.score for candidate in prediction.candidates]
        np.testing.assert_allclose(scores, sorted(among.values(), reverse=True), atol=1e-4)
        assert concepts(linker, prediction)[:1] == best_first(among)[:1]


@pytest.mark.parametrize("candidates", [20, 2])
def test_a_fused_score_is_the_sum_for_every_candidate_of_either(linker, log_probs, candidates) -> None:
    weight = 7.0
    own = linker.link(ASKED, linker.search.beams)
    fused = union(linker, weight, candidates).link(ASKED, k=ALL)
    for prediction, mine, similar, table in zip(fused, own, SIMILAR, log_probs, strict=True):
        similarity = dict(similar[:candidates])
        # Where the list was cut, others are as similar as its last; where it was not, the retriever knows no others.
        least = min(similarity.values()) if len(similarity) == candidates else 0.0
        wanted = {*similarity, *concepts(linker, mine)}
        expected = {c: table[c] + weight * similarity.get(c, least) for c in wanted}
        found = {linker.kb.concept_index(c.concept_id): c.score for c in prediction.candidates}
        assert found == pytest.approx(expected, abs=1e-4)
        ranked = [candidate.score for candidate in prediction.candidates]
        assert ranked == sorted(ranked, reverse=True)


def test_with_weight_zero_the_order_is_the_generators(linker) -> None:
    wide = with_search(linker, beams=ALL)
    for fused, own in zip(union(wide, 0.0).link(ASKED, k=ALL), wide.link(ASKED, k=ALL), strict=True):
        assert [c.name for c in fused.candidates] == [c.name for c in own.candidates]
        assert [c.rank for c in fused.candidates] == [c.rank for c in own.candidates]


def test_the_spelling_of_the_generator_does_not_count_beside_the_retriever(linker) -> None:
    spelled = linker.with_search(replace(linker.search, spelling=30.0))
    for weight in (None, 2.0):
        assert union(spelled, weight).link(ASKED) == union(linker, weight).link(ASKED)
    assert union(spelled).describe()["linkers"][0]["search"]["spelling"] == 0


def test_a_large_weight_follows_the_retriever(linker) -> None:
    for fused, similar in zip(union(linker, 1e6).link(ASKED)[1:], SIMILAR[1:], strict=True):
        assert concepts(linker, fused)[0] in {c for c, score in similar if score == similar[0][1]}


def test_where_nothing_is_retrieved_nothing_is_chosen_and_the_generator_alone_is_fused(linker) -> None:
    [nothing], [fused] = union(linker).link(ASKED[:1]), union(linker, 3.0).link(ASKED[:1])
    assert nothing.candidates == ()
    [own] = linker.link(ASKED[:1])
    assert fused.candidates[0].concept_id == own.candidates[0].concept_id
    assert fused.candidates[0].score == pytest.approx(own.candidates[0].score, abs=1e-4)
    assert union(linker).link([]) == union(linker, 3.0).link([]) == []


def test_no_more_is_listed_than_is_asked_for_or_found(linker) -> None:
    for k in (1, 2, 100):
        for answered in (union(linker), union(linker, 0.5)):
            for prediction in answered.link(ASKED, k):
                assert max((c.rank for c in prediction.candidates), default=0) <= min(k, len(linker.kb))
    assert len(union(linker, candidates=1).link(ASKED, 5)[4].candidates) == 1
    with pytest.raises(UsageError, match="k is 0"):
        union(linker).link(ASKED, 0)


def test_concepts_of_one_name_share_a_rank_and_are_marked(linker, small_kb) -> None:
    key = small_kb.key_index("SF")
    pool = [Pooled(3, key, -1.0, 0.5), Pooled(4, key, -1.0, 0.5), Pooled(1, small_kb.concept_keys(1)[0], -1.5, 0.9)]
    ranked = union(linker).ranked(pool, 1.0, 5)
    assert [(c.rank, c.ambiguous, c.score) for c in ranked] == [(1, True, -0.5), (1, True, -0.5), (2, False, -0.6)]
    assert [c.rank for c in union(linker).ranked(pool, 10.0, 1)] == [1]


def test_over_another_dictionary_both_move(linker, small_kb) -> None:
    overlay = small_kb.overlay({"D3": ["Dusty lung"]})
    moved = union(linker).with_kb(overlay)
    assert moved.kb is moved.retriever.kb is overlay
    with pytest.raises(UsageError, match="share one knowledge base"):
        UnionLinker(linker, Told(overlay), UnionSettings("g", "r"))


# As a directory


def test_a_union_is_a_directory_that_names_two_linkers(linker, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    linker.save("model")
    settings = UnionSettings("model", "tfidf", candidates=3, weight=2.0)
    write_union(tmp_path / "union", settings)
    assert read_union(tmp_path / "union") == settings
    assert systems_of("union") == ["union", "model", "tfidf"]
    opened = open_linker("union", None)
    whole = UnionLinker(linker, TfidfLinker(linker.kb), settings).link(ASKED)
    for one, other in zip(opened.link(ASKED), whole, strict=True):
        assert [c.concept_id for c in one.candidates] == [c.concept_id for c in other.candidates]
    mapped = sum(np.load(path, mmap_mode="r").nbytes for path in Path("model", "trie").glob("*.npy"))
    assert opened.index_bytes == mapped + TfidfLinker(linker.kb).index_bytes
    assert opened.describe()["weight"] == 2.0


def test_unions_that_cannot_be_are_refused(linker, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    linker.save("model")
    write_union(tmp_path / "union", UnionSettings("model", "exact"))
    for generator, retriever, said in [
        ("exact", "tfidf", "exact: is no generative linker"),
        ("union", "tfidf", "union: is no generative linker"),
        ("gone", "tfidf", "gone: no such model"),
        ("model", "union", "union: is a union already"),
        ("model", "gone", "gone: no such model"),
    ]:
        write_union(tmp_path / "bad", UnionSettings(generator, retriever))
        with pytest.raises(UsageError, match=said):
            open_linker("bad", None)
    with pytest.raises(UsageError, match="this is a union of two"):
        open_linker("union", None, beams=3)
    with pytest.raises(DataError, match="holds other files"):
        write_union(tmp_path / "model", UnionSettings("model", "exact"))
    for number in (-1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="weight is"):
            UnionSettings("model", "exact", weight=number)
    with pytest.raises(UsageError, match="candidates is 0"):
        UnionSettings("model", "exact", candidates=0)


# The weight


def test_the_best_weight_is_the_smallest_of_equally_good_ones() -> None:
    hits = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=float)
    assert best_weight(hits) == 1


def test_no_document_is_ranked_by_a_weight_that_it_helped_to_choose() -> None:
    rng = np.random.default_rng(0)
    hits, documents = rng.integers(0, 2, (4, 30)).astype(float), [str(i // 3) for i in range(30)]
    chosen, weights = cross_fitted(hits, documents, folds=5, seed=1)
    assert len(weights) == 5
    for document in set(documents):
        inside = np.array([d == document for d in documents])
        assert len(set(chosen[inside].tolist())) == 1
        # Whatever its own outcomes were, its weight is the same.
        turned = np.where(inside, 1 - hits, hits)
        assert (cross_fitted(turned, documents, folds=5, seed=1)[0][inside] == chosen[inside]).all()
    with pytest.raises(DataError, match="two documents"):
        cross_fitted(hits, ["one"] * 30, folds=5, seed=0)


def test_weights_are_measured_in_the_scale_of_the_similarities() -> None:
    pools = [[Pooled(0, 0, -1.0, s) for s in pair] for pair in ((0.0, 2.0), (1.0, 5.0), (3.0, 9.0), (4.0, 4.0))]
    grid = weight_grid(pools)  # the median of 2, 4 and 6
    assert grid[0] == 0 and grid == sorted(grid)
    larger = [[replace(p, similarity=100 * p.similarity) for p in pool] for pool in pools]
    assert weight_grid(larger) == pytest.approx([weight / 100 for weight in grid])
    assert 1 / 4 in grid
    assert weight_grid([[]])[0] == 0


def test_fitting_finds_the_weight_that_ranks_the_gold_first(linker, log_probs) -> None:
    from genlink.evaluation.fusion import fit_fusion

    # Gold is what the retriever prefers, in documents of their own: a large weight is right, none is wrong somewhere.
    labelled = [
        replace(
            mention, gold=(frozenset({linker.kb.concept_id_at(similar[0][0])}),), document_id=str(i), mention_id="0"
        )
        for i, (mention, similar) in enumerate(zip(ASKED[1:], SIMILAR[1:], strict=True))
    ]
    fit = fit_fusion(union(linker), labelled, Policy(), folds=4, seed=0)
    wrong = sum(
        best_first(table)[0] != similar[0][0] for table, similar in zip(log_probs[1:], SIMILAR[1:], strict=True)
    )
    assert wrong and fit.weight > 0
    assert fit.rows["weight 0"]["acc@1"].value <= 1 - (wrong - 1) / len(labelled)  # SF is right by either concept
    assert fit.rows["fitted"]["acc@1"].value == 1
    assert "difference" in fit.rows["cross-fitted"]
