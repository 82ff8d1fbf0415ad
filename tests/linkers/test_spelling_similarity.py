"""What another spelling than the mention's takes off the score of a name."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import MENTIONS, with_search

from genlink.errors import UsageError
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.opening import open_linker
from genlink.linkers.search_settings import SearchSettings
from genlink.linkers.spelling import spelling_similarity
from genlink.linkers.trace import trace_search
from genlink.serving.render import render_trace
from genlink.text import normalise

keys = st.text("abc ", max_size=12).map(lambda text: " ".join(text.split()))


def test_the_similarity_is_that_of_the_trigrams_written_out() -> None:
    # " go", "gou", "out", "ut " and " go", "gou", "out", "uts", "ts ": three are shared.
    assert spelling_similarity("gout", "gouts") == pytest.approx(3 / math.sqrt(4 * 5))
    # A word of one letter is a trigram with its spaces; "type" has " ty", "typ", "ype", "pe ".
    assert spelling_similarity("type a", "type b") == pytest.approx(4 / 5)
    assert spelling_similarity("gout", "asthma") == 0
    assert spelling_similarity("", "gout") == 0


@given(keys, keys)
def test_it_is_symmetric_and_one_for_equal_keys_alone_of_one_word(a, b) -> None:
    similarity = spelling_similarity(a, b)
    assert similarity == pytest.approx(spelling_similarity(b, a))
    assert 0 <= similarity <= 1
    assert spelling_similarity(a, a) == 1
    assert spelling_similarity(" ".join(reversed(a.split())), a) == pytest.approx(1)


@pytest.mark.parametrize("concept_score", ["best", "sum"])
def test_the_names_of_a_beam_are_ordered_by_both_together(linker: GenerativeLinker, concept_score) -> None:
    wide = with_search(linker, beams=50, concept_score=concept_score)
    spelled = with_search(wide, spelling=40.0)
    kb, moved = linker.kb, 0
    for mention, before, after in zip(MENTIONS, wide.find(MENTIONS), spelled.link(MENTIONS), strict=True):
        surface = normalise(mention.surface, kb.normalisation)
        scores: dict[str, list[float]] = {}
        for name in before.names:
            score = name.score - 40.0 * (1 - spelling_similarity(surface, kb.key(name.name)))
            for concept in kb.key_concepts(name.name):
                scores.setdefault(kb.concept_id_at(concept), []).append(score)
        whole = {
            concept: max(parts) if concept_score == "best" else math.log(math.fsum(map(math.exp, parts)))
            for concept, parts in scores.items()
        }
        assert [c.score for c in after.candidates] == sorted((c.score for c in after.candidates), reverse=True)
        assert {c.concept_id: c.score for c in after.candidates} == pytest.approx(
            {c.concept_id: whole[c.concept_id] for c in after.candidates}, abs=1e-4
        )
        assert after.candidates[0].score == pytest.approx(max(whole.values()), abs=1e-4)
        assert after.exact is None
        moved += [c.concept_id for c in after.candidates] != [
            c.concept_id for c in wide.ranked(mention, before).candidates
        ]
    assert moved


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_fewer_ranks_are_the_first_of_more(linker: GenerativeLinker, k) -> None:
    spelled = with_search(linker, spelling=5.0, beams=2)  # of more than four ranks it is not promised
    for few, more in zip(spelled.link(MENTIONS, k), spelled.link(MENTIONS, 4), strict=True):
        assert few.candidates == tuple(c for c in more.candidates if c.rank <= k)


def test_alone_and_together_mentions_have_the_same_answers(linker: GenerativeLinker) -> None:
    alone, together = (with_search(linker, spelling=5.0, batch_size=size).link(MENTIONS) for size in (1, 32))
    assert [[c.concept_id for c in p.candidates] for p in alone] == [
        [c.concept_id for c in p.candidates] for p in together
    ]


def test_it_is_saved_with_a_model_and_can_be_set_and_an_exact_search_goes_without(linker, tmp_path) -> None:
    with_search(linker, spelling=4.0).save(tmp_path / "model")
    assert open_linker(tmp_path / "model", None).search.spelling == 4
    assert open_linker(tmp_path / "model", None, spelling=0.0).search.spelling == 0
    assert open_linker(tmp_path / "model", None, search="exact").search == replace(
        linker.search, search="exact", spelling=0.0
    )
    with pytest.raises(UsageError, match="leave spelling 0 or search by beam"):
        open_linker(tmp_path / "model", None, search="exact", spelling=2.0)


@pytest.mark.parametrize("spelling", [-1.0, math.nan, math.inf])
def test_what_is_no_weight_is_refused(spelling) -> None:
    with pytest.raises(UsageError, match=r"spelling is .*, expected a number of at least 0"):
        SearchSettings(spelling=spelling)


def test_the_explanation_of_a_search_speaks_of_it(linker: GenerativeLinker) -> None:
    said = [
        "less up to 4 nats for another spelling" in render_trace(trace_search(each, MENTIONS[0])[1])
        for each in (linker, with_search(linker, spelling=4.0))
    ]
    assert said == [False, True]
