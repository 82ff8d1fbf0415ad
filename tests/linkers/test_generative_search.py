"""How a generative linker searches: kinds of search, normalisers, parts of the dictionary, names of the moment."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small import MENTIONS, names, with_search

from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.base import rank_by_sum, rank_names
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.opening import open_linker
from genlink.linkers.search_settings import SearchSettings, passes_cost_most
from genlink.schema import Concept

ALL = 50  # beams enough for every name of the dictionary


def normalised_by(linker: GenerativeLinker, normaliser: str, kb: KnowledgeBase | None = None) -> GenerativeLinker:
    return GenerativeLinker(
        linker.model,
        linker.tokenizer,
        kb or linker.kb,
        template=linker.template,
        search=linker.search,
        normaliser=normaliser,
    )


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("normaliser", ["full", "active", "trie"])
def test_every_kind_of_search_finds_the_same_where_nothing_is_pruned(linker, normaliser, k) -> None:
    wide = normalised_by(with_search(linker, beams=ALL), normaliser)
    found = [with_search(wide, search=kind).find(MENTIONS, k=k) for kind in ("beam", "exact")]
    for results in zip(*found, strict=True):
        assert len({tuple(h.name for h in result.hypotheses) for result in results}) == 1
        assert all(result.exact for result in results)
        for result in results[1:]:
            scores = [[h.score for h in r.hypotheses] for r in (results[0], result)]
            np.testing.assert_allclose(*scores, atol=1e-4)


def test_a_prediction_says_whether_it_is_proven(linker) -> None:
    for prediction in with_search(linker, search="exact").link(MENTIONS):
        assert prediction.exact is True
    assert False in {prediction.exact for prediction in with_search(linker, beams=1).link(MENTIONS, k=1)}


def test_over_the_children_the_probabilities_of_all_names_sum_to_one(linker) -> None:
    every_name = normalised_by(with_search(linker, beams=ALL), "trie").find(MENTIONS, k=ALL)
    for result in every_name:
        assert len(result.names) == linker.trie.n_names
        assert math.fsum(math.exp(h.score) for h in result.names) == pytest.approx(1, abs=1e-5)


def test_over_the_vocabulary_they_sum_to_less(linker) -> None:
    for result in with_search(linker, beams=ALL).find(MENTIONS, k=ALL):
        assert math.fsum(math.exp(h.score) for h in result.names) < 0.9


def test_the_normaliser_is_a_fact_of_the_saved_model(linker, tmp_path) -> None:
    saved = normalised_by(linker, "trie")
    saved.save(tmp_path / "model")
    loaded = GenerativeLinker.load(tmp_path / "model")
    assert loaded.normaliser == loaded.describe()["normaliser"] == "trie"
    assert loaded.link(MENTIONS) == saved.link(MENTIONS) != linker.link(MENTIONS)
    assert (
        loaded.with_kb(linker.kb).normaliser == loaded.with_search(SearchSettings(name_tokens=20)).normaliser == "trie"
    )


@pytest.mark.parametrize("normaliser", ["full", "trie"])
def test_one_at_a_time_gives_the_answers_of_a_batch(linker, normaliser) -> None:
    together = normalised_by(linker, normaliser)
    alone = with_search(together, batch_size=1)
    assert names(alone) == names(together)


# Concepts by the sum of their names


@pytest.mark.parametrize("k", [1, 3])
def test_one_at_a_time_takes_fewer_passes_and_a_batch_fewer_rows(linker, k) -> None:
    alone, together = (with_search(linker, batch_size=size).find(MENTIONS, k=k) for size in (1, 32))
    assert sum(result.passes for result in alone) < sum(result.passes for result in together)
    assert sum(result.rows for result in alone) > sum(result.rows for result in together)


def test_a_gpu_is_spared_passes_whatever_the_batch() -> None:
    assert [passes_cost_most(mentions, "cpu") for mentions in (1, 2, 3, 32)] == [True, True, False, False]
    assert passes_cost_most(32, "cuda")


def test_the_sum_over_the_names_of_a_concept_is_its_probability(linker, small_kb) -> None:
    by_name = normalised_by(with_search(linker, beams=ALL), "trie")
    by_sum = with_search(by_name, concept_score="sum")
    for result, prediction in zip(by_name.find(MENTIONS, k=ALL), by_sum.link(MENTIONS, k=ALL), strict=True):
        expected: dict[str, float] = {}
        for hypothesis in result.names:
            for concept in small_kb.key_concepts(hypothesis.name):
                concept_id = small_kb.concept_id_at(concept)
                expected[concept_id] = expected.get(concept_id, 0.0) + math.exp(hypothesis.score)
        found = {c.concept_id: math.exp(c.score) for c in prediction.candidates}
        assert found == pytest.approx(expected, rel=1e-4)
        scores = [c.score for c in prediction.candidates]
        assert scores == sorted(scores, reverse=True)


def test_how_many_concepts_are_asked_for_changes_no_sum(linker) -> None:
    by_sum = with_search(normalised_by(linker, "trie"), concept_score="sum")
    five = by_sum.link(MENTIONS, k=5)
    for k in (1, 2, 9):
        for prediction, other in zip(by_sum.link(MENTIONS, k=k), five, strict=True):
            shared = min(k, 5)
            heads = [[c for c in p.candidates if c.rank <= shared] for p in (prediction, other)]
            assert heads[0] == heads[1]


def test_many_names_of_little_probability_may_outweigh_one(small_kb) -> None:
    rivals = {f"P{i}": (f"rival {i}",) for i in range(5)}
    kb = KnowledgeBase.from_concepts(
        [*(Concept(i, n) for i, n in rivals.items()), Concept("Q", tuple(f"name {i}" for i in range(8)))]
    )
    scored = [(kb.key_index(f"rival {i}"), math.log(0.12)) for i in range(5)]
    scored += [(kb.key_index(f"name {i}"), math.log(0.05)) for i in range(8)]
    best, *others = rank_by_sum(kb, scored, k=9)
    assert (best.concept_id, best.rank, math.exp(best.score)) == ("Q", 1, pytest.approx(0.4))
    assert [c.rank for c in others] == [2, 3, 4, 5, 6]
    assert rank_by_sum(kb, scored, k=1) == (best,)


def test_an_exact_search_that_is_asked_for_takes_the_best_name_for_the_score_of_a_concept(linker, tmp_path) -> None:
    with_search(linker, concept_score="sum").save(tmp_path / "model")
    assert open_linker(tmp_path / "model", None, beams=7).search.concept_score == "sum"
    opened = open_linker(tmp_path / "model", None, search="exact")
    assert (opened.search.search, opened.search.concept_score) == ("exact", "best")
    assert all(prediction.exact for prediction in opened.link(MENTIONS, k=1))


def test_a_sum_claims_no_proof(linker) -> None:
    assert {p.exact for p in with_search(linker, concept_score="sum", beams=ALL).link(MENTIONS)} == {None}


@pytest.mark.parametrize("rank", [rank_names, rank_by_sum])
def test_within_a_part_a_name_is_ambiguous_only_if_it_is_there(rank, small_kb) -> None:
    both, one = [small_kb.concept_index("D4"), small_kb.concept_index("D5")], [small_kb.concept_index("D5")]
    scored = [(small_kb.key_index("SF"), -1.0)]
    assert [(c.concept_id, c.ambiguous) for c in rank(small_kb, scored, 5, both)] == [("D4", True), ("D5", True)]
    assert [(c.concept_id, c.ambiguous) for c in rank(small_kb, scored, 5, one)] == [("D5", False)]


# Within a part of the dictionary


def test_within_a_part_only_its_concepts_are_found_with_the_scores_of_the_whole(linker) -> None:
    whole = with_search(linker, beams=ALL)
    scores = [{c.concept_id: c.score for c in p.candidates} for p in whole.link(MENTIONS, k=ALL)]
    part = whole.restriction(ids=["D2", "D4"])
    for prediction, score in zip(whole.link(MENTIONS, k=5, within=part), scores, strict=True):
        assert {c.concept_id for c in prediction.candidates} == {"D2", "D4"}
        for candidate in prediction.candidates:
            assert candidate.score == pytest.approx(score[candidate.concept_id], abs=1e-4)


def test_over_the_children_a_part_shares_out_all_the_probability(linker) -> None:
    whole = normalised_by(with_search(linker, beams=ALL), "trie")
    for result in whole.find(MENTIONS, k=ALL, within=[whole.restriction(ids=["D1", "D4"])] * len(MENTIONS)):
        assert math.fsum(math.exp(h.score) for h in result.names) == pytest.approx(1, abs=1e-5)


def test_every_mention_may_have_candidates_of_its_own(linker) -> None:
    ids = [["D1"], ["D4"], ["D2", "D3"], [], ["D6"], ["D1"], ["D3"], ["D5"]]
    parts = [linker.restriction(ids=some) for some in ids]
    predictions = linker.link(MENTIONS, within=parts)
    assert [sorted(c.concept_id for c in p.candidates) for p in predictions] == [sorted(some) for some in ids]
    # D4 and D5 share the name SF: within D5 alone it is not ambiguous in its result, though it is as a name.
    assert [c.concept_id for c in predictions[-1].candidates] == ["D5"]


def test_types_and_prefixes_restrict_too(linker) -> None:
    kb = KnowledgeBase.from_concepts(
        [
            Concept("A:1", ("silver fever",), types=("T1",)),
            Concept("A:2", ("moth lung",), types=("T2",)),
            Concept("B:1", ("blue gout",), types=("T1", "T2")),
        ]
    )
    moved = linker.with_kb(kb)

    def found(**filters) -> set[str]:
        predictions = moved.link(MENTIONS, within=moved.restriction(**filters))
        return {c.concept_id for p in predictions for c in p.candidates}

    assert found(types=["T1"]) == {"A:1", "B:1"}
    assert found(prefixes=["A"]) == {"A:1", "A:2"}
    assert found(types=["T2"], prefixes=["B"]) == {"B:1"}
    assert found(types=["T9"]) == set()


def test_impossible_restrictions_are_refused(linker) -> None:
    with pytest.raises(KnowledgeBaseError, match="D99"):
        linker.restriction(ids=["D99"])
    for ask in (linker.link, linker.find):
        with pytest.raises(UsageError, match="2 restrictions for 8 mentions"):
            ask(MENTIONS, within=[linker.restriction(ids=["D1"])] * 2)
        with pytest.raises(UsageError, match="0 restrictions for 8 mentions"):
            ask(MENTIONS, within=[])
    with pytest.raises(UsageError, match="prefixes is the text 'MESH'"):
        linker.restriction(prefixes="MESH")


def test_a_restriction_is_for_the_linker_that_made_it(linker, small_kb) -> None:
    part = linker.restriction(ids=["D3"])
    overlaid = linker.with_kb(small_kb.overlay({"D3": ["moths in the lung"]}))
    with pytest.raises(UsageError, match="another dictionary"):
        overlaid.link(MENTIONS, within=part)


# What belongs to the model


def test_an_unknown_normaliser_is_refused(linker, tmp_path) -> None:
    with pytest.raises(ModelError, match="normaliser is 'softmax', expected one of full, active, trie"):
        normalised_by(linker, "softmax")


def test_a_search_setting_that_cannot_be_is_told_with_its_directory(linker, tmp_path) -> None:
    linker.save(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    manifest["search"]["search"] = "depth_first"
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        ModelError, match=r"model: `search` of its manifest cannot be read .*expected one of beam, exact"
    ):
        GenerativeLinker.load(tmp_path / "model")


def test_a_saved_model_is_no_mere_checkpoint(linker, small_kb, tmp_path) -> None:
    linker.save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"GenerativeLinker\.load"):
        GenerativeLinker.from_checkpoint(str(tmp_path / "model"), small_kb, download=False)


# Names of the moment


def test_an_overlay_is_worked_into_the_trie_and_equals_a_linker_built_for_it(linker, small_kb) -> None:
    overlaid = small_kb.overlay({"D3": ["Bluish gout of the left foot", "moth's lung"], "D1": ["SF"]})
    worked_in = linker.with_kb(overlaid)
    afresh = GenerativeLinker(linker.model, linker.tokenizer, overlaid, template=linker.template, search=linker.search)
    assert worked_in.trie.n_names == afresh.trie.n_names == linker.trie.n_names + 2
    assert worked_in.link(MENTIONS) == afresh.link(MENTIONS)
    assert worked_in.link(MENTIONS) != linker.link(MENTIONS)


def test_of_an_overlay_that_adds_no_key_the_trie_is_the_same(linker, small_kb) -> None:
    assert linker.with_kb(small_kb.overlay({"D1": ["SF"]})).trie is linker.trie


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": "depth_first"}, "expected one of beam, exact"),
        ({"concept_score": "mean"}, "expected one of best, sum"),
        ({"cap": 0}, "cap is 0"),
        ({"search": "exact", "concept_score": "sum"}, "ranks names, not sums"),
        ({"search": "exact", "spelling": 1.0}, "by their probability alone"),
    ],
)
def test_impossible_settings_are_refused(settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        SearchSettings(**settings)
