"""BART checkpoints: fresh ones, those of others in all their forms, and everything that is none, told in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, T5Config, T5ForConditionalGeneration

from genlink.data.tokenizer import tokenizer_hash, train_tokenizer
from genlink.errors import ModelError
from genlink.linkers.bart import fresh_bart, load_bart, set_dropout

NAMES = ["silver fever", "salt fever", "glass bone disease", "tidal colic"]
SHAPE = {"width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "max_positions": 64}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(NAMES, 300, ["START", "END", "is"])


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    """A checkpoint as transformers writes it today."""
    directory = tmp_path_factory.mktemp("bart")
    fresh_bart(tokenizer, **SHAPE, seed=0).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def checkpoint(saved, tmp_path):
    """A copy of it that may be spoilt."""
    return shutil.copytree(saved, tmp_path / "model")


def edit_json(path: Path, remove: tuple[str, ...] = (), **changes: object) -> None:
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if key not in remove}))


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Fresh


def test_fresh_weights_are_a_function_of_seed_and_shape(tokenizer):
    before = torch.get_rng_state()
    first = fresh_bart(tokenizer, **SHAPE, seed=3)
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's random numbers are used up
    torch.manual_seed(99)
    assert same_weights(first, fresh_bart(tokenizer, **SHAPE, seed=3))
    assert not same_weights(first, fresh_bart(tokenizer, **SHAPE, seed=4))


def test_a_fresh_bart_has_the_shape_and_the_special_tokens_of_its_tokenizer(tokenizer):
    config = fresh_bart(tokenizer, **SHAPE, seed=0).config
    assert (config.vocab_size, config.d_model, config.encoder_ffn_dim) == (300, 16, 64)
    assert (config.bos_token_id, config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (
        0,
        1,
        2,
        2,
    )


@pytest.mark.parametrize("kept_as", [0.1, 0, 1])
def test_dropout_is_set_for_every_layer_whatever_number_the_checkpoint_holds(checkpoint, kept_as):
    edit_json(checkpoint / "config.json", dropout=kept_as, attention_dropout=kept_as, activation_dropout=kept_as)
    model, _ = load_bart(str(checkpoint))
    model.train()
    inputs = {"input_ids": torch.tensor([[0, 5, 2]]), "decoder_input_ids": torch.tensor([[2, 7]])}

    def draws() -> int:
        return len({float(model(**inputs).logits.detach().sum()) for _ in range(4)})

    set_dropout(model, 0.0)
    assert draws() == 1
    set_dropout(model, 0.5)
    assert draws() == 4
    assert (model.config.dropout, model.config.attention_dropout, model.config.activation_dropout) == (0.5, 0.5, 0.0)


# Loaded


def test_a_saved_bart_comes_back(saved, tokenizer):
    model, loaded = load_bart(str(saved))
    assert same_weights(model, fresh_bart(tokenizer, **SHAPE, seed=0))
    assert tokenizer_hash(loaded) == tokenizer_hash(tokenizer)


def to_the_form_of_bart_large(directory: Path, tokenizer, tokenizer_class: str | None) -> None:
    """Rewrite a checkpoint as facebook/bart-large was published: the bare model, many a key that nobody reads now."""
    edit_json(
        directory / "config.json",
        remove=("dtype", "tie_word_embeddings"),
        architectures=["BartModel"],
        add_bias_logits=False,
        add_final_layer_norm=False,
        classif_dropout=0.1,
        early_stopping=True,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        gradient_checkpointing=False,
        no_repeat_ngram_size=3,
        normalize_before=False,
        num_beams=4,
        num_hidden_layers=1,
        task_specific_params={"summarization": {"length_penalty": 1.0, "max_length": 128, "min_length": 12}},
        torch_dtype="float32",
        transformers_version="4.7.0.dev0",
    )
    (directory / "generation_config.json").unlink()
    weights = load_file(directory / "model.safetensors")
    bare = {n.removeprefix("model."): w for n, w in weights.items() if n.startswith("model.")}
    for half in ("encoder", "decoder"):
        bare[f"{half}.version"] = torch.tensor([3.0])
    save_file(bare, directory / "model.safetensors", metadata={"format": "pt"})

    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).unlink()
    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (directory / "vocab.json").write_text(json.dumps(bpe["vocab"]))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in bpe["merges"]))
    if tokenizer_class is not None:
        (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))


@pytest.mark.parametrize("tokenizer_class", ["BartTokenizer", "RobertaTokenizer", None])
def test_a_checkpoint_in_the_form_of_bart_large_is_the_same_model(checkpoint, tokenizer, tokenizer_class):
    to_the_form_of_bart_large(checkpoint, tokenizer, tokenizer_class)
    model, loaded = load_bart(str(checkpoint))
    assert same_weights(model, fresh_bart(tokenizer, **SHAPE, seed=0))
    assert (loaded.bos_token_id, loaded.pad_token_id, loaded.eos_token_id) == (0, 1, 2)
    for text in (" silver fever", " START glassy END"):
        assert loaded.tokenize(text) == tokenizer.tokenize(text)


def test_nothing_is_left_of_published_generation_settings(checkpoint, tokenizer):
    to_the_form_of_bart_large(checkpoint, tokenizer, None)
    (checkpoint / "generation_config.json").write_text(json.dumps({"num_beams": 4, "forced_bos_token_id": 0}))
    settings = load_bart(str(checkpoint))[0].generation_config.to_diff_dict()
    assert settings.keys() <= {
        *("bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id", "transformers_version")
    }


# Refused


def empty(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()


def is_t5(directory: Path) -> None:
    config = T5Config(vocab_size=300, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(directory)


def is_bert(directory: Path) -> None:
    size = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 16}
    config = BertConfig(num_hidden_layers=1, num_attention_heads=2, **size)
    BertModel(config).save_pretrained(directory)


def is_pickled(directory: Path) -> None:
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()


def is_truncated(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lacks_the_decoder(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "decoder" not in name}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})


def lacks_its_tokenizer(directory: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).unlink()


def has_another_tokenizer(directory: Path) -> None:
    train_tokenizer([*NAMES, "brittle bones"], 304).save_pretrained(directory)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (empty, "is no model, expected bart"),
        (is_t5, "is a t5 model, expected bart"),
        (is_bert, "is a bert model, expected bart"),
        (is_pickled, "no file named model.safetensors"),
        (is_truncated, "incomplete metadata, file not fully covered"),
        (lacks_the_decoder, "model.decoder.embed_positions.weight and 28 more are missing or of another shape"),
        (lacks_its_tokenizer, "a tokenizer of 5 tokens and a model of 300 do not belong together"),
        (has_another_tokenizer, "a tokenizer of 304 tokens and a model of 300 do not belong together"),
        (lambda d: (d / "config.json").unlink(), "is no model, expected bart"),
        (lambda d: (d / "config.json").write_text("{"), "not a valid JSON file"),
        (lambda d: (d / "tokenizer.json").write_text("{}"), "no BART with safetensors weights and a tokenizer"),
        (lambda d: edit_json(d / "config.json", d_model=32), "more are missing or of another shape"),
        (lambda d: edit_json(d / "config.json", encoder_layers=2), "and 15 more are missing"),
        (lambda d: edit_json(d / "config.json", d_model="wide"), "Field 'd_model' expected int, got str"),
        (lambda d: edit_json(d / "config.json", model_type="mbart"), "is a mbart model, expected bart"),
    ],
)
def test_what_is_no_whole_bart_is_refused_in_one_line(checkpoint, capfd, spoil, problem):
    spoil(checkpoint)
    capfd.readouterr()
    with pytest.raises(ModelError) as caught:
        load_bart(str(checkpoint))
    message = str(caught.value)
    assert message.startswith(f"{checkpoint}: ")
    assert problem in message
    assert "\n" not in message
    # transformers has its own reports, of up to a hundred lines.
    assert "MISSING" not in "".join(capfd.readouterr())


def test_a_directory_that_does_not_exist_is_refused_without_asking_the_hub():
    with pytest.raises(ModelError, match=r"runs/a/model: no BART .* Give a directory that holds"):
        load_bart("runs/a/model", download=False)
