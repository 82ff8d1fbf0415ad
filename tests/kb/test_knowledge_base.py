"""Looking things up in a knowledge base, and making others of it."""

from __future__ import annotations

import pytest

from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase
from genlink.schema import Concept
from genlink.text import Normalisation

INFARCT = Concept(
    "MESH:D009203",
    ("Myocardial Infarction", "Heart attack", "heart-attack", "MI"),
    types=("T047",),
    definition="Death of heart muscle.",
    alternative_ids=("OMIM:608446",),
    xrefs=("ICD10:I21",),
)
MITRAL = Concept("MESH:D008944", ("Mitral Valve Insufficiency", "MI"), types=("T047", "T190"))
SJOGREN = Concept("OMIM:270150", ("Sjögren Syndrome",), types=("T191",))


@pytest.fixture
def kb() -> KnowledgeBase:
    return KnowledgeBase.from_concepts([INFARCT, MITRAL, SJOGREN])


def keys(kb: KnowledgeBase) -> set[str]:
    return {kb.key(i) for i in range(kb.n_keys)}


def key_index(kb: KnowledgeBase, name: str) -> int:
    index = kb.key_index(name)
    assert index is not None
    return index


# Names


def test_keys_are_the_distinct_normalised_names(kb: KnowledgeBase) -> None:
    assert keys(kb) == {
        "myocardial infarction",
        "heart attack",
        "mi",
        "mitral valve insufficiency",
        "sjogren syndrome",
    }
    assert kb.n_keys == 5


def test_a_name_is_found_in_any_spelling_with_the_same_key(kb: KnowledgeBase) -> None:
    assert kb.concept_ids("HEART  attack!") == ("MESH:D009203",)
    assert kb.concept_ids("sjogren syndrome") == ("OMIM:270150",)


def test_an_ambiguous_name_leads_to_all_its_concepts_in_their_order(kb: KnowledgeBase) -> None:
    assert kb.concept_ids("mi") == ("MESH:D009203", "MESH:D008944")
    assert kb.key_concepts(key_index(kb, "mi")) == (0, 1)


@pytest.mark.parametrize("name", ["", " ", "?!", "stroke", "\ud800"])
def test_an_unknown_name_leads_nowhere(kb: KnowledgeBase, name: str) -> None:
    assert kb.key_index(name) is None
    assert kb.concept_ids(name) == ()


def test_half_of_a_surrogate_pair_is_an_unknown_name_whatever_the_normalisation() -> None:
    kb = KnowledgeBase.from_concepts([INFARCT], normalisation=Normalisation(False, False, False))
    assert kb.concept_ids("\ud800") == ()


def test_the_keys_of_a_concept_come_canonical_first_and_once(kb: KnowledgeBase) -> None:
    assert [kb.key(i) for i in kb.concept_keys(0)] == ["myocardial infarction", "heart attack", "mi"]


def test_key_name_is_the_first_verbatim_name_with_the_key(kb: KnowledgeBase) -> None:
    assert kb.key_name(key_index(kb, "heart-attack"), 0) == "Heart attack"
    assert kb.key_name(key_index(kb, "mi"), 1) == "MI"
    with pytest.raises(KnowledgeBaseError, match=r"MESH:D008944: has no name with the key 'heart attack'"):
        kb.key_name(key_index(kb, "heart attack"), 1)


def test_normalisation_steps_decide_which_names_are_one_key() -> None:
    kb = KnowledgeBase.from_concepts([INFARCT], normalisation=Normalisation(case=False, punctuation=False))
    assert keys(kb) == {"Myocardial Infarction", "Heart attack", "heart-attack", "MI"}
    assert kb.concept_ids("mi") == ()


# Concepts


def test_concepts_come_back_as_they_were_given(kb: KnowledgeBase) -> None:
    assert list(kb) == [INFARCT, MITRAL, SJOGREN]
    assert len(kb) == 3
    assert kb.concept_at(1) == MITRAL
    assert kb.concept_id_at(2) == "OMIM:270150"
    assert kb.canonical_name_at(0) == "Myocardial Infarction"


def test_a_concept_is_found_by_primary_and_alternative_id(kb: KnowledgeBase) -> None:
    assert kb.concept("MESH:D009203") == kb.concept("OMIM:608446") == INFARCT
    assert "OMIM:608446" in kb
    assert "ICD10:I21" not in kb  # a cross reference is no id
    assert 3 not in kb
    with pytest.raises(KnowledgeBaseError, match="ICD10:I21: no such concept id"):
        kb.concept("ICD10:I21")


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_out_of_range_is_refused(kb: KnowledgeBase, index: int) -> None:
    for accessor in (kb.concept_at, kb.concept_id_at, kb.canonical_name_at, kb.key, kb.key_concepts, kb.concept_keys):
        with pytest.raises(IndexError):
            accessor(index)


def test_equal_alternative_ids_and_the_primary_one_among_them_count_once() -> None:
    kb = KnowledgeBase.from_concepts([Concept("A:1", ("a", "a", "b"), alternative_ids=("B:1", "A:1", "B:1", ""))])
    assert kb.concept("A:1") == Concept("A:1", ("a", "b"), alternative_ids=("B:1",))


# Resolving ids from elsewhere

PREFIXED = [
    Concept("MESH:D1", ("one",), alternative_ids=("OMIM:100",)),
    Concept("OMIM:200", ("two",)),
    Concept("MESH:300", ("three",)),
    Concept("OMIM:300", ("four",)),
]
BARE = [Concept("D1", ("one",), alternative_ids=("100", "D2")), Concept("D2", ("two",))]


@pytest.mark.parametrize(
    ("concept_id", "expected"),
    [
        ("MESH:D1", "MESH:D1"),  # rule 1: primary
        ("OMIM:100", "MESH:D1"),  # rule 2: alternative
        ("D1", "MESH:D1"),  # rule 4: one prefix makes it an id
        ("100", "MESH:D1"),  # rule 4, by an alternative id
        ("200", "OMIM:200"),
        ("300", None),  # rule 4: two prefixes do
        ("OMIM:D1", None),  # two different prefixes never match
        ("UMLS:D1", None),
        ("D9", None),
        ("", None),
        ("MESH:", None),
    ],
)
def test_an_id_resolves_in_a_knowledge_base_with_prefixes(concept_id: str, expected: str | None) -> None:
    assert KnowledgeBase.from_concepts(PREFIXED).resolve(concept_id) == expected


@pytest.mark.parametrize(
    ("concept_id", "expected"),
    [
        ("D1", "D1"),
        ("100", "D1"),
        ("MESH:D1", "D1"),  # rule 3: the bare id, whatever the prefix
        ("OMIM:100", "D1"),  # rule 3, by an alternative id
        ("DO:DOID:100", "D1"),  # the prefix ends at the last colon
        ("D2", "D2"),  # the primary id goes before D1's alternative one
        ("MESH:D2", "D2"),
        ("D9", None),
    ],
)
def test_an_id_resolves_in_a_knowledge_base_without_prefixes(concept_id: str, expected: str | None) -> None:
    assert KnowledgeBase.from_concepts(BARE).resolve(concept_id) == expected


def test_an_alternative_id_of_several_concepts_means_the_first() -> None:
    kb = KnowledgeBase.from_concepts(
        [Concept("A:1", ("a",), alternative_ids=("X:1",)), Concept("A:2", ("b",), alternative_ids=("X:1",))]
    )
    assert kb.resolve("X:1") == "A:1"


def test_missing_are_the_ids_that_do_not_resolve(kb: KnowledgeBase) -> None:
    assert kb.missing(["D009203", "MESH:D1", "270150", "-1"]) == {"MESH:D1", "-1"}


# Duplicates and what cannot be kept


def test_one_id_with_different_names_is_an_error_that_names_both() -> None:
    with pytest.raises(KnowledgeBaseError, match=r"A:1: given twice .*'a'.*'b'.*--on-duplicate merge"):
        KnowledgeBase.from_concepts([Concept("A:1", ("a",)), Concept("A:1", ("b",))])


def test_one_id_with_the_same_names_is_one_concept() -> None:
    kb = KnowledgeBase.from_concepts([Concept("A:1", ("a",), types=("T1",)), Concept("A:1", ("a",), types=("T2",))])
    assert list(kb) == [Concept("A:1", ("a",), types=("T1", "T2"))]


def test_merged_duplicates_unite_names_types_and_ids_and_keep_the_first_definition() -> None:
    kb = KnowledgeBase.from_concepts(
        [
            Concept("A:1", ("a", "b"), ("T1",), None, ("X:1",), ("Y:1",)),
            Concept("A:2", ("z",)),
            Concept("A:1", ("c", "B"), ("T2", "T1"), "first", ("X:2",), ("Y:1", "Y:2")),
            Concept("A:1", ("a",), definition="second"),
        ],
        on_duplicate="merge",
    )
    assert list(kb) == [
        Concept("A:1", ("a", "b", "c", "B"), ("T1", "T2"), "first", ("X:1", "X:2"), ("Y:1", "Y:2")),
        Concept("A:2", ("z",)),
    ]
    assert [kb.key(i) for i in kb.concept_keys(0)] == ["a", "b", "c"]


def test_names_without_a_key_and_long_ones_are_dropped_and_concepts_without_a_name_too() -> None:
    kb = KnowledgeBase.from_concepts(
        [Concept("A:1", ("?", "four", "five!")), Concept("A:2", ("sixsix",))], max_name_length=4
    )
    assert list(kb) == [Concept("A:1", ("four",))]


@pytest.mark.parametrize("concepts", [[], [Concept("A:1", ("+",))], [Concept("A:1", ())]])
def test_a_knowledge_base_needs_a_concept(concepts: list[Concept]) -> None:
    with pytest.raises(KnowledgeBaseError, match="no concept"):
        KnowledgeBase.from_concepts(concepts)


def test_a_concept_needs_an_id() -> None:
    with pytest.raises(KnowledgeBaseError, match="without an id"):
        KnowledgeBase.from_concepts([Concept("", ("a",))])


def test_half_of_a_surrogate_pair_is_refused_with_the_concept_named() -> None:
    with pytest.raises(KnowledgeBaseError, match=r"A:1.*surrogate"):
        KnowledgeBase.from_concepts([Concept("A:1", ("a\ud800",))])


def test_a_nul_character_is_refused_in_ids_and_keys_and_found_in_no_lookup(kb: KnowledgeBase) -> None:
    for concept in (Concept("A:1\0", ("a",)), Concept("A:1", ("a\0b",))):
        with pytest.raises(KnowledgeBaseError, match=r"\\x00.*: holds a NUL"):
            KnowledgeBase.from_concepts([concept], normalisation=Normalisation(punctuation=False))
    plain = KnowledgeBase.from_concepts([Concept("A:1", ("a\0b",))])  # there it is a space as any other punctuation
    assert plain.concept_ids("a b") == ("A:1",)
    assert "MESH:D009203\0" not in kb
    verbatim = KnowledgeBase.from_concepts([INFARCT], normalisation=Normalisation(punctuation=False))
    assert verbatim.concept_ids("MI\0") == ()


# Subsets and edits


def test_a_subset_keeps_what_passes_every_filter(kb: KnowledgeBase) -> None:
    assert list(kb.subset(types=["T190", "T191"])) == [MITRAL, SJOGREN]
    assert list(kb.subset(prefixes=["MESH"])) == [INFARCT, MITRAL]
    assert list(kb.subset(ids=["OMIM:608446", "270150"])) == [INFARCT, SJOGREN]
    assert list(kb.subset(types=["T047"], prefixes=["MESH"], ids=["D008944"])) == [MITRAL]
    assert kb.subset(types=["T191"]).concept_ids("mi") == ()
    assert list(KnowledgeBase.from_concepts([*PREFIXED, *BARE]).subset(prefixes=[""])) == BARE


def test_a_subset_by_unknown_ids_or_with_nothing_in_it_is_an_error(kb: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeBaseError, match="X:1 and 1 more of the 3 given: no such concept id"):
        kb.subset(ids=["X:1", "D008944", "X:2"])
    with pytest.raises(KnowledgeBaseError, match="no concept"):
        kb.subset(types=["T999"])


def test_merging_unites_concepts_of_the_same_id() -> None:
    first = KnowledgeBase.from_concepts([Concept("A:1", ("a",)), Concept("A:2", ("b",))])
    second = KnowledgeBase.from_concepts([Concept("A:2", ("c",)), Concept("A:3", ("a",))])
    merged = KnowledgeBase.merge([first, second])
    assert list(merged) == [Concept("A:1", ("a",)), Concept("A:2", ("b", "c")), Concept("A:3", ("a",))]
    assert merged.concept_ids("a") == ("A:1", "A:3")
    with pytest.raises(KnowledgeBaseError, match="A:2: given twice"):
        KnowledgeBase.merge([first, second], on_duplicate="error")


def test_merging_nothing_or_different_normalisations_is_an_error(kb: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeBaseError, match="no knowledge base"):
        KnowledgeBase.merge([])
    with pytest.raises(KnowledgeBaseError, match="normalisation"):
        KnowledgeBase.merge([kb, KnowledgeBase.from_concepts([INFARCT], normalisation=Normalisation(case=False))])


def test_an_edited_knowledge_base_keeps_the_normalisation() -> None:
    kb = KnowledgeBase.from_concepts([INFARCT, MITRAL], normalisation=Normalisation(case=False))
    assert kb.subset(types=["T190"]).concept_ids("mi") == ()
    assert KnowledgeBase.merge([kb, kb]).concept_ids("mi") == ()


def test_added_names_come_after_the_concepts_own(kb: KnowledgeBase) -> None:
    more = kb.add_names({"D009203": ["cardiac infarct", "MI"], "OMIM:608446": ["AMI"], "270150": ["AMI"]})
    assert more.concept("MESH:D009203").names == (*INFARCT.names, "cardiac infarct", "AMI")
    assert more.concept_ids("ami") == ("MESH:D009203", "OMIM:270150")
    assert kb.concept_ids("ami") == ()


def test_removed_names_are_gone_in_every_spelling(kb: KnowledgeBase) -> None:
    fewer = kb.remove_names({"D009203": ["HEART ATTACK", "mi"]})
    assert fewer.concept("MESH:D009203").names == ("Myocardial Infarction",)
    assert fewer.concept_ids("mi") == ("MESH:D008944",)


def test_a_concept_that_loses_its_last_name_goes_too(kb: KnowledgeBase) -> None:
    assert list(kb.remove_names({"OMIM:270150": ["Sjögren syndrome"]})) == [INFARCT, MITRAL]


def test_only_names_and_concepts_that_are_there_can_be_edited(kb: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeBaseError, match=r"OMIM:270150 \(Sjögren Syndrome\): has no name 'sicca' to remove"):
        kb.remove_names({"270150": ["sicca"]})
    for edit in (kb.add_names, kb.remove_names, kb.overlay):
        with pytest.raises(KnowledgeBaseError, match="X:1: no such concept id"):
            edit({"X:1": ["x"]})


def test_concepts_can_be_added_and_removed(kb: KnowledgeBase) -> None:
    more = kb.add_concepts([Concept("X:1", ("MI",)), Concept("OMIM:270150", ("Sicca",))])
    assert more.concept_ids("mi") == ("MESH:D009203", "MESH:D008944", "X:1")
    assert more.concept("OMIM:270150").names == ("Sjögren Syndrome", "Sicca")
    assert list(kb.remove_concepts(["270150", "MESH:D009203"])) == [MITRAL]


# Overlays


def test_an_overlay_adds_keys_after_those_of_the_base(kb: KnowledgeBase) -> None:
    over = kb.overlay({"D008944": ["heart attack", "mitral leak"], "MESH:D009203": ["Mitral  LEAK", "?"]})
    assert [over.key(i) for i in range(5)] == [kb.key(i) for i in range(5)]
    assert over.n_keys == 6
    assert over.key(5) == "mitral leak"
    assert over.key_concepts(5) == (0, 1)
    assert over.key_name(5, 0) == "Mitral  LEAK"
    assert over.concept_ids("heart attack") == ("MESH:D009203", "MESH:D008944")
    assert over.concept_at(1).names == (*MITRAL.names, "heart attack", "mitral leak")
    assert over.concept_keys(1) == (*kb.concept_keys(1), kb.key_index("heart attack"), 5)
    assert kb.concept_ids("mitral leak") == ()


def test_keys_at_the_start_of_a_text_are_found_in_base_and_overlay(kb: KnowledgeBase) -> None:
    over = kb.overlay({"D009203": ["heart attack of old", "heart"]})
    text = "heart attack of old people"
    found = [(key_index(over, name), len(name)) for name in ("heart", "heart attack", "heart attack of old")]
    assert over.keys_at_start(text) == [(length, key) for key, length in found]
    assert kb.keys_at_start(text) == [(len("heart attack"), key_index(kb, "heart attack"))]
    # marisa knows no NUL and no half of a surrogate pair
    assert kb.keys_at_start("heart attack\0") == kb.keys_at_start("heart attack\ud800") == kb.keys_at_start(text)
    assert kb.keys_at_start("heart\0 attack") == kb.keys_at_start("") == []


def test_a_new_spelling_of_a_known_key_is_a_name_but_no_new_key(kb: KnowledgeBase) -> None:
    over = kb.overlay({"D009203": ["HEART ATTACK", "MI"]})
    assert over.concept_at(0).names == (*INFARCT.names, "HEART ATTACK")
    assert over.n_keys == kb.n_keys
    assert over.key_concepts(key_index(over, "heart attack")) == (0,)


def test_overlays_can_be_laid_on_overlays(kb: KnowledgeBase) -> None:
    first = kb.overlay({"D009203": ["one"]})
    second = first.overlay({"D009203": ["two"], "D008944": ["one"]})
    assert second.concept_ids("one") == ("MESH:D009203", "MESH:D008944")
    assert first.concept_ids("one") == ("MESH:D009203",)
    assert second.concept_at(0).names == (*INFARCT.names, "one", "two")
    assert (second.key(5), second.key(6)) == ("one", "two")


def test_an_overlay_can_be_edited_and_merged_as_any_other(kb: KnowledgeBase) -> None:
    over = kb.overlay({"D009203": ["one"]})
    assert over.subset(ids=["D009203"]).concept_ids("one") == ("MESH:D009203",)
    assert over.remove_names({"D009203": ["one"]}).content_hash == kb.content_hash
    assert KnowledgeBase.merge([over]).concept_ids("one") == ("MESH:D009203",)


# Content hash


def test_the_content_hash_tells_contents_apart(kb: KnowledgeBase) -> None:
    same = KnowledgeBase.from_concepts([INFARCT, MITRAL, SJOGREN])
    others = [
        KnowledgeBase.from_concepts([INFARCT, SJOGREN, MITRAL]),
        KnowledgeBase.from_concepts([INFARCT, MITRAL]),
        KnowledgeBase.from_concepts([INFARCT, MITRAL, SJOGREN], normalisation=Normalisation(case=False)),
        kb.overlay({"D009203": ["one"]}),
        kb.overlay({"D008944": ["one"]}),
        kb.overlay({"D009203": ["two"]}),
    ]
    assert same.content_hash == kb.content_hash
    assert len({kb.content_hash, *(other.content_hash for other in others)}) == 1 + len(others)
    assert kb.overlay({"D009203": ["one"]}).content_hash == kb.overlay({"D009203": ["one"]}).content_hash


def test_an_overlay_of_nothing_new_has_the_hash_of_its_base(kb: KnowledgeBase) -> None:
    assert kb.overlay({"D009203": ["MI"]}).content_hash == kb.content_hash
    assert kb.overlay({}).content_hash == kb.content_hash
