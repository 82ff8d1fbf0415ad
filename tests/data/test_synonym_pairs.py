"""Pre-training examples: one name of a concept is asked for, given another way to write it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from genlink.data import synonyms
from genlink.data.encoding import Prompt
from genlink.data.noise import FILLERS
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase
from genlink.schema import Concept

SYNONYM, NOISE, IDENTITY, CLAUSE = (SynonymMix(*shares) for shares in np.eye(4).tolist())


def draw(kb: KnowledgeBase, mix: SynonymMix, n: int = 400, max_name_length: int = 120) -> list[tuple[Prompt, str]]:
    prompts, targets = SynonymPairs(kb, mix, max_name_length).draw(n, np.random.default_rng(0))
    return list(zip(prompts, targets, strict=True))


def keys_of(kb: KnowledgeBase, concept: int) -> list[str]:
    return [kb.key(key) for key in kb.concept_keys(concept)]


def pairs_of(kb: KnowledgeBase) -> list[tuple[int, str]]:
    return [(concept, key) for concept in range(len(kb)) for key in keys_of(kb, concept)]


def test_identity_asks_for_the_name_itself_and_every_pair_comes_equally_often(kb):
    drawn = draw(kb, IDENTITY, n=6000)
    assert all(prompt == Prompt(target) for prompt, target in drawn)
    expected = Counter(key for _, key in pairs_of(kb))  # "sf" is a name of two concepts
    share = {key: 6000 * n / len(pairs_of(kb)) for key, n in expected.items()}
    counts = Counter(target for _, target in drawn)
    assert counts.keys() == share.keys()
    assert all(0.8 < counts[key] / share[key] < 1.2 for key in share)


def test_noise_asks_for_the_name_that_was_disturbed(kb):
    drawn = draw(kb, NOISE)
    names = {key for _, key in pairs_of(kb)}
    assert {target for _, target in drawn} == names
    assert np.mean([prompt.surface != target for prompt, target in drawn]) > 0.8
    known = {letter for name in (*names, *FILLERS) for letter in name}
    assert np.mean([set(prompt.surface) <= known for prompt, _ in drawn]) > 0.5
    assert all(prompt.surface and not prompt.left and not prompt.right for prompt, _ in drawn)


def test_a_synonym_is_another_name_of_the_same_concept(kb):
    pairs = {(a, b) for concept in range(len(kb)) for a in keys_of(kb, concept) for b in keys_of(kb, concept) if a != b}
    for prompt, target in draw(kb, SYNONYM):
        if target != "blue gout":  # which has no other name: it is disturbed instead
            assert (prompt.surface, target) in pairs
    assert len({prompt.surface for prompt, target in draw(kb, SYNONYM) if target == "blue gout"}) > 3


@pytest.mark.parametrize("share", [1.0, synonyms.NEAREST_SHARE])
def test_the_synonym_is_the_most_alike_or_one_of_the_next_two(kb, cosine, monkeypatch, share):
    monkeypatch.setattr(synonyms, "NEAREST_SHARE", share)
    fever = keys_of(kb, 0)  # five names: four others for each
    places = []
    for prompt, target in draw(kb, SYNONYM, n=600):
        if prompt.surface in fever:
            others = [name for name in fever if name != prompt.surface]
            nearest = sorted(others, key=lambda name: -cosine(prompt.surface, name))
            places.append(nearest.index(target))
    counts = Counter(places)
    assert len(places) > 100
    if share == 1.0:
        assert set(counts) == {0}
    else:  # 0.6 + 0.4 / 3 of the nearest, 0.4 / 3 of either of the next two, the fourth never
        assert counts[0] / len(places) == pytest.approx(0.733, abs=0.08)
        assert set(counts) == {0, 1, 2}


def test_of_very_many_names_some_are_compared(monkeypatch):
    monkeypatch.setattr(synonyms, "MAX_COMPARED", 3)
    kb = KnowledgeBase.from_concepts([Concept("D1", tuple(f"name {'abcdefgh'[i]}" for i in range(8)))])
    drawn = draw(kb, SYNONYM, n=300)
    assert all(prompt.surface != target for prompt, target in drawn)
    assert len({target for _, target in drawn}) == 8


def test_a_clause_defines_the_name_or_lists_its_synonyms(kb):
    text = "A lung disease of people who keep moths."
    defined = {
        Prompt("moth lung", right=f" is defined as {text}"),
        Prompt("moth lung", right=f" is described as {text}"),
        Prompt("moth lung", left=f"{text} is the definition of "),
        Prompt("moth lung", left=f"{text} describes "),
    }
    listed = {
        Prompt("salt fever", right=" has synonyms such as SF"),
        Prompt("salt fever", right=" refers to the same concept as SF"),
        Prompt("salt fever", left="SF are synonyms of "),
        Prompt("salt fever", left="SF mean the same as "),
    }
    drawn = draw(kb, CLAUSE, n=800)
    assert {prompt for prompt, _ in drawn if prompt.surface == "moth lung"} == defined
    assert {prompt for prompt, _ in drawn if prompt.surface == "salt fever"} == listed
    assert {target for prompt, target in drawn if prompt.surface == "moth lung"} == {"moth fancier s lung"}
    # A concept of one name and no definition has nothing to say about it.
    assert next(pair for pair in drawn if pair[0].surface == "blue gout") == (Prompt("blue gout"), "blue gout")
    # Of many synonyms at most three are listed, none of them the name itself.
    for prompt, _ in drawn:
        if prompt.surface == "silver fever" and prompt.right.startswith(" has synonyms"):
            listed_names = prompt.right.removeprefix(" has synonyms such as ")
            assert "Silver fever," not in f"{listed_names},"
            assert sum(name in listed_names for name in ("Argentine fever", "Febris argentea", "syndrome")) >= 1


def test_the_kinds_come_in_their_shares(kb):
    # Identity and synonym are told apart by the target; the concept of one name has no synonym to ask for.
    drawn = draw(kb, SynonymMix(synonym=3, noise=0, identity=1, clause=0), n=4000)
    drawn = [pair for pair in drawn if "gout" not in pair[1]]
    assert np.mean([prompt.surface == target for prompt, target in drawn]) == pytest.approx(0.25, abs=0.03)


def test_names_that_are_too_long_are_neither_asked_nor_asked_for(kb):
    for mix in (SYNONYM, NOISE, IDENTITY):
        drawn = draw(kb, mix, max_name_length=12)
        assert all(len(target) <= 12 for _, target in drawn)
    assert {target for _, target in draw(kb, IDENTITY, max_name_length=12)} == {
        key for _, key in pairs_of(kb) if len(key) <= 12
    }
    pairs = SynonymPairs(kb, IDENTITY, 12)
    assert len(pairs) == sum(len(key) <= 12 for _, key in pairs_of(kb))


def test_a_dictionary_of_long_names_only_is_an_error(kb):
    with pytest.raises(KnowledgeBaseError, match="no name has at most 1 characters"):
        SynonymPairs(kb, IDENTITY, 1)


def test_shares_that_say_nothing_are_refused(kb):
    for mix in (SynonymMix(0, 0, 0, 0), SynonymMix(synonym=-0.1)):
        with pytest.raises(ValueError, match="must not be negative nor all zero"):
            SynonymPairs(kb, mix, 120)


def test_the_same_seed_draws_alike(kb):
    mix = SynonymMix(1, 1, 1, 1)
    assert draw(kb, mix) == draw(kb, mix)
