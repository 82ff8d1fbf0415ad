"""An encoder gives every text one vector, whatever it is computed with, and comes back as it was saved."""

from __future__ import annotations

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_encoders import NAMES, small_encoder
from transformers import (
    BartConfig,
    BartModel,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2Model,
    ViTConfig,
    ViTModel,
    XLNetConfig,
    XLNetModel,
)

from genlink.encoders.encoder import SETTINGS, TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.errors import ModelError, UsageError

TEXTS = [*NAMES, "fever", "salt", "silver bone disease of the glass lung"]


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("encoder")
    encoder.save(directory)
    return directory


@pytest.fixture
def checkpoint(saved, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


# From scratch


def test_the_wordpiece_is_a_function_of_the_texts_and_spells_all_of_them():
    first, second, third = (train_wordpiece(names, 90) for names in (NAMES, NAMES, NAMES[::-1]))
    assert first.get_vocab() == second.get_vocab() == third.get_vocab()
    assert len(first) == 90
    pieces = first("Silver FEVER")["input_ids"]
    assert first.convert_ids_to_tokens(pieces)[0] == "[CLS]"
    assert first.convert_ids_to_tokens(pieces)[-1] == "[SEP]"
    assert first.unk_token_id not in {piece for name in NAMES for piece in first(name)["input_ids"]}
    assert first.unk_token_id in first("ωmega")["input_ids"]


def test_fresh_weights_are_a_function_of_seed_and_shape():
    tokenizer = train_wordpiece(NAMES, 90)
    shape = {"width": 16, "layers": 1, "heads": 2, "max_positions": 32}
    before = torch.get_rng_state()
    first = fresh_bert(tokenizer, **shape, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's random numbers are used up
    torch.manual_seed(99)
    second, third = (fresh_bert(tokenizer, **shape, seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


# Vectors


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("unit_length", [False, True])
def test_a_vector_is_the_pooled_state_of_the_text_alone(pooling, unit_length):
    encoder = small_encoder(pooling=pooling, unit_length=unit_length)
    together = encoder.embed(TEXTS, batch_size=4)
    for text, vector in zip(TEXTS, together, strict=True):
        with torch.no_grad():
            states = encoder.model(input_ids=torch.tensor([encoder.tokenizer(text)["input_ids"]])).last_hidden_state[0]
        expected = states[0] if pooling == "cls" else states.mean(dim=0)
        if unit_length:
            expected = expected / expected.norm()
        torch.testing.assert_close(vector, expected, rtol=1e-4, atol=1e-5)


def test_a_vector_does_not_depend_on_batch_or_order(encoder):
    whole = encoder.embed(TEXTS)
    for batch_size in (1, 2, 3, 100):
        torch.testing.assert_close(encoder.embed(TEXTS, batch_size), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.embed(TEXTS[::-1], 4), whole.flip(0), rtol=1e-4, atol=1e-5)
    assert (whole[0] - whole[1]).abs().max() > 0.1


def test_embedding_has_no_dropout_and_leaves_training_as_it_was():
    encoder = small_encoder()
    encoder.model.train()
    assert torch.equal(encoder.embed(TEXTS), encoder.embed(TEXTS))
    assert encoder.model.training
    first, second = encoder.forward_texts(TEXTS), encoder.forward_texts(TEXTS)
    assert not torch.equal(first, second)
    first.sum().backward()
    assert encoder.model.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_no_text_has_no_vector(encoder):
    assert encoder.embed([]).shape == (0, 16)
    assert encoder.embed([""]).shape == (1, 16)


def test_a_text_over_the_limit_is_cropped_and_this_is_said_once(caplog):
    encoder = small_encoder(max_tokens=6)
    long = "salt " * 4
    with caplog.at_level(logging.WARNING):
        vectors = encoder.embed([long + "fever", long, "salt " * 20, "salt"])
        encoder.embed(["salt " * 9])
    assert torch.equal(vectors[0], vectors[1])
    assert encoder.cropped == 3  # `long` has four tokens and two special ones
    assert [record.getMessage() for record in caplog.records] == [
        f"a text has more than 6 tokens and is read as far as these go, as all such texts are: {long}fever"
    ]


@pytest.mark.parametrize(("settings", "said"), [({"max_tokens": 33}, "3 to 32"), ({"max_tokens": 2}, "3 to 32")])
def test_a_limit_that_the_model_cannot_have_is_refused(settings, said):
    with pytest.raises(ModelError, match=said):
        small_encoder(**settings)


def test_an_unknown_pooling_and_an_empty_batch_are_refused(encoder):
    with pytest.raises(ModelError, match="expected one of cls, mean"):
        small_encoder(pooling="max")
    with pytest.raises(UsageError, match="at least 1"):
        encoder.embed(TEXTS, batch_size=0)


# Saved and loaded


def test_a_saved_encoder_comes_back_with_its_settings(tmp_path):
    encoder = small_encoder(pooling="mean", max_tokens=9, unit_length=True)
    encoder.save(tmp_path)
    loaded = TextEncoder.from_pretrained(tmp_path)
    assert loaded.settings == {"pooling": "mean", "max_tokens": 9, "unit_length": True}
    assert torch.equal(loaded.embed(TEXTS), encoder.embed(TEXTS))
    assert loaded.digest == encoder.digest
    other = TextEncoder.from_pretrained(tmp_path, pooling="cls", max_tokens=5, unit_length=False)
    assert other.settings == {"pooling": "cls", "max_tokens": 5, "unit_length": False}


def test_the_digest_follows_weights_tokenizer_and_settings(encoder):
    digests = [encoder.digest, small_encoder(pooling="mean").digest, small_encoder(max_tokens=9).digest]
    digests += [small_encoder(unit_length=True).digest, small_encoder(seed=1).digest]
    relabelled = small_encoder()
    vocab = relabelled.tokenizer.get_vocab()
    assert "sa" not in vocab
    relabelled.tokenizer.add_tokens(["sa"])
    digests.append(relabelled.digest)
    assert len(set(digests)) == len(digests)
    used = small_encoder()
    used.embed(TEXTS)
    assert used.digest == encoder.digest  # what is left over from a call is no setting


def test_published_layouts_are_the_same_encoder(encoder, checkpoint, tmp_path):
    """As SapBERT was published: a BERT with a pooler, and vocab.txt; as masked language models are: with a prefix."""
    expected = encoder.embed(TEXTS)
    (checkpoint / SETTINGS).unlink()
    weights = load_file(checkpoint / "model.safetensors")
    with_pooler = BertModel(encoder.model.config)
    with_pooler.load_state_dict(weights, strict=False)
    with_pooler.save_pretrained(checkpoint)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (checkpoint / name).unlink()
    vocab = sorted(encoder.tokenizer.get_vocab().items(), key=lambda item: item[1])
    (checkpoint / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocab))
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    loaded = TextEncoder.from_pretrained(checkpoint)
    assert torch.equal(loaded.embed(TEXTS), expected)
    assert loaded.pooling == "cls"

    prefixed = BertForMaskedLM(encoder.model.config)
    prefixed.bert.load_state_dict(weights)
    prefixed.save_pretrained(checkpoint)
    assert torch.equal(TextEncoder.from_pretrained(checkpoint).embed(TEXTS), expected)

    named = shutil.copytree(checkpoint, tmp_path / "SapBERT-from-PubMedBERT-fulltext-mean-token")
    assert TextEncoder.from_pretrained(named).pooling == "mean"


def test_weights_of_the_older_form_are_read_as_tensors_alone(encoder, checkpoint):
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    assert torch.equal(TextEncoder.from_pretrained(checkpoint).embed(TEXTS), encoder.embed(TEXTS))


class _Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_with_code_in_it_is_refused_and_not_executed(checkpoint, capsys):
    weights = load_file(checkpoint / "model.safetensors")
    torch.save({**weights, "evil": _Evil()}, checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no encoder and tokenizer could be loaded"):
        TextEncoder.from_pretrained(checkpoint)
    assert "executed" not in capsys.readouterr().out


def test_code_that_a_checkpoint_brings_is_neither_run_nor_asked_about(checkpoint, monkeypatch):
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "strange.C", "AutoModel": "strange.M"}}
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "strange.py").write_text("raise SystemExit('executed')")
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "y")
    with pytest.raises(ModelError, match="no encoder and tokenizer could be loaded"):
        TextEncoder.from_pretrained(checkpoint)
    assert not asked


def pooled(*modes, normalised=False):
    """What sentence-transformers writes beside a checkpoint."""

    def write(directory):
        (directory / SETTINGS).unlink()
        (directory / "1_Pooling").mkdir()
        known = ("cls_token", "mean_tokens", "max_tokens")
        config = {"word_embedding_dimension": 16, **{f"pooling_mode_{mode}": mode in modes for mode in known}}
        (directory / "1_Pooling" / "config.json").write_text(json.dumps(config))
        names = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
        modules = [{"idx": i, "type": f"sentence_transformers.models.{name}"} for i, name in enumerate(names)]
        (directory / "modules.json").write_text(json.dumps(modules))

    return write


@pytest.mark.parametrize(
    ("write", "name", "pooling", "unit_length", "is_said"),
    [
        (pooled("mean_tokens", normalised=True), "mine", "mean", True, False),
        (pooled("cls_token"), "SapBERT-from-PubMedBERT-fulltext-mean-token", "cls", False, False),
        (pooled("max_tokens"), "mine", "cls", False, True),
        (lambda d: (d / SETTINGS).unlink(), "SapBERT-from-PubMedBERT-fulltext", "cls", False, False),
        (lambda d: (d / SETTINGS).unlink(), "mine", "cls", False, True),
        (lambda d: None, "mine", "cls", False, False),
    ],
)
def test_pooling_is_what_the_files_say_or_the_name_and_else_it_is_said(
    checkpoint, caplog, write, name, pooling, unit_length, is_said
):
    directory = checkpoint.rename(checkpoint.with_name(name))
    write(directory)
    encoder = TextEncoder.from_pretrained(directory)
    assert (encoder.pooling, encoder.unit_length) == (pooling, unit_length)
    assert ("that of the first token is taken" in caplog.text) == is_said
    caplog.clear()
    assert TextEncoder.from_pretrained(directory, pooling="mean").pooling == "mean"
    assert not caplog.records


def is_a_bart(directory):
    BartModel(BartConfig(vocab_size=90, d_model=16, encoder_layers=1, decoder_layers=1)).save_pretrained(directory)


def is_a_gpt(directory):
    GPT2Model(GPT2Config(vocab_size=90, n_embd=16, n_layer=1, n_head=2)).save_pretrained(directory)
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))


def is_a_vit(directory):
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**shape, image_size=16), add_pooling_layer=False).save_pretrained(directory)


def is_an_xlnet(directory):
    XLNetModel(XLNetConfig(vocab_size=90, d_model=16, n_layer=1, n_head=2, d_inner=16)).save_pretrained(directory)


def has_a_slow_tokenizer(directory):
    (directory / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "CanineTokenizer", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))


def lacks_a_weight(directory):
    weights = load_file(directory / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layer.1." not in name}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (is_a_bart, "is a bart model, expected an encoder"),
        (is_a_gpt, "the gpt2 there is no text encoder that can be used: it has no padding token"),
        (is_a_vit, "the vit there is no text encoder that can be used: it has no vocabulary"),
        (is_an_xlnet, "the xlnet there is no text encoder that can be used: it has no limit of its positions"),
        (has_a_slow_tokenizer, "the bert there is no text encoder that can be used: it has no tokenizer.json"),
        (lambda d: (d / "modules.json").write_text("[1]"), "not of sentence-transformers"),
        (lacks_a_weight, "the weights are not those of the bert in config.json"),
        (lambda d: (d / "model.safetensors").unlink(), "no encoder and tokenizer could be loaded"),
        (lambda d: (d / "model.safetensors").write_bytes(b"\0" * 40), "no encoder and tokenizer could be loaded"),
        (lambda d: (d / "config.json").write_text("{}"), "is no model, expected an encoder"),
        (
            lambda d: train_wordpiece([*NAMES, *NAMES[::-1], "quite other words"], 500).save_pretrained(d),
            "do not belong together",
        ),
        (lambda d: (d / SETTINGS).write_text('{"pooling": "cls"}'), "expected pooling"),
    ],
)
def test_what_is_no_encoder_is_told_in_one_line(checkpoint, spoil, said):
    spoil(checkpoint)
    with pytest.raises(ModelError) as told:
        TextEncoder.from_pretrained(checkpoint)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_name_that_leads_nowhere_is_told_in_one_line():
    with pytest.raises(ModelError, match="neither a directory nor a model"):
        TextEncoder.from_pretrained("nobody/no-such-encoder", download=False)


def test_a_name_leads_to_what_the_hub_has_left_here(encoder, checkpoint, tmp_path, monkeypatch):
    snapshot = tmp_path / "hub" / "models--somebody--encoder" / "snapshots" / ("0" * 40)
    shutil.copytree(checkpoint, snapshot)
    refs = tmp_path / "hub" / "models--somebody--encoder" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    loaded = TextEncoder.from_pretrained("somebody/encoder", download=False)
    assert torch.equal(loaded.embed(TEXTS), encoder.embed(TEXTS))
