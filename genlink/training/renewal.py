"""The names nearest to each mention by the encoder as it stands, found anew before an epoch, by all processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from genlink.data.nearest import best_columns
from genlink.encoders.encoder import TextEncoder
from genlink.files import atomic_file
from genlink.kb import KnowledgeBase

__all__ = ["DenseCandidates", "nearest_by_encoder"]

# Scores of a block of names, mentions x names: 64 MiB of float32.
_CELLS = 1 << 24

Scored = tuple[NDArray[np.float32], NDArray[np.int64]]


class DenseCandidates:
    """The candidates of an epoch, kept in a file: an epoch that is resumed goes on with those that it began with.

    Without ``renew`` those of epoch 0 stand for all.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: Sequence[str],
        kb: KnowledgeBase,
        k: int,
        accelerator: Accelerator,
        folder: Path,
        *,
        renew: bool,
    ) -> None:
        self._encoder, self._texts, self._kb, self._k = encoder, texts, kb, k
        self._accelerator, self._folder, self._renew = accelerator, folder, renew

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """The keys nearest to each text, shape (texts, k), best first; every process asks for them at the same step."""
        path = self._folder / f"epoch-{epoch if self._renew else 0}.safetensors"
        if not path.exists():
            keys = nearest_by_encoder(self._encoder, self._texts, self._kb, self._k, self._accelerator)
            if self._accelerator.is_main_process:
                with atomic_file(path, "wb") as f:
                    f.write(save({"keys": keys}))
            self._accelerator.wait_for_everyone()
        found: NDArray[np.int64] = load_file(path)["keys"]
        return found


def nearest_by_encoder(
    encoder: TextEncoder, texts: Sequence[str], kb: KnowledgeBase, k: int, accelerator: Accelerator
) -> NDArray[np.int64]:
    """The ``k`` keys of ``kb`` with the highest inner products with each text, (texts, k), best first, ties by key.

    Each process compares the texts with its share of the names.
    """
    queries = encoder.embed(texts).numpy()
    own = range(accelerator.process_index, kb.n_keys, accelerator.num_processes)
    best: Scored = np.empty((len(texts), 0), dtype=np.float32), np.empty((len(texts), 0), dtype=np.int64)
    size = max(1, _CELLS // max(1, len(texts)))
    for start in range(0, len(own), size):
        keys = np.array(own[start : start + size])
        names = encoder.embed([kb.key(int(key)) for key in keys]).numpy()
        best = _best_of([best, (queries @ names.T, np.broadcast_to(keys, (len(texts), len(keys))))], k)
    return _best_of(gather_object([best]), k)[1]


def _best_of(parts: Sequence[Scored], k: int) -> Scored:
    """The best of some scores and keys, each (texts, any number)."""
    scores, keys = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    by_key = keys.argsort(axis=1)
    scores, keys = np.take_along_axis(scores, by_key, axis=1), np.take_along_axis(keys, by_key, axis=1)
    columns = best_columns(scores, k)
    return np.take_along_axis(scores, columns, axis=1), np.take_along_axis(keys, columns, axis=1)
