"""The generative linker: names of the dictionary under a BART, and a model directory whose parts belong together."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import CONCEPTS, MENTIONS, TEMPLATE, names, with_search
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast

from genlink.data.encoding import Encoding
from genlink.data.tokenizer import train_tokenizer
from genlink.errors import DataError, KnowledgeBaseError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker, build_trie
from genlink.linkers.model_directory import saved_template
from genlink.linkers.search_settings import SearchSettings
from genlink.preprocessing import Preprocessing
from genlink.schema import Concept, Document, Mention
from genlink.templates import Template
from genlink.text import Normalisation
from genlink.trie import NameTrie


@pytest.fixture(scope="module")
def kb(small_kb):
    return small_kb


@pytest.fixture(scope="module")
def saved(linker, tmp_path_factory):
    directory = tmp_path_factory.mktemp("models") / "model"
    linker.save(directory)
    return directory


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of the saved model that may be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


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


# Saved and opened


def test_a_saved_linker_gives_the_same_predictions(linker, saved):
    opened = GenerativeLinker.load(saved)
    assert opened.link(MENTIONS) == linker.link(MENTIONS)
    assert (opened.template, opened.search, opened.preprocessing) == (
        *(linker.template, linker.search, linker.preprocessing),
    )
    assert opened.describe() == linker.describe()


def test_settings_are_saved_with_the_model(model, tokenizer, kb, tmp_path):
    template = replace(TEMPLATE, context_tokens=3, prefix="")
    search = SearchSettings(beams=2, batch_size=3, name_tokens=25)
    steps = Preprocessing(abbreviations=False, composites=True)
    GenerativeLinker(model, tokenizer, kb, template=template, search=search, preprocessing=steps).save(tmp_path / "m")
    opened = GenerativeLinker.load(tmp_path / "m")
    assert (opened.template, opened.search, opened.preprocessing) == (template, search, steps)
    assert saved_template(tmp_path / "m") == template
    assert saved_template(tmp_path) is None


def test_a_saved_linker_is_a_plain_checkpoint_too(saved, model, kb):
    plain = AutoModelForSeq2SeqLM.from_pretrained(saved)
    assert torch.equal(plain.lm_head.weight, model.lm_head.weight)
    assert AutoTokenizer.from_pretrained(saved).tokenize(" START") == ["ĠSTART"]


def test_any_checkpoint_can_be_tried_on_any_dictionary(tokenizer, kb, tmp_path):
    bart = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=128, seed=5)
    bart.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    linker = GenerativeLinker.from_checkpoint(str(tmp_path), kb, download=False)
    assert linker.template == Template()
    assert all(prediction.candidates for prediction in linker.link(MENTIONS))


def test_a_saved_linker_opens_over_another_dictionary(linker, saved, kb):
    other = KnowledgeBase.from_concepts(CONCEPTS[1:3])
    assert GenerativeLinker.load(saved, kb=other).link(MENTIONS) == linker.with_kb(other).link(MENTIONS)
    with pytest.raises(KnowledgeBaseError, match="same steps"):
        GenerativeLinker.load(saved, kb=KnowledgeBase.from_concepts(CONCEPTS, normalisation=Normalisation(case=False)))


def test_a_linker_over_an_overlay_is_saved_and_opened(linker, kb, tmp_path):
    overlay = linker.with_kb(kb.overlay({"D3": ["Aardvark cough"], "D6": ["Moth lung"]}))
    overlay.save(tmp_path / "model")
    opened = GenerativeLinker.load(tmp_path / "model")
    assert opened.kb.concept_ids("aardvark cough") == ("D3",)
    assert opened.link(MENTIONS) == overlay.link(MENTIONS)


def test_published_generation_settings_change_nothing(linker, saved, copy):
    settings = {
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "no_repeat_ngram_size": 3,
        "num_beams": 4,
        "early_stopping": True,
        "length_penalty": 2.0,
        "min_length": 20,
        "max_length": 3,
    }
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | settings))
    (copy / "generation_config.json").write_text(json.dumps(settings))
    forget_hashes(copy)
    opened = GenerativeLinker.load(copy)
    assert opened.link(MENTIONS) == linker.link(MENTIONS)
    opened.save(copy)  # such settings in a configuration make saving fail, if they are kept
    assert GenerativeLinker.load(copy).link(MENTIONS) == linker.link(MENTIONS)


def forget_hashes(directory: Path) -> None:
    """Make a directory one that was saved before there were hashes of files."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest.pop("files", None)
    (directory / "manifest.json").write_text(json.dumps(manifest))


def swap(parts: str, directory: Path, concepts: list[Concept], tokenizer, width: int = 16) -> None:
    """Put parts of another linker in the place of the same parts of this one."""
    bart = fresh_bart(tokenizer, width=width, encoder_layers=1, decoder_layers=1, heads=2, max_positions=64, seed=5)
    other = KnowledgeBase.from_concepts(concepts)
    search = SearchSettings(name_tokens=30)
    GenerativeLinker(bart, tokenizer, other, template=TEMPLATE, search=search).save(directory.parent / "other")
    for name in parts.split():
        target, source = directory / name, directory.parent / "other" / name
        if target.is_dir():
            shutil.rmtree(target)
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    forget_hashes(directory)


@pytest.mark.parametrize(
    ("part", "width", "problem"),
    [
        ("tokenizer.json", 16, "the tokenizer is not the one that the names were spelled with"),
        ("kb", 16, "kb/ is not the knowledge base that the trie was built from"),
        ("trie", 16, "trie/ was not built from kb/"),
        ("config.json model.safetensors", 32, "the weights are of a model of another size"),
        ("model.safetensors", 32, "the weights are not those of the BART in config.json"),
    ],
)
def test_a_part_of_another_model_is_refused(copy, kb, tokenizer, part, width, problem):
    # As many tokens, other ones.
    other = train_tokenizer(["the name of quite another thing"] * 9, len(tokenizer), ["START", "END", "is"])
    swap(part, copy, CONCEPTS[:3], other if part == "tokenizer.json" else tokenizer, width)
    with pytest.raises(ModelError, match=problem) as caught:
        GenerativeLinker.load(copy)
    assert "\n" not in str(caught.value)


def test_another_dictionary_mends_a_swapped_one(copy, tokenizer, linker, kb):
    swap("kb trie", copy, CONCEPTS[:3], tokenizer)
    with pytest.raises(ModelError, match="give the wanted one with --kb"):
        GenerativeLinker.load(copy)
    assert GenerativeLinker.load(copy, kb=kb).link(MENTIONS) == linker.link(MENTIONS)


def test_a_directory_without_a_manifest_is_no_model(copy):
    (copy / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"has no manifest\.json, so it is not a complete generative linker"):
        GenerativeLinker.load(copy)
    with pytest.raises(DataError, match="no such directory"):
        GenerativeLinker.load(copy / "none")


@pytest.mark.parametrize("part", ["kb", "trie"])
def test_a_missing_part_is_an_error_of_the_data(copy, part):
    shutil.rmtree(copy / part)
    with pytest.raises(DataError, match=part):
        GenerativeLinker.load(copy)


def test_an_old_model_survives_a_failing_save(linker, copy, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(NameTrie, "save", full)
    other = linker.with_kb(KnowledgeBase.from_concepts(CONCEPTS[:1]))
    with pytest.raises(OSError, match="No space left"):
        other.save(copy)
    assert [path.name for path in copy.parent.iterdir()] == ["model"]
    assert GenerativeLinker.load(copy).link(MENTIONS) == linker.link(MENTIONS)


def test_a_model_is_replaced_but_other_files_are_not(linker, copy, tmp_path):
    linker.save(copy)
    GenerativeLinker.load(copy)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").touch()
    with pytest.raises(ModelError, match=r"holds other files, which saving a generative linker .*would delete"):
        linker.save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").exists()
    (tmp_path / "empty").mkdir()
    linker.save(tmp_path / "empty")


def test_a_linker_in_bfloat16_ranks_much_alike(saved):
    exact, rough = GenerativeLinker.load(saved), GenerativeLinker.load(saved).to("cpu", "bf16")
    assert rough.describe()["precision"] == "bf16"
    for a, b in zip(exact.link(MENTIONS, k=1), rough.link(MENTIONS, k=1), strict=True):
        assert b.candidates[0].score == pytest.approx(a.candidates[0].score, rel=0.15)
