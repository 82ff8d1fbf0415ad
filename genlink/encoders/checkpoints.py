"""Published checkpoints: the directory that a name leads to, and the encoder in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from genlink.errors import ModelError

__all__ = ["checkpoint_directory", "load_encoder", "quiet"]

_ADVICE = "Give a directory with config.json, model.safetensors and tokenizer.json (or vocab.txt), or a Hub name."
_SETTINGS = ("*.json", "vocab.txt", "merges.txt", "sparse_weight.pt")
_SAFE, _OLDER = "model*.safetensors", "pytorch_model*.bin"


def checkpoint_directory(name: str | Path, *, download: bool = True) -> Path:
    """``name`` where it is a directory, else where the Hub's files of that name are kept, fetched if ``download``.

    Of the weights only one form is fetched, safetensors where there are any; files for other libraries and pickled
    objects stay where they are. Raises ModelError where there is no such checkpoint.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        for weights in (_SAFE, _OLDER):
            found = Path(
                snapshot_download(str(name), allow_patterns=[*_SETTINGS, weights], local_files_only=not download)
            )
            if any(found.glob(weights)):
                break
    except Exception as error:  # of the network, of the Hub, of names that are none
        raise ModelError(
            f"{name}: neither a directory nor a model that could be had from the Hub ({_reason(error)}). {_ADVICE}"
        ) from None
    return found


def load_encoder(directory: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder and the tokenizer of a checkpoint directory, in float32 and without a pooler.

    Weights are read from safetensors or, where there are none, from ``pytorch_model.bin`` by PyTorch's reader of
    tensors alone (``weights_only``), which runs no code of the file. Raises ModelError with one line that says what is
    wrong.
    """
    try:
        with quiet():
            config = PreTrainedConfig.get_config_dict(directory, local_files_only=True)[0]
            kind = config.get("model_type")
            if kind is None or config.get("is_encoder_decoder") or kind in ("bart", "t5"):
                raise ModelError(
                    f"{directory}: is {f'a {kind}' if kind else 'no'} model, expected an encoder. {_ADVICE}"
                )
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            model, report = AutoModel.from_pretrained(
                directory,
                use_safetensors=any(directory.glob(_SAFE)),
                weights_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,  # not given, transformers asks
            )
    except ModelError:
        raise
    except Exception as error:  # transformers lets through whatever its parts raise: of files, JSON, tensors, schemas
        raise ModelError(
            f"{directory}: no encoder and tokenizer could be loaded ({_reason(error)}). {_ADVICE}"
        ) from None
    misfits = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    if wrong := sorted(key for key in misfits if not key.startswith("pooler.")):
        raise ModelError(
            f"{directory}: the weights are not those of the {kind} in config.json: {wrong[0]} and {len(wrong) - 1} "
            "more are missing or of another shape. Copy both from one place."
        )
    if lacking := _lacking(model.config, tokenizer):
        raise ModelError(
            f"{directory}: the {kind} there is no text encoder that can be used: it has no {lacking}. {_ADVICE}"
        )
    if not len(tokenizer.all_special_ids) < len(tokenizer) <= model.config.vocab_size:
        raise ModelError(
            f"{directory}: a tokenizer of {len(tokenizer)} tokens and a model of {model.config.vocab_size} do not "
            "belong together. Copy the tokenizer's own files there (tokenizer.json, or vocab.txt)."
        )
    if hasattr(model, "pooler"):
        model.pooler = None  # trained for other tasks, or random
    return model.eval(), tokenizer


def _lacking(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What a model for something else than vectors of texts has not."""
    for size, what in (
        ("hidden_size", "width of its vectors"),
        ("vocab_size", "vocabulary"),
        ("max_position_embeddings", "limit of its positions"),  # XLNet has -1
    ):
        if not getattr(config, size, 0) > 0:
            return what
    if tokenizer.pad_token_id is None:
        return "padding token"
    return None if hasattr(tokenizer, "backend_tokenizer") else "tokenizer.json"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers for a while: bars for work of milliseconds, and warnings of many lines.

    What matters in these warnings becomes an error of one line.
    """
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
