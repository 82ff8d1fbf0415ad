"""The vectors of a dictionary's names by an encoder that is being trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from genlink.encoders.encoder import TextEncoder
from genlink.files import atomic_file
from genlink.kb import KnowledgeBase
from genlink.linkers.dense import Keys
from genlink.linkers.vectors import NameVectors, Part, rows_from_vectors
from genlink.training.encoders import gather_rows

__all__ = ["CurrentVectors", "DenseCandidates"]


class CurrentVectors:
    """The vectors of all names as the encoder stands: made by all processes together, and kept until it has changed.

    Scoring and finding candidates at one step share them.
    """

    def __init__(self, encoder: TextEncoder, kb: KnowledgeBase, accelerator: Accelerator) -> None:
        self._encoder, self._kb, self._accelerator = encoder, kb, accelerator
        self._made: tuple[str, NameVectors] | None = None

    def __call__(self) -> NameVectors:
        """The vectors; every process asks for them at the same step."""
        digest = self._encoder.digest
        if self._made is None or self._made[0] != digest:
            process, processes, n = self._accelerator.process_index, self._accelerator.num_processes, self._kb.n_keys
            own = Keys(self._kb)[n * process // processes : n * (process + 1) // processes]
            vectors = gather_rows(self._encoder.embed(own).to(self._accelerator.device)).cpu()
            self._made = digest, NameVectors((Part(np.arange(n), rows_from_vectors(vectors, "fp32")),))
        return self._made[1]


class DenseCandidates:
    """The names nearest to each mention by the encoder as it stood before an epoch.

    They are kept in a file: an epoch that is resumed goes on with those that it began with. Without ``renew`` those of
    epoch 0 stand for all.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        vectors: CurrentVectors,
        texts: Sequence[str],
        k: int,
        accelerator: Accelerator,
        folder: Path,
        *,
        renew: bool,
    ) -> None:
        self._encoder, self._vectors, self._texts, self._k = encoder, vectors, texts, k
        self._accelerator, self._folder, self._renew = accelerator, folder, renew

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """The keys nearest to each text, shape (texts, k), best first; every process asks for them at the same step."""
        path = self._folder / f"epoch-{epoch if self._renew else 0}.safetensors"
        # All together: one that came late would see what the main process has written, and not wait with the others.
        if not all(gather_object([path.exists()])):
            queries = self._encoder.embed(self._texts).to(self._accelerator.device)
            _, keys = self._vectors().search(queries, self._k)
            if self._accelerator.is_main_process:
                with atomic_file(path, "wb") as f:
                    f.write(save({"keys": keys}))
            self._accelerator.wait_for_everyone()
        found: NDArray[np.int64] = load_file(path)["keys"]
        return found
