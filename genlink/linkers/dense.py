"""The dense linker: names and mentions are vectors, and the nearest names are found by comparing all of them.

With an encoder alone it links as SapBERT (arXiv 2010.11784) does, with a sparse weight as BioSyn (arXiv 2005.00239).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from genlink.encoders.encoder import TextEncoder
from genlink.errors import ModelError, UsageError
from genlink.files import atomic_directory, require_replaceable
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, as_mentions, rank_names
from genlink.linkers.faiss_index import FaissIndex, require_faiss
from genlink.linkers.model_directory import (
    DENSE_FORMAT_VERSION,
    DENSE_KIND,
    check_normalisation,
    fact,
    read_model,
    saved_weight,
    settings,
    write_model,
)
from genlink.linkers.ngrams import Ngrams
from genlink.linkers.vector_cache import embedded, is_cached
from genlink.linkers.vectors import MoreScores, NameVectors, rows_from_vectors, vector_precision
from genlink.preprocessing import Preprocessing
from genlink.schema import Candidate, Prediction
from genlink.text import normalise

__all__ = ["DenseLinker", "Keys", "VectorIndex"]

VectorIndex = Literal["blocks", "faiss"]

# Names looked up at first; ambiguous and repeated concepts can call for more, and then for four times as many.
_FIRST_NAMES = 32

_MakeVectors = Callable[[bool], NameVectors]


class DenseLinker:
    """Ranks names by the inner product of vectors, all of them compared; equal scores are ordered by key index.

    With ``sparse_weight`` the score is that product and so many times the cosine of the TF-IDF vectors of letters and
    letter pairs. Both read the key of a name and the normalised surface of a mention. The vectors of the names are made
    when they are first needed and kept in ``cache``, a directory, or else in memory; ``precision`` is what they are
    stored in, while sums are in float32. With the ``index`` ``blocks`` they stay there and are read block by block;
    ``faiss`` takes all of them into memory (the extra of this name).
    """

    def __init__(
        self,
        encoder: TextEncoder,
        kb: KnowledgeBase,
        *,
        sparse_weight: float | None = None,
        precision: str = "fp32",
        index: str = "blocks",
        cache: Path | None = None,
        batch_size: int = 128,
        preprocessing: Preprocessing = Preprocessing(),
    ) -> None:
        if index not in get_args(VectorIndex):
            raise UsageError(f"index is {index!r}, expected one of {', '.join(get_args(VectorIndex))}.")
        if index == "faiss" and sparse_weight is not None:
            raise UsageError("faiss compares vectors alone, but the model has a sparse weight. Use the index blocks.")
        if index == "faiss":
            require_faiss()
        self.encoder = encoder
        self.sparse_weight = sparse_weight
        self.precision = vector_precision(precision)
        self.index = index
        self.cache = cache
        self.batch_size = batch_size
        self.preprocessing = preprocessing
        self._kb = kb
        self._make: _MakeVectors = self._embedded
        self._vectors: NameVectors | None = None
        self.ngrams = Ngrams(Keys(kb)) if sparse_weight is not None else None

    @property
    def kb(self) -> KnowledgeBase:
        """The dictionary whose names are compared."""
        return self._kb

    def vectors(self, *, progress: bool = False) -> NameVectors:
        """The vectors of all names, by key index; with ``progress``, a bar on stderr while they are made."""
        if self._vectors is None:
            self._vectors = self._make(progress)
        return self._vectors

    def use(self, vectors: NameVectors) -> None:
        """Take these for the vectors of the names, by key index, instead of making them."""
        self._vectors = vectors

    def with_kb(self, kb: KnowledgeBase) -> DenseLinker:
        """The same over another dictionary.

        Of an overlay only the new names are embedded, and none of a part of this one whose vectors are known. N-grams
        and their weights stay as fitted.
        """
        linker = DenseLinker(
            self.encoder,
            kb,
            sparse_weight=self.sparse_weight,
            precision=self.precision,
            index=self.index,
            cache=self.cache,
            batch_size=self.batch_size,
            preprocessing=self.preprocessing,
        )
        if kb.is_overlay_of(self.kb):
            linker._make = partial(_with_new_names, self, kb)
        elif (places := self._places(kb)) is not None:
            linker._make = lambda progress: self.vectors(progress=progress).selected(places)
        if self.ngrams is not None:
            linker.ngrams = self.ngrams.with_names(Keys(kb))
        return linker

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """One prediction for each mention, in order; a mention without a letter or digit has no candidates.

        Mentions that read alike are searched once. An answer does not depend on its batch but for the last bits of its
        scores. Raises UsageError if ``k`` is not positive.
        """
        if k < 1:
            raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
        mentions = as_mentions(mentions, self.preprocessing)
        texts = [normalise(mention.surface, self.kb.normalisation) for mention in mentions]
        distinct = sorted({text for text in texts if text}, key=lambda text: (len(text), text))
        self.vectors(progress=progress)
        candidates: dict[str, tuple[Candidate, ...]] = {"": ()}
        with tqdm(total=len(distinct), unit="surface", delay=1, disable=not progress) as bar:
            for start in range(0, len(distinct), self.batch_size):
                batch = distinct[start : start + self.batch_size]
                candidates.update(zip(batch, self._linked(batch, k), strict=True))
                bar.update(len(batch))
        return [Prediction(mention, candidates[text]) for mention, text in zip(mentions, texts, strict=True)]

    def find(self, texts: Sequence[str], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Scores and key indices of the best ``n`` names for each text, which is normalised: (texts, names) each."""
        return self._search(self._queries(texts), n, texts)

    def _search(self, queries: Tensor, n: int, texts: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.index == "faiss":
            return self._faiss.search(queries, n)
        return self.vectors().search(queries, n, self._sparse_scores(texts))

    @cached_property
    def _faiss(self) -> FaissIndex:
        return FaissIndex(self.vectors())

    def _linked(self, texts: Sequence[str], k: int) -> list[tuple[Candidate, ...]]:
        queries = self._queries(texts)
        found: list[tuple[Candidate, ...]] = [()] * len(texts)
        open_ones, n = list(range(len(texts))), max(_FIRST_NAMES, 2 * k)
        while open_ones:
            scores, keys = self._search(queries[open_ones], n, [texts[i] for i in open_ones])
            for i, row, indices in zip(open_ones, scores.tolist(), keys.tolist(), strict=True):
                found[i] = rank_names(self.kb, zip(indices, row, strict=True), k)
            open_ones = [i for i in open_ones if n < self.kb.n_keys and found[i][-1].rank < k]
            n *= 4
        return found

    def _queries(self, texts: Sequence[str]) -> Tensor:
        return self.encoder.embed(texts, self.batch_size).to(self.encoder.model.device)

    def _sparse_scores(self, texts: Sequence[str]) -> MoreScores | None:
        ngrams, weight = self.ngrams, self.sparse_weight
        if ngrams is None or weight is None:
            return None
        scores = ngrams.scores(texts)
        return lambda names: weight * scores(names)

    def _embedded(self, progress: bool) -> NameVectors:
        names = Keys(self.kb)
        return embedded(self.encoder, names, self.precision, self.cache, batch_size=self.batch_size, progress=progress)

    def _places(self, kb: KnowledgeBase) -> list[int] | None:
        """Where the names of a part of this dictionary stand here; None if it is no part, or nothing is gained."""
        if kb.normalisation != self.kb.normalisation:  # a key may be found, but as another key
            return None
        if self._vectors is None and not is_cached(self.encoder, Keys(self.kb), self.precision, self.cache):
            return None
        places = [self.kb.key_index(name) for name in Keys(kb)]
        return None if None in places else [place for place in places if place is not None]

    def to(self, device: str | torch.device) -> DenseLinker:
        """Move the encoder, and with it the search, to a device; returns the linker itself."""
        self.encoder.model.to(device)
        return self

    def save(self, directory: str | Path) -> None:
        """Write encoder, tokenizer, names and settings to a directory, the manifest last; vectors are the cache's.

        The directory is also a plain Hugging Face checkpoint. An old one at this place survives any failure. The card
        and the attribution that a model came with go along by ``Pipeline.save`` alone. Raises ModelError where it would
        replace a directory of something else.
        """
        require_replaceable(directory, DENSE_KIND, ModelError)
        with atomic_directory(directory) as target:
            self.encoder.save(target)
            self.kb.save(target / "kb")
            write_model(
                target,
                DENSE_KIND,
                DENSE_FORMAT_VERSION,
                {
                    "encoder": self.encoder.digest,
                    "kb_hash": self.kb.content_hash,
                    "parameters": self.encoder.model.num_parameters(),
                    "sparse_weight": self.sparse_weight,
                    "preprocessing": asdict(self.preprocessing),
                },
            )

    @classmethod
    def load(
        cls,
        directory: str | Path,
        *,
        kb: KnowledgeBase | None = None,
        precision: str = "fp32",
        index: str = "blocks",
        cache: Path | None = None,
        batch_size: int = 128,
    ) -> DenseLinker:
        """Open a directory written by ``save``; with ``kb``, over another dictionary than the saved one.

        N-grams are fitted to the saved one, with which their weight was learnt. Raises ModelError for a file that is
        not the one that was saved, and when the parts of the directory do not belong together.
        """
        directory = Path(directory)
        manifest = read_model(directory, DENSE_KIND, DENSE_FORMAT_VERSION)
        encoder = TextEncoder.from_pretrained(directory, download=False)
        if encoder.digest != fact(directory, manifest, "encoder"):
            raise ModelError(
                f"{directory}: weights, tokenizer or encoder.json are not those that were saved. Copy the original "
                "ones back, or train and save the model again with genlink train."
            )
        saved_kb = KnowledgeBase.open(directory / "kb")
        if saved_kb.content_hash != fact(directory, manifest, "kb_hash"):
            raise ModelError(f"{directory}: kb/ is not the knowledge base that was saved. Copy the original kb/ back.")
        if kb is not None:
            check_normalisation(kb, saved_kb)
        linker = cls(
            encoder,
            saved_kb if kb is None else kb,
            sparse_weight=saved_weight(directory, manifest),
            precision=precision,
            index=index,
            cache=cache,
            batch_size=batch_size,
            preprocessing=settings(Preprocessing, directory, manifest, "preprocessing"),
        )
        if kb is not None and linker.ngrams is not None:
            linker.ngrams = Ngrams(Keys(saved_kb)).with_names(Keys(kb))
        return linker

    @property
    def context_characters(self) -> int:
        """It reads the surface alone."""
        return 0

    @property
    def index_bytes(self) -> int:
        """What the vectors of the names, and their n-grams if they have any, take on disk or in memory."""
        vectors = self._faiss.nbytes if self.index == "faiss" else self.vectors().nbytes
        return vectors + (self.ngrams.nbytes if self.ngrams is not None else 0)

    def describe(self) -> dict[str, Any]:
        """Facts for a result file: size, hash and settings of the encoder, and how names are stored."""
        return {
            "kind": "dense" if self.sparse_weight is None else "dense and sparse",
            "parameters": self.encoder.model.num_parameters(),
            "names": self.kb.n_keys,
            "encoder": self.encoder.digest,
            **self.encoder.settings,
            "sparse_weight": self.sparse_weight,
            "precision": self.precision,
            "index": self.index,
        }


class Keys(Sequence[str]):
    """The names of a knowledge base as keys, in the order of their indices, and none of them in memory."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb

    def __len__(self) -> int:
        return self._kb.n_keys

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self._kb.key(j) for j in range(*i.indices(len(self)))]
        return self._kb.key(i)


def _with_new_names(base: DenseLinker, kb: KnowledgeBase, progress: bool) -> NameVectors:
    vectors = base.vectors(progress=progress)
    names = Keys(kb)[len(vectors) :]
    return vectors.extended(rows_from_vectors(base.encoder.embed(names, base.batch_size), base.precision))
