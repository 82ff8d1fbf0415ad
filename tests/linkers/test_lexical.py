"""The lexical linkers, and how scored names become ranked concepts."""

from __future__ import annotations

import subprocess
import sys
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

import genlink.linkers
from genlink.errors import UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker, TfidfLinker, open_linker, rank_names
from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Concept, Document, Mention


def make_kb(**names: tuple[str, ...]) -> KnowledgeBase:
    return KnowledgeBase.from_concepts(Concept(concept_id, strings) for concept_id, strings in names.items())


@pytest.fixture
def kb() -> KnowledgeBase:
    return make_kb(
        C1=("Cold", "Common cold", "acute nasopharyngitis"),
        C2=("Chronic lung disease", "COLD"),
        C3=("Colic", "Colic pain"),
        C4=("Renal colic",),
    )


def mention(surface: str) -> Mention:
    return Mention.in_context("Seen with ", surface, ".")


def keys(kb: KnowledgeBase, *names: str) -> list[tuple[int, float]]:
    """Scored keys: 1.0, 0.9, ..."""
    return [(kb.key_index(name), 1.0 - i / 10) for i, name in enumerate(names)]


# Ranking


def test_concepts_of_an_ambiguous_name_share_its_rank_and_score(kb):
    found = rank_names(kb, keys(kb, "cold", "colic"), k=5)
    assert [(c.concept_id, c.rank, c.ambiguous, c.score) for c in found] == [
        ("C1", 1, True, 1.0),
        ("C2", 1, True, 1.0),
        ("C3", 2, False, 0.9),
    ]


def test_a_candidate_shows_the_names_verbatim(kb):
    first, second = rank_names(kb, keys(kb, "cold"), k=1)
    assert (first.name, first.concept_name) == ("Cold", "Cold")
    assert (second.name, second.concept_name) == ("COLD", "Chronic lung disease")


def test_a_name_whose_concepts_are_all_listed_takes_no_rank(kb):
    found = rank_names(kb, keys(kb, "common cold", "acute nasopharyngitis", "colic"), k=5)
    assert [(c.concept_id, c.rank, c.name) for c in found] == [("C1", 1, "Common cold"), ("C3", 2, "Colic")]


def test_the_new_concept_of_an_ambiguous_name_is_ambiguous_though_listed_alone(kb):
    found = rank_names(kb, keys(kb, "common cold", "cold"), k=5)
    assert [(c.concept_id, c.rank, c.ambiguous) for c in found] == [("C1", 1, False), ("C2", 2, True)]


def test_no_more_names_are_taken_than_k_ranks_need(kb):
    taken = []

    def endless():
        for i in count():
            taken.append(i)
            yield keys(kb, "colic", "renal colic")[i % 2]

    assert len(rank_names(kb, endless(), k=2)) == 2
    assert taken == [0, 1]


def test_no_names_are_no_candidates_and_no_rank_is_an_error(kb):
    assert rank_names(kb, [], k=5) == ()
    with pytest.raises(UsageError, match="k is 0"):
        rank_names(kb, [], k=0)


# Exact


def test_exact_finds_a_name_however_it_is_written(kb):
    [prediction] = ExactLinker(kb).link([mention("ACUTE  Nasopharyngitis")])
    assert [(c.concept_id, c.score, c.rank) for c in prediction.candidates] == [("C1", 1.0, 1)]


def test_exact_gives_every_concept_of_an_ambiguous_name_and_nothing_for_no_name(kb):
    ambiguous, unknown = ExactLinker(kb).link([mention("cold"), mention("colds")], k=1)
    assert [c.concept_id for c in ambiguous.candidates] == ["C1", "C2"]
    assert unknown.candidates == ()


def test_exact_reads_the_surface_not_the_text(kb):
    [prediction] = ExactLinker(kb).link([mention("RC").with_surface("renal colic")])
    assert prediction.best is not None
    assert prediction.best.concept_id == "C4"


# TF-IDF


def test_tfidf_comes_to_an_exact_name_first_with_cosine_one(kb):
    [prediction] = TfidfLinker(kb).link([mention("Colic pain")])
    assert prediction.best is not None
    assert (prediction.best.concept_id, prediction.best.score) == ("C3", 1.0)


def test_tfidf_prefers_the_name_itself_to_the_same_words_in_another_order():
    # Vectors of n-grams within words know no order of words: both cosines are one, up to rounding.
    kb = make_kb(A=("pain of colic",), B=("colic of pain",))
    a, b = TfidfLinker(kb).link([mention("pain of colic"), mention("colic of pain")], k=1)
    assert [c.concept_id for c in (*a.candidates, *b.candidates)] == ["A", "B"]


def test_tfidf_gives_nothing_where_no_ngram_is_shared(kb):
    [prediction] = TfidfLinker(kb, (3, 3)).link([mention("xyz")])
    assert prediction.candidates == ()


def test_tfidf_fills_k_ranks_with_distinct_concepts_though_one_concept_has_many_names():
    many = tuple(f"colic type {i}" for i in range(300))
    kb = make_kb(A=many, B=("colic of another kind",), C=("colicky",))
    [prediction] = TfidfLinker(kb).link([mention("colic type 7")], k=3)
    assert [c.rank for c in prediction.candidates] == [1, 2, 3]
    assert {c.concept_id for c in prediction.candidates} == {"A", "B", "C"}
    assert prediction.candidates[0].name == "colic type 7"


def test_tfidf_searches_the_names_of_an_overlay(kb):
    overlaid = kb.overlay({"C4": ["pain of the kidney"]})
    [prediction] = TfidfLinker(kb).with_kb(overlaid).link([mention("kidney pain")], k=1)
    assert [(c.concept_id, c.name) for c in prediction.candidates] == [("C4", "pain of the kidney")]


def test_an_impossible_range_of_ngrams_is_refused(kb):
    with pytest.raises(UsageError, match="ngram_range"):
        TfidfLinker(kb, (3, 2))


words = st.text("abc ", min_size=1, max_size=12).filter(str.strip)


@settings(deadline=None, max_examples=40)
@given(names=st.lists(words, min_size=1, max_size=12), surfaces=st.lists(words, min_size=1, max_size=4))
def test_tfidf_is_brute_force_over_all_names_whatever_the_batch(names, surfaces):
    kb = KnowledgeBase.from_concepts(Concept(f"C{i}", (name,)) for i, name in enumerate(names))
    mentions = [mention(surface) for surface in surfaces]
    together = TfidfLinker(kb).link(mentions, k=3)
    assert together == [TfidfLinker(kb).link([one], k=3)[0] for one in mentions]

    all_keys = [kb.key(i) for i in range(kb.n_keys)]
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), lowercase=False)
    vectors = vectorizer.fit_transform(all_keys).toarray()
    for prediction in together:
        [query] = vectorizer.transform([" ".join(prediction.mention.surface.split())]).toarray()
        cosines = np.sort(vectors @ query)[::-1]
        cosines = cosines[cosines > 0][:3]
        by_rank = {candidate.rank: candidate.score for candidate in prediction.candidates}
        assert list(by_rank) == list(range(1, len(cosines) + 1))
        assert list(by_rank.values()) == pytest.approx(cosines, abs=1e-5)


def test_equal_cosines_are_ordered_by_key_index():
    kb = make_kb(A=("colic x",), B=("colic y",), C=("colic z",))
    [prediction] = TfidfLinker(kb).link([mention("colic")], k=3)
    found = [kb.key_index(c.name) for c in prediction.candidates]
    assert found == sorted(found)


# Opening and documents


def test_a_document_is_prepared_and_linked(kb):
    text = "Renal colic (RC) is pain. RC passed."
    mentions = tuple(
        Mention(context=text, spans=((s, e),), text=text[s:e], document_id="1", mention_id=str(s))
        for s, e in [(0, 11), (26, 28)]
    )
    documents = [Document("1", text, mentions)]
    linker = ExactLinker(kb)
    assert [p.best.concept_id if p.best else None for p in linker.link(documents)] == ["C4", "C4"]
    as_they_are = linker.link(prepare(documents, Preprocessing(abbreviations=False)))
    assert [p.best.concept_id if p.best else None for p in as_they_are] == ["C4", None]


def test_mentions_and_documents_are_not_mixed(kb):
    text = "Renal colic"
    item = Mention(context=text, spans=((0, 11),), text=text)
    with pytest.raises(UsageError, match="not both"):
        ExactLinker(kb).link([item, Document("1", text, (item,))])


def test_lexical_linkers_are_opened_by_name_and_need_a_knowledge_base(kb):
    assert isinstance(open_linker("exact", kb), ExactLinker)
    assert isinstance(open_linker("tfidf", kb), TfidfLinker)
    with pytest.raises(UsageError, match="--kb"):
        open_linker("exact", None)
    with pytest.raises(UsageError, match="no model"):
        open_linker("tfidf", kb, beams=5)
    with pytest.raises(UsageError, match="no such model"):
        open_linker("nowhere", kb)


def test_every_linker_tells_what_it_is(kb):
    assert open_linker("exact", kb).describe() == {"kind": "exact"}
    assert open_linker("tfidf", kb).describe()["ngram_range"] == [1, 3]


def test_lexical_linkers_come_without_torch():
    code = "import sys, genlink.linkers; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_exported_name_exists_and_no_other():
    for name in genlink.linkers.__all__:
        assert getattr(genlink.linkers, name).__name__ == name
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = genlink.linkers.Nonsense
