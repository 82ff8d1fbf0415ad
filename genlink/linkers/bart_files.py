"""The files of a saved BART and its tokenizer: a plain Hugging Face checkpoint, read without ``transformers``."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from genlink.data.tokenizer import FileTokenizer, SubwordTokenizer, tokenizer_hash
from genlink.decoding.bart import TIED, AnyBart, Bart, BartShape
from genlink.errors import ModelError
from genlink.files import read_json, write_json

__all__ = ["open_bart", "save_bart"]

CONFIG, GENERATION, WEIGHTS = "config.json", "generation_config.json", "model.safetensors"
_GENERATION_IDS = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")


def open_bart(directory: Path, spelling: str) -> tuple[AnyBart, SubwordTokenizer]:
    """The model and the tokenizer in a directory that ``save_bart`` wrote; ``spelling`` is its ``tokenizer_hash``.

    What is not of the plain form (another activation, several files of weights, a tokenizer that needs code of its own)
    is opened by ``transformers``. Weights are widened to float32 where they were saved in half precision.

    Raises ModelError with one line that says what is missing, or that the tokenizer is another one.
    """
    read = _read(directory, spelling)
    if read is not None:
        return read
    from genlink.linkers.bart import load_bart  # transformers takes seconds to import

    model, tokenizer = load_bart(str(directory), download=False)
    if tokenizer_hash(tokenizer) != spelling:
        raise ModelError(
            f"{directory}: the tokenizer is not the one that the names were spelled with. Copy the original "
            "tokenizer.json back, or train and save the model again with genlink train."
        )
    return model, tokenizer


def _read(directory: Path, spelling: str) -> tuple[Bart, FileTokenizer] | None:
    """None for whatever does not fit or cannot be read: ``load_bart`` then opens it or says what is wrong."""
    try:
        entries = read_json(directory / CONFIG)
        shape, tokenizer = BartShape.of(entries), FileTokenizer.read(directory)
        if shape is None or tokenizer is None or tokenizer_hash(tokenizer) != spelling:
            return None
        if len(tokenizer) > shape.vocab_size:
            return None
        weights = load_file(directory / WEIGHTS)
        if not all(tensor.is_floating_point() for tensor in weights.values()) or weights.keys() & set(TIED):
            return None
        model = Bart(shape, entries)
        model.with_weights({name: tensor.float() for name, tensor in weights.items()})
    except Exception:  # the libraries let through whatever their parts raise: of files, JSON, tensors
        return None
    return model, tokenizer


def save_bart(model: AnyBart, tokenizer: SubwordTokenizer, directory: Path) -> None:
    """Write a model and its tokenizer so that ``open_bart`` and ``transformers`` read them.

    Raises ModelError for a model in int8.
    """
    if isinstance(model, Bart):
        weights = {name: tensor.contiguous() for name, tensor in model.own_weights().items()}
        save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
        entries = {key: value for key, value in model.entries.items() if key != "torch_dtype"}
        write_json(directory / CONFIG, {**entries, "dtype": str(model.dtype).removeprefix("torch.")})
        # transformers would else make them from the config, whose rules for other tasks would fight the trie.
        write_json(directory / GENERATION, {key: entries[key] for key in _GENERATION_IDS if key in entries})
        tokenizer.save_pretrained(directory)
        return
    from genlink.encoders.checkpoints import quiet  # transformers, which is there, since this is a model of its

    with quiet():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
