"""From an encoder, wherever it is from, to a dense linker; and what such a linker compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from genlink.encoders import MINILM
from genlink.encoders.checkpoints import checkpoint_directory
from genlink.encoders.encoder import TextEncoder
from genlink.encoders.minilm import load_minilm
from genlink.errors import UsageError
from genlink.files import has_manifest, read_manifest
from genlink.kb import KnowledgeBase
from genlink.linkers.biosyn import read_sparse_weight
from genlink.linkers.dense import DenseLinker, Keys
from genlink.linkers.model_directory import DENSE_FORMAT_VERSION, DENSE_KIND, check_normalisation, saved_weight
from genlink.linkers.ngrams import Ngrams
from genlink.text import Normalisation, normalise

__all__ = ["open_dense", "open_encoder", "vectors_of"]


def open_dense(
    model: str | Path,
    kb: KnowledgeBase | None,
    *,
    precision: str | None = None,
    index: str | None = None,
    cache: Path | None = None,
    batch_size: int | None = None,
) -> DenseLinker:
    """The dense linker of a saved model, ``minilm``, or an encoder by its directory or its name on the Hub.

    All but the first have no dictionary and need ``kb``, or raise UsageError. A published BioSyn brings its sparse
    weight along.
    """
    precision, index, batch_size = precision or "fp32", index or "blocks", batch_size or 128
    if has_manifest(model, DENSE_KIND):
        return DenseLinker.load(model, kb=kb, precision=precision, index=index, cache=cache, batch_size=batch_size)
    if kb is None:
        raise UsageError(f"{model}: an encoder without a dictionary. Give a knowledge base with --kb.")
    encoder, weight = open_encoder(model)
    return DenseLinker(
        encoder, kb, sparse_weight=weight, precision=precision, index=index, cache=cache, batch_size=batch_size
    )


def open_encoder(model: str | Path) -> tuple[TextEncoder, float | None]:
    """The encoder that is meant, and its sparse weight if it has one; see ``open_dense``."""
    if has_manifest(model, DENSE_KIND):
        weight = saved_weight(Path(model), read_manifest(model, DENSE_KIND, DENSE_FORMAT_VERSION))
        return TextEncoder.from_pretrained(model, download=False), weight
    if model == MINILM:
        return load_minilm(), None
    encoder = TextEncoder.from_pretrained(model)
    return encoder, read_sparse_weight(checkpoint_directory(model, download=False))  # it is here by now


def vectors_of(model: str | Path, texts: Sequence[str], kb: KnowledgeBase | None) -> Iterator[dict[str, Any]]:
    """What the linker of a model compares: each text, how it is ``read``, its ``dense`` and its ``sparse`` vector.

    The latter, by n-gram, is weighted by the dictionary of a saved model with a sparse weight, else by ``kb``, and None
    without either. Raises KnowledgeBaseError where a saved model and ``kb`` are not normalised alike.
    """
    encoder, weight = open_encoder(model)
    own = KnowledgeBase.open(Path(model) / "kb") if has_manifest(model, DENSE_KIND) else None
    if own is not None and kb is not None:
        check_normalisation(kb, own)
    known, fitted = own or kb, kb if weight is None else own or kb
    read = [normalise(text, known.normalisation if known else Normalisation()) for text in texts]
    sparse = Ngrams(Keys(fitted)).weights(read) if fitted else [None] * len(read)
    for text, key, dense, ngrams in zip(texts, read, encoder.embed(read).tolist(), sparse, strict=True):
        yield {"text": text, "read": key, "dense": dense, "sparse": ngrams}
