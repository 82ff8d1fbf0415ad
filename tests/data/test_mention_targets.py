"""Fine-tuning examples: which names of its gold concept a mention is to become."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.encoding import Encoding, Prompt
from genlink.data.targets import LabelledMention, MentionTargets, nearest_gold_names, nearest_in_each
from genlink.kb import KnowledgeBase
from genlink.schema import Concept, Mention
from genlink.templates import Template
from genlink.text import normalise


def mention(surface: str, *gold: str | tuple[str, ...], left: str = "A case of ") -> Mention:
    """A labelled mention; each argument is a gold id, or a tuple of them that are one part."""
    parts = tuple(frozenset([ids] if isinstance(ids, str) else ids) for ids in gold)
    return Mention(left + surface, ((len(left), len(left) + len(surface)),), surface, gold=parts)


@pytest.fixture(scope="module")
def brute_force(kb, cosine):
    """A function that gives (key, cosine) of all names of some concepts, the most alike first, then by key index."""

    def compare(surface: str, *concepts: str) -> list[tuple[str, float]]:
        keys = sorted({key for concept in concepts for key in kb.concept_keys(kb.concept_index(concept))})
        return sorted(((kb.key(key), cosine(normalise(surface), kb.key(key))) for key in keys), key=lambda p: -p[1])

    return compare


def gold_names(kb: KnowledgeBase, *mentions: Mention, top: int = 3) -> list[list[str]]:
    return [[kb.key(key) for key in labelled.keys] for labelled in nearest_gold_names(mentions, kb, top)]


@given(
    st.lists(st.tuples(st.text("silver fo bne", min_size=1, max_size=14), st.sampled_from(["D1", "D2"])), max_size=4)
)
def test_the_names_are_those_that_brute_force_finds(kb, brute_force, drawn):
    found = gold_names(kb, *(mention(surface, gold) for surface, gold in drawn), top=9)
    assert len(found) == len(drawn)
    for names, (surface, gold) in zip(found, drawn, strict=True):
        expected = dict(brute_force(surface, gold))
        assert set(names) == set(expected)
        # In float32 the order of almost equal ones is free.
        scores = [expected[name] for name in names]
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-5)


def test_at_most_so_many_names_are_kept_the_most_alike_first(kb, brute_force):
    (names,) = gold_names(kb, mention("Silvery fevers", "D1"))
    assert names == [name for name, _ in brute_force("Silvery fevers", "D1")[:3]]
    assert names[0] == "silver fever"
    assert gold_names(kb, mention("argentinian fever", "D1"), top=1) == [["argentine fever"]]


def test_mentions_without_a_gold_concept_in_the_dictionary_are_left_out(kb):
    mentions = [
        mention("x", "D99"),
        mention("blue gout", "D4"),
        mention("y"),
        mention("z", ()),
        Mention("u", ((0, 1),), "u"),
    ]
    labelled = nearest_gold_names(mentions, kb)
    assert [item.mention.text for item in labelled] == ["blue gout"]
    assert nearest_gold_names(mentions[:1], kb) == []


def test_in_each_dictionary_the_nearest_names_are_sought_by_themselves(kb):
    near = KnowledgeBase.from_concepts([Concept("D1", ("silver fevers", "silver fever"))])
    far = KnowledgeBase.from_concepts([Concept("D1", ("febris argentea",)), Concept("D2", ("other",))])
    merged = KnowledgeBase.merge([near, far])
    asked = [mention("silver fevers", "D1"), mention("other", "D2"), mention("x", "D99")]

    def found(*dictionaries: KnowledgeBase) -> list[tuple[str, list[str]]]:
        labelled = nearest_in_each(asked, dictionaries, merged, top=1)
        return [(item.mention.text, [merged.key(key) for key in item.keys]) for item in labelled]

    assert found(near, far) == [
        ("silver fevers", ["silver fevers"]),
        ("silver fevers", ["febris argentea"]),
        ("other", ["other"]),
    ]
    # The same list from two dictionaries is one; in all of them together the name of the second is never drawn.
    assert found(near, near) == [("silver fevers", ["silver fevers"])]
    assert [merged.key(item.keys[0]) for item in nearest_gold_names(asked, merged, 1)] == ["silver fevers", "other"]


def test_gold_ids_are_resolved_and_unknown_ones_beside_known_ones_do_no_harm(kb):
    assert gold_names(kb, mention("tidal colic", "OLD5"), top=1) == [["tidal colic"]]
    assert gold_names(kb, mention("tidal colic", "MESH:D5"), top=1) == [["tidal colic"]]
    assert gold_names(kb, mention("blue gout", ("D99", "D4"))) == [["blue gout"]]


def test_a_composite_mention_that_was_not_split_may_become_any_of_its_concepts(kb, brute_force):
    (names,) = gold_names(kb, mention("silver and salt fever", "D1", "D6"), top=99)
    assert set(names) == {name for name, _ in brute_force("x", "D1", "D6")}


def test_the_surface_counts_and_not_the_text(kb):
    expanded = mention("SF", "D1").with_surface("febris argentea")
    assert gold_names(kb, expanded, top=1) == [["febris argentea"]]


def labelled(kb: KnowledgeBase, *mentions: Mention) -> list[LabelledMention]:
    return nearest_gold_names(mentions, kb)


def targets(kb, encoding, *mentions: Mention, repetition: float = 0.0, noise: float = 0.0) -> MentionTargets:
    return MentionTargets(labelled(kb, *mentions), kb, encoding, repetition=repetition, noise=noise)


@pytest.mark.parametrize(("repetition", "length"), [(0.0, 3), (0.5, 4), (1.0, 6)])
def test_equal_mentions_of_equal_gold_count_n_to_the_power_of_repetition(kb, encoding, repetition, length):
    four = [mention("Salt fever", "D6"), mention("salt FEVER", "D6")] * 2
    mentions = [*four, mention("SF", "D6"), mention("SF", "D5")]
    assert len(targets(kb, encoding, *mentions, repetition=repetition)) == length


def test_each_of_some_equal_mentions_is_drawn_in_its_context(kb, byte_tokenizer):
    near = Encoding(byte_tokenizer, Template(context_tokens=9), kb.normalisation, 2)
    drawer = targets(kb, near, mention("SF", "D6", left="one "), mention("SF", "D6", left="two "))
    rng = np.random.default_rng(0)
    assert len(drawer) == 1
    assert {drawer.draw(0, rng)[0].left for _ in range(20)} == {"one ", "two "}


def test_the_nearest_name_is_drawn_most_of_the_time(kb, encoding, brute_force):
    drawer = targets(kb, encoding, mention("silver fevers", "D1"))
    rng = np.random.default_rng(0)
    counts = Counter(drawer.draw(0, rng)[1] for _ in range(4000))
    names = [name for name, _ in brute_force("silver fevers", "D1")[:3]]
    shares = [counts[name] / 4000 for name in names]
    assert sum(shares) == 1
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.03)


def test_the_shares_of_fewer_names_sum_to_one(kb, encoding):
    drawer = targets(kb, encoding, mention("salty fever", "D6"))  # two names: 0.7 and 0.15 of 0.85
    rng = np.random.default_rng(0)
    counts = Counter(drawer.draw(0, rng)[1] for _ in range(4000))
    assert counts["salt fever"] / 4000 == pytest.approx(0.7 / 0.85, abs=0.03)
    assert counts["sf"] == 4000 - counts["salt fever"]


def test_noise_disturbs_its_share_of_mentions_and_no_names(kb, encoding):
    plain = targets(kb, encoding, mention("Blue Gout", "D4"))
    assert plain.draw(0, np.random.default_rng(0)) == (Prompt("Blue Gout"), "blue gout")
    noisy = targets(kb, encoding, mention("Blue Gout", "D4"), noise=0.5)
    rng = np.random.default_rng(0)
    drawn = [noisy.draw(0, rng) for _ in range(1000)]
    assert {target for _, target in drawn} == {"blue gout"}
    assert np.mean([prompt.surface == "Blue Gout" for prompt, _ in drawn]) == pytest.approx(0.5, abs=0.05)
