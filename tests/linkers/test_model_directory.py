"""A generative linker in a directory: opened as it was saved, and refused where its parts do not belong together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import CONCEPTS, MENTIONS, TEMPLATE
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from genlink.data.tokenizer import train_tokenizer
from genlink.errors import DataError, KnowledgeBaseError, ModelError
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import saved_template
from genlink.linkers.search_settings import SearchSettings
from genlink.preprocessing import Preprocessing
from genlink.schema import Concept
from genlink.templates import Template
from genlink.text import Normalisation
from genlink.trie import NameTrie


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of the saved model that may be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


def test_a_saved_linker_gives_the_same_predictions(linker, saved):
    opened = GenerativeLinker.load(saved)
    assert opened.link(MENTIONS) == linker.link(MENTIONS)
    assert (opened.template, opened.search, opened.preprocessing) == (
        *(linker.template, linker.search, linker.preprocessing),
    )
    assert opened.describe() == linker.describe()


def test_settings_are_saved_with_the_model(model, tokenizer, small_kb, tmp_path):
    template = replace(TEMPLATE, context_tokens=3, prefix="")
    search = SearchSettings(beams=2, batch_size=3, name_tokens=25)
    steps = Preprocessing(abbreviations=False, composites=True)
    given = {"template": template, "search": search, "preprocessing": steps}
    GenerativeLinker(model, tokenizer, small_kb, **given).save(tmp_path / "m")
    opened = GenerativeLinker.load(tmp_path / "m")
    assert (opened.template, opened.search, opened.preprocessing) == (template, search, steps)
    assert saved_template(tmp_path / "m") == template
    assert saved_template(tmp_path) is None


def test_a_saved_linker_is_a_plain_checkpoint_too(saved, model):
    plain = AutoModelForSeq2SeqLM.from_pretrained(saved)
    assert torch.equal(plain.lm_head.weight, model.lm_head.weight)
    assert AutoTokenizer.from_pretrained(saved).tokenize(" START") == ["ĠSTART"]


def test_any_checkpoint_can_be_tried_on_any_dictionary(tokenizer, small_kb, tmp_path):
    bart = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=128, seed=5)
    bart.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    linker = GenerativeLinker.from_checkpoint(str(tmp_path), small_kb, download=False)
    assert linker.template == Template()
    assert all(prediction.candidates for prediction in linker.link(MENTIONS))


def test_a_saved_linker_opens_over_another_dictionary(linker, saved):
    other = KnowledgeBase.from_concepts(CONCEPTS[1:3])
    assert GenerativeLinker.load(saved, kb=other).link(MENTIONS) == linker.with_kb(other).link(MENTIONS)
    with pytest.raises(KnowledgeBaseError, match="same steps"):
        GenerativeLinker.load(saved, kb=KnowledgeBase.from_concepts(CONCEPTS, normalisation=Normalisation(case=False)))


def test_a_linker_over_an_overlay_is_saved_and_opened(linker, small_kb, tmp_path):
    overlay = linker.with_kb(small_kb.overlay({"D3": ["Aardvark cough"], "D6": ["Moth lung"]}))
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
def test_a_part_of_another_model_is_refused(copy, tokenizer, part, width, problem):
    # As many tokens, other ones.
    other = train_tokenizer(["the name of quite another thing"] * 9, len(tokenizer), ["START", "END", "is"])
    swap(part, copy, CONCEPTS[:3], other if part == "tokenizer.json" else tokenizer, width)
    with pytest.raises(ModelError, match=problem) as caught:
        GenerativeLinker.load(copy)
    assert "\n" not in str(caught.value)


def test_another_dictionary_mends_a_swapped_one(copy, tokenizer, linker, small_kb):
    swap("kb trie", copy, CONCEPTS[:3], tokenizer)
    with pytest.raises(ModelError, match="give the wanted one with --kb"):
        GenerativeLinker.load(copy)
    assert GenerativeLinker.load(copy, kb=small_kb).link(MENTIONS) == linker.link(MENTIONS)


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
