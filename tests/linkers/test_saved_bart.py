"""A saved generator is opened without transformers, answers as with it, and stays a checkpoint that it reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import MENTIONS
from transformers import AutoTokenizer, BartForConditionalGeneration

from genlink.data.tokenizer import FileTokenizer, tokenizer_hash
from genlink.decoding.bart import Bart
from genlink.errors import ModelError
from genlink.linkers.bart import load_bart
from genlink.linkers.generative import GenerativeLinker

HEAVY = {"transformers", "scipy", "sklearn", "pandas", "pyarrow", "datasets", "matplotlib", "accelerate"}
TEXTS = [" silver fever", "x", " α/β  ", " <mask> and </s>", "<s>", " 病", "\u0301", " " * 5, " it's 12.5%"]


@pytest.fixture
def copy(saved, tmp_path):
    """A copy that may be changed: its manifest, like those of older versions, has no hashes."""
    directory = Path(shutil.copytree(saved, tmp_path / "model"))
    edit(directory / "manifest.json", files={})
    return directory


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def same_answers(a: GenerativeLinker, b: GenerativeLinker, tolerance: float = 1e-4) -> None:
    for first, second in zip(a.link(MENTIONS), b.link(MENTIONS), strict=True):
        assert [c.concept_id for c in first.candidates] == [c.concept_id for c in second.candidates]
        assert [c.score for c in first.candidates] == pytest.approx([c.score for c in second.candidates], abs=tolerance)


def test_a_loaded_linker_answers_as_the_one_that_was_saved(linker, saved):
    loaded = GenerativeLinker.load(saved)
    assert isinstance(loaded.model, Bart) and isinstance(loaded.tokenizer, FileTokenizer)
    same_answers(loaded, linker)
    same_answers(loaded.with_model(load_bart(str(saved), download=False)[0]), linker)


def test_linking_a_text_imports_no_library_of_training_or_evaluation(saved):
    program = f"""
import sys
from genlink.cli.app import main
for text in ("Signs of [[silver fever]].", "The moth lung was seen."):
    sys.argv = ["genlink", "link", {str(saved)!r}, "--device", "cpu", "--text", text]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, stop.code
print(sorted({HEAVY} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "silver fever" in done.stdout and "moth lung" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_saved_again_it_is_still_a_checkpoint_of_transformers(linker, saved, tmp_path):
    again = tmp_path / "again"
    GenerativeLinker.load(saved).save(again)
    model, report = BartForConditionalGeneration.from_pretrained(again, output_loading_info=True)
    assert not any(report.values())
    for name, tensor in linker.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.config.to_diff_dict() == linker.model.config.to_diff_dict() | {"dtype": "float32"}
    assert model.generation_config.forced_eos_token_id is None
    tokenizer = AutoTokenizer.from_pretrained(again)
    assert tokenizer(TEXTS)["input_ids"] == linker.tokenizer(TEXTS)["input_ids"]
    assert tokenizer.all_special_tokens == linker.tokenizer.all_special_tokens
    same_answers(GenerativeLinker.load(again), linker)
    entries = [json.loads((place / "manifest.json").read_text()) for place in (saved, again)]
    assert [sorted(e["files"]) for e in entries] == [sorted(entries[0]["files"])] * 2
    assert [e["parameters"] for e in entries] == [linker.model.num_parameters()] * 2


def test_half_the_precision_is_half_the_file_and_opens_in_float32(linker, saved, tmp_path):
    half = GenerativeLinker.load(saved)
    half.model.half()
    half.save(tmp_path / "half")
    sizes = [(place / "model.safetensors").stat().st_size for place in (saved, tmp_path / "half")]
    assert 0.45 < sizes[1] / sizes[0] < 0.6
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "float16"
    loaded = GenerativeLinker.load(tmp_path / "half")
    assert isinstance(loaded.model, Bart) and loaded.model.dtype == torch.float32
    rounded, _ = load_bart(str(tmp_path / "half"), download=False)
    same_answers(loaded, linker.with_model(rounded))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_another_precision_answers_as_that_of_a_model_of_transformers(saved, precision):
    loaded = GenerativeLinker.load(saved)
    peer = loaded.with_model(load_bart(str(saved), download=False)[0]).to("cpu", precision)
    same_answers(loaded.to("cpu", precision), peer)
    assert loaded.describe() == peer.describe()
    assert loaded.describe()["precision"] == precision


def test_a_model_in_int8_is_not_saved(saved, tmp_path):
    with pytest.raises(ModelError, match="int8 cannot be saved"):
        GenerativeLinker.load(saved).to("cpu", "int8").save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


# The tokenizer


def test_a_tokenizer_that_was_read_spells_as_that_of_transformers(tokenizer, saved):
    read = FileTokenizer.read(saved)
    assert read is not None
    expected = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert read(TEXTS, add_special_tokens=False)["input_ids"] == expected
    assert tokenizer_hash(read) == tokenizer_hash(tokenizer)
    assert len(read) == len(tokenizer)
    for role in ("bos", "eos", "cls", "sep", "pad"):
        assert getattr(read, f"{role}_token_id") == getattr(tokenizer, f"{role}_token_id")


def test_padding_and_truncation_that_a_file_asks_for_are_not_done(copy, tokenizer):
    backend = FileTokenizer.read(copy).backend_tokenizer
    backend.enable_padding(length=30)
    backend.enable_truncation(2)
    backend.save(str(copy / "tokenizer.json"))
    assert json.loads((copy / "tokenizer.json").read_text())["truncation"]
    expected = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert FileTokenizer.read(copy)(TEXTS, add_special_tokens=False)["input_ids"] == expected


def test_a_special_token_may_be_described_at_length(copy):
    edit(copy / "tokenizer_config.json", eos_token={"content": "</s>", "lstrip": False})
    assert FileTokenizer.read(copy).eos_token_id == GenerativeLinker.load(copy).encoding.end


# What is not of the plain form


def silu(directory: Path) -> None:
    edit(directory / "config.json", activation_function="silu")


def scaled(directory: Path) -> None:
    edit(directory / "config.json", scale_embedding=True)


def untied(directory: Path) -> None:
    path = directory / "model.safetensors"
    weights = load_file(path)
    shared = weights["model.shared.weight"]
    names = ("lm_head", "model.encoder.embed_tokens", "model.decoder.embed_tokens")
    save_file({**weights, **{f"{name}.weight": shared.clone() for name in names}}, path, metadata={"format": "pt"})


def sharded(directory: Path) -> None:
    model, _ = load_bart(str(directory), download=False)
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="8KB")
    assert (directory / "model.safetensors.index.json").exists()


def without_settings_of_the_tokenizer(directory: Path) -> None:
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    tokens = {key: value for key, value in settings.items() if key.endswith("_token")}
    (directory / "special_tokens_map.json").write_text(json.dumps(tokens))
    others = {key: value for key, value in settings.items() if key not in tokens}
    (directory / "tokenizer_config.json").write_text(json.dumps(others))


@pytest.mark.parametrize("change", [silu, scaled, untied, sharded, without_settings_of_the_tokenizer])
def test_what_is_not_of_the_plain_form_is_opened_by_transformers(linker, copy, change):
    change(copy)
    loaded = GenerativeLinker.load(copy)
    assert isinstance(loaded.model, BartForConditionalGeneration)
    model, _ = load_bart(str(copy), download=False)
    same_answers(loaded, linker.with_model(model))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_what_cannot_be_read_is_named_as_by_the_loader_of_checkpoints(copy, name):
    (copy / name).write_text("{")
    with pytest.raises(ModelError) as expected:
        load_bart(str(copy), download=False)
    with pytest.raises(ModelError) as found:
        GenerativeLinker.load(copy)
    assert str(found.value) == str(expected.value)
