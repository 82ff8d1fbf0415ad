"""A knowledge base, saved, opened or overlaid, answers as plain dictionaries do."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.kb import KnowledgeBase
from genlink.schema import Concept
from genlink.text import Normalisation, normalise

# Few letters, so that names meet; an accent, punctuation and a letter outside the basic plane.
NAMES = st.text(alphabet="aAbé- +𝔸", max_size=4)
QUERIES = st.lists(st.text(alphabet="aAbé- +\0𝔸", max_size=4), max_size=3)
IDS = st.sampled_from(["A:1", "A:2", "B:1", "B:2", "1", "2", "X:A:1"])
CONCEPTS = st.builds(
    Concept,
    concept_id=IDS,
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True).map(tuple),
    types=st.lists(st.sampled_from(["T1", "T2"]), unique=True).map(tuple),
    definition=st.none() | st.text(max_size=3).filter(lambda text: text.isprintable()),
    alternative_ids=st.lists(IDS, max_size=2, unique=True).map(tuple),
)
STEPS = st.builds(Normalisation, unicode=st.booleans(), case=st.booleans(), punctuation=st.booleans())


class Model:
    """The same answers from dictionaries, without any index."""

    def __init__(self, concepts: list[Concept], steps: Normalisation) -> None:
        self.steps = steps
        self.names: dict[str, list[str]] = {}
        self.alternatives: dict[str, list[str]] = defaultdict(list)
        for concept in concepts:
            usable = [name for name in concept.names if normalise(name, steps)]
            if usable:
                held = self.names.setdefault(concept.concept_id, [])
                held.extend(name for name in usable if name not in held)
                for alternative in concept.alternative_ids:
                    self.alternatives[alternative].append(concept.concept_id)

    def concept_ids(self, name: str) -> tuple[str, ...]:
        key = normalise(name, self.steps)
        return tuple(i for i, names in self.names.items() if key in {normalise(n, self.steps) for n in names})

    def own(self, concept_id: str) -> str | None:
        if concept_id in self.names:
            return concept_id
        return min(self.alternatives.get(concept_id, []), key=list(self.names).index, default=None)


def assert_answers_as(kb: KnowledgeBase, model: Model, queries: list[str]) -> None:
    held = {i: tuple(names) for i, names in model.names.items()}
    assert {c.concept_id: c.names for c in kb} == held
    assert [kb.concept_id_at(i) for i in range(len(kb))] == list(held)
    assert [kb.canonical_name_at(i) for i in range(len(kb))] == [names[0] for names in held.values()]
    keys = [kb.key(i) for i in range(kb.n_keys)]
    assert sorted(keys) == sorted({normalise(n, model.steps) for names in held.values() for n in names})
    for i, key in enumerate(keys):
        assert kb.key_index(key) == i or normalise(key, model.steps) != key
        for concept in kb.key_concepts(i):
            names = held[kb.concept_id_at(concept)]
            assert kb.key_name(i, concept) == next(n for n in names if normalise(n, model.steps) == key)
    for concept, names in enumerate(held.values()):
        expected = list(dict.fromkeys(normalise(n, model.steps) for n in names))
        assert [kb.key(i) for i in kb.concept_keys(concept)] == expected
    for name in [*queries, *(n for names in held.values() for n in names)]:
        assert kb.concept_ids(name) == model.concept_ids(name)
        key = normalise(name, model.steps)
        for text in (key, key[:-1], f"{key} {key}"):
            starts = [(len(each), i) for i, each in enumerate(keys) if text.startswith(each)]
            assert kb.keys_at_start(text) == sorted(starts)
    for concept_id in ("A:1", "A:2", "B:1", "B:2", "1", "2", "X:A:1"):
        own = model.own(concept_id)
        assert (concept_id in kb) == (own is not None)
        if own is not None:
            assert kb.resolve(concept_id) == kb.concept(concept_id).concept_id == own


def saved_and_opened(kb: KnowledgeBase) -> KnowledgeBase:
    with tempfile.TemporaryDirectory() as directory:
        kb.save(Path(directory) / "kb")
        return KnowledgeBase.open(Path(directory) / "kb")


@settings(max_examples=60, deadline=None)
@given(st.lists(CONCEPTS, max_size=6), STEPS, QUERIES)
def test_it_answers_as_dictionaries_do_in_memory_and_opened(
    concepts: list[Concept], steps: Normalisation, queries: list[str]
) -> None:
    concepts.append(Concept("A:1", ("a",)))
    kb = KnowledgeBase.from_concepts(concepts, normalisation=steps, on_duplicate="merge")
    model = Model(concepts, steps)
    assert_answers_as(kb, model, queries)
    opened = saved_and_opened(kb)
    assert_answers_as(opened, model, queries)
    assert list(opened) == list(kb)
    assert [opened.key(i) for i in range(opened.n_keys)] == [kb.key(i) for i in range(kb.n_keys)]
    assert opened.content_hash == kb.content_hash
    assert opened.report == kb.report


@settings(max_examples=60, deadline=None)
@given(
    st.lists(CONCEPTS, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(["A:1", "B:1"]), st.lists(NAMES, max_size=3)), max_size=3),
    QUERIES,
)
def test_an_overlay_answers_as_a_knowledge_base_with_the_names_added(
    concepts: list[Concept], additions: list[dict[str, list[str]]], queries: list[str]
) -> None:
    concepts += [Concept("A:1", ("a",)), Concept("B:1", ("b",))]
    base = KnowledgeBase.from_concepts(concepts, on_duplicate="merge")
    over = added = base
    for names in additions:
        over, added = over.overlay(names), added.add_names(names)
        concepts += [Concept(i, tuple(values)) for i, values in names.items()]
    model = Model(concepts, Normalisation())
    assert_answers_as(over, model, queries)
    assert_answers_as(added, model, queries)
    assert_answers_as(saved_and_opened(over), model, queries)
    assert [over.key(i) for i in range(base.n_keys)] == [base.key(i) for i in range(base.n_keys)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CONCEPTS, max_size=3), min_size=1, max_size=3))
def test_merging_knowledge_bases_is_building_one_from_all_their_concepts(groups: list[list[Concept]]) -> None:
    for i, group in enumerate(groups):
        group.append(Concept(f"C:{i}", ("c",)))
    kbs = [KnowledgeBase.from_concepts(group, on_duplicate="merge") for group in groups]
    whole = KnowledgeBase.from_concepts([c for group in groups for c in group], on_duplicate="merge")
    assert KnowledgeBase.merge(kbs).content_hash == whole.content_hash
