"""The generative linker: names of the dictionary under a BART."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from small import CONCEPTS, MENTIONS, TEMPLATE, names, with_search
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from genlink.data.encoding import Encoding
from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker, build_trie
from genlink.linkers.search_settings import SearchSettings
from genlink.schema import Concept, Document, Mention
from genlink.text import Normalisation


@pytest.fixture(scope="module")
def kb(small_kb):
    return small_kb


# Linking


def test_the_score_of_a_name_is_its_log_probability_under_the_model(linker, model, kb):
    (prediction,) = with_search(linker, beams=50).link(MENTIONS[:1], k=50)
    prompt = linker.encoding.prompt(MENTIONS[0])
    (source,), (prefix,) = linker.encoding.sources([prompt]), linker.encoding.prefixes([prompt])

    def log_probability(name: str) -> float:
        target = [*linker.encoding.names([name])[0], linker.encoding.end]
        with torch.no_grad():
            fed = torch.tensor([[*prefix, *target[:-1]]])
            logits = model(input_ids=torch.tensor([source]), decoder_input_ids=fed).logits[0]
        return float(logits.log_softmax(-1)[range(len(prefix) - 1, fed.shape[1]), target].sum())

    every_name = {kb.key(i): log_probability(kb.key(i)) for i in range(kb.n_keys)}
    best_of_each: dict[str, float] = {}
    for key, score in every_name.items():
        for concept_id in kb.concept_ids(key):
            best_of_each[concept_id] = max(score, best_of_each.get(concept_id, -1e9))
    found = {candidate.concept_id: candidate.score for candidate in prediction.candidates}
    assert found == pytest.approx(best_of_each, abs=1e-4)
    assert [c.score for c in prediction.candidates] == sorted(found.values(), reverse=True)


def test_mentions_get_answers_of_their_own_in_their_order(linker):
    predictions = linker.link(MENTIONS)
    assert [prediction.mention for prediction in predictions] == MENTIONS
    assert len({prediction.candidates for prediction in predictions}) > 4
    assert linker.link(MENTIONS[::-1]) == predictions[::-1]


def test_candidates_are_distinct_concepts_at_ascending_ranks(linker):
    for prediction in linker.link(MENTIONS, k=4):
        ids = [candidate.concept_id for candidate in prediction.candidates]
        ranks = [candidate.rank for candidate in prediction.candidates]
        assert len(set(ids)) == len(ids)
        assert ranks == sorted(ranks)
        assert set(ranks) == set(range(1, max(ranks) + 1))
        assert max(ranks) <= 4


def test_the_concepts_of_an_ambiguous_name_share_its_rank_and_score(linker, kb):
    only = KnowledgeBase.from_concepts([Concept("D4", ("SF",)), Concept("D5", ("SF",)), Concept("D6", ("Gout",))])
    (prediction,) = linker.with_kb(only).link(MENTIONS[:1])
    tied = [candidate for candidate in prediction.candidates if candidate.name == "SF"]
    assert [c.concept_id for c in tied] == ["D4", "D5"]
    assert len({(c.rank, c.score) for c in tied}) == 1
    assert all(c.ambiguous for c in tied)
    assert [c.ambiguous for c in prediction.candidates if c.name == "Gout"] == [False]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_size_of_batches_does_not_change_the_answers(linker, batch_size):
    expected, found = linker.link(MENTIONS), with_search(linker, batch_size=batch_size).link(MENTIONS)
    for a, b in zip(expected, found, strict=True):
        assert [c.concept_id for c in a.candidates] == [c.concept_id for c in b.candidates]
        assert [c.score for c in a.candidates] == pytest.approx([c.score for c in b.candidates], abs=1e-4)


def test_mentions_that_read_alike_get_the_same_answer(linker):
    again = Mention.in_context("Quite another text with ", "Silver-Fevr", "")
    first, second = linker.link([MENTIONS[0], again])
    assert first.candidates == second.candidates
    assert second.mention is again


def test_nothing_to_link_gives_nothing(linker):
    assert linker.link([]) == []


def test_the_surfaces_of_a_documents_mentions_are_prepared(linker):
    text = "Silver fever (SVF) is rare. SVF was seen."
    document = Document("1", text, (Mention(text, ((28, 31),), "SVF"),))
    (prediction,) = linker.link([document])
    assert prediction.mention.surface == "Silver fever"
    assert prediction.candidates == linker.link([Mention.in_context("", "silver fever")])[0].candidates


@pytest.mark.parametrize(
    "surface",
    ["very " * 80 + "silver fever", "病" * 60, "!?", "\u0301", "<s></s>"],
    ids=["longer than the encoder", "of long bytes", "without a key", "a mark alone", "special tokens"],
)
def test_no_surface_is_too_long_or_too_strange(linker, surface):
    (prediction,) = with_search(linker, beams=20).link([Mention.in_context("", surface)], k=20)
    assert {candidate.concept_id for candidate in prediction.candidates} == {"D1", "D2", "D3", "D4", "D5", "D6"}


@pytest.mark.parametrize("beams", [1, 2, 7, 40])
def test_more_beams_than_names_give_every_concept_once_and_no_more(linker, beams):
    few = linker.with_kb(KnowledgeBase.from_concepts(CONCEPTS[:2]))
    for prediction in with_search(few, beams=beams).link(MENTIONS, k=10):
        ids = [candidate.concept_id for candidate in prediction.candidates]
        assert len(set(ids)) == len(ids) >= 1
        assert set(ids) <= {"D1", "D2"}
        if beams >= 5:  # as many as there are names
            assert set(ids) == {"D1", "D2"}


def test_a_dictionary_of_one_name_always_gives_that(linker):
    one = linker.with_kb(KnowledgeBase.from_concepts([Concept("D1", ("Gout",))]))
    assert names(one) == [["Gout"]] * len(MENTIONS)


def test_a_model_in_training_links_without_dropout_and_goes_on_training(linker, model):
    expected = linker.link(MENTIONS)
    model.train()
    try:
        assert linker.link(MENTIONS) == expected
        assert model.training
    finally:
        model.eval()


def test_context_is_read_where_the_template_says_so(model, tokenizer, kb):
    near = GenerativeLinker(
        model, tokenizer, kb, template=replace(TEMPLATE, context_tokens=8), search=SearchSettings(name_tokens=30)
    )
    first, second = near.link([Mention.in_context("one ", "gout", " two"), Mention.in_context("three ", "gout", "")])
    assert [c.score for c in first.candidates] != [c.score for c in second.candidates]


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(linker, k):
    with pytest.raises(UsageError, match="expected at least 1"):
        linker.link(MENTIONS, k=k)


@pytest.mark.parametrize("setting", ["beams", "batch_size", "name_tokens"])
def test_search_settings_must_be_positive(setting):
    with pytest.raises(UsageError, match=f"{setting} is 0, expected at least 1"):
        SearchSettings(**{setting: 0})


# Dictionaries


def test_names_of_an_overlay_are_found(linker, kb):
    def score(over: KnowledgeBase) -> float:
        (prediction,) = with_search(linker.with_kb(over), beams=50).link(MENTIONS[:1], k=50)
        return next(candidate.score for candidate in prediction.candidates if candidate.concept_id == "D3")

    new = ["Zebra cough", "A", "Moth"]
    alone = [score(KnowledgeBase.from_concepts([Concept("D3", (name,))])) for name in new]
    assert max(alone) > score(kb)  # so that it is one of the new names that counts
    overlay = kb.overlay({"D3": [*new, "Silver fever"]})
    assert score(overlay) == pytest.approx(max(*alone, score(kb)), abs=1e-4)
    assert linker.with_kb(overlay).trie.n_names == linker.trie.n_names + 3  # "Silver fever" was a key before
    assert kb.key_index("Zebra cough") is None


def test_a_part_of_the_dictionary_can_be_linked_to(linker, kb):
    part = linker.with_kb(kb.subset(ids=["D2", "D6"]))
    assert {c.concept_id for p in part.link(MENTIONS) for c in p.candidates} == {"D2", "D6"}


def test_a_dictionary_with_other_keys_is_refused(linker):
    other = KnowledgeBase.from_concepts(CONCEPTS, normalisation=Normalisation(case=False))
    with pytest.raises(KnowledgeBaseError, match="Build the knowledge base with the same steps"):
        linker.with_kb(other)


def test_names_of_too_many_tokens_are_left_out_and_counted(linker, caplog):
    lengths = sorted(len(ids) + 1 for ids in linker.encoding.names([linker.kb.key(i) for i in range(linker.kb.n_keys)]))
    limit = lengths[len(lengths) // 2]
    fit = sum(length <= limit for length in lengths)
    with caplog.at_level(logging.WARNING):
        shorter = with_search(linker, name_tokens=limit)
    assert shorter.trie.n_names == fit
    assert shorter.trie.max_depth == limit
    assert f"{len(lengths) - fit} names of {limit} or more tokens are left out" in caplog.text
    with pytest.raises(KnowledgeBaseError, match="none of the 11 names has fewer than 1 tokens"):
        with_search(linker, name_tokens=1)


def test_a_tokenizer_that_cannot_tell_names_apart_is_refused(kb):
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    blind = PreTrainedTokenizerFast(tokenizer_object=words, **special)
    with pytest.raises(ModelError, match=r"the tokenizer cannot spell the names .* names with the same tokens"):
        build_trie(kb, Encoding(blind, TEMPLATE, kb.normalisation, 2), 30)


def test_a_template_that_does_not_fit_the_model_is_refused(model, tokenizer, kb):
    for template, name_tokens in ((replace(TEMPLATE, source_tokens=65), 30), (TEMPLATE, 44)):
        with pytest.raises(ModelError, match="but the model has 64 positions"):
            GenerativeLinker(model, tokenizer, kb, template=template, search=SearchSettings(name_tokens=name_tokens))
    GenerativeLinker(model, tokenizer, kb, template=TEMPLATE, search=SearchSettings(name_tokens=43))
