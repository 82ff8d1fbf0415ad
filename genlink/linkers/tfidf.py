"""Character n-gram TF-IDF over the names of a knowledge base, searched exactly: the lexical baseline.

The same kind of vectors as the sparse half of BioSyn (arXiv 2005.00239) and as scispaCy's candidate generator, without
an approximate index: every name is compared, block by block, by sparse products.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from genlink.errors import UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, as_mentions, rank_names, sparse_bytes
from genlink.schema import Candidate, Prediction
from genlink.text import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEFAULT_NGRAMS", "TfidfLinker"]

DEFAULT_NGRAMS = (1, 3)

# Mentions x names compared at a time. A product holds 8 bytes for each pair that shares an n-gram: 64 MiB at the most.
_CELLS = 1 << 23
# Names sorted at first; ambiguous and repeated concepts can call for more, which are sorted when they are reached.
_FIRST_SORTED = 64


class TfidfLinker:
    """Ranks names by the cosine of TF-IDF vectors of character n-grams within words (``char_wb``).

    A mention that is a name comes to that name first; other equal cosines are ordered by key index, so that results do
    not depend on the batch. The names are indexed when the first mention is linked: 100,000 of them take some 6 seconds
    and 50 MB, four times that for a moment.
    """

    def __init__(self, kb: KnowledgeBase, ngram_range: tuple[int, int] = DEFAULT_NGRAMS) -> None:
        if not 1 <= ngram_range[0] <= ngram_range[1]:
            raise UsageError(f"ngram_range is {ngram_range}, expected (shortest, longest), both positive.")
        self.kb = kb
        self.ngram_range = ngram_range

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """One prediction for each mention; scores are cosines in (0, 1]. Names that share no n-gram are not listed.

        With ``progress``, a bar on stderr counts the distinct surfaces.
        """
        mentions = as_mentions(mentions)
        keys = [normalise(mention.surface, self.kb.normalisation) for mention in mentions]
        distinct = list(dict.fromkeys(keys))
        vectorizer, names = self._index
        candidates: dict[str, tuple[Candidate, ...]] = {}
        block = max(1, _CELLS // self.kb.n_keys)
        with tqdm(total=len(distinct), unit="surface", delay=1, disable=not progress) as bar:
            for start in range(0, len(distinct), block):
                queries = distinct[start : start + block]
                product = vectorizer.transform(queries) @ names
                for row, query in enumerate(queries):
                    cells = slice(product.indptr[row], product.indptr[row + 1])
                    best_first = _best_first(product.indices[cells], product.data[cells])
                    candidates[query] = rank_names(self.kb, chain(self._exact(query), best_first), k)
                bar.update(len(queries))
        return [Prediction(mention, candidates[key]) for mention, key in zip(mentions, keys, strict=True)]

    def with_kb(self, kb: KnowledgeBase) -> TfidfLinker:
        """The same over another dictionary, which is indexed anew."""
        return TfidfLinker(kb, self.ngram_range)

    @property
    def context_characters(self) -> int:
        """It reads the surface alone."""
        return 0

    @property
    def index_bytes(self) -> int:
        """What the matrix of the names takes in memory."""
        return sparse_bytes(self._index[1])

    def describe(self) -> dict[str, Any]:
        """Facts for a result file."""
        return {"kind": "tfidf", "analyzer": "char_wb", "ngram_range": list(self.ngram_range)}

    def _exact(self, key: str) -> list[tuple[int, float]]:
        # These vectors know no order of words, and rounding would decide between "A of B" and "B of A".
        index = self.kb.key_index(key)
        return [] if index is None else [(index, 1.0)]

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """The fitted vectoriser, and the names as a sparse matrix of shape (n-grams, names)."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

        # Keys are normalised already, and single precision halves the memory.
        vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=self.ngram_range, lowercase=False, dtype=np.float32
        )
        names = vectorizer.fit_transform(self.kb.key(i) for i in range(self.kb.n_keys))
        # Transposed, so that a product reads only the rows of a mention's n-grams.
        return vectorizer, names.T.tocsr()


def _best_first(indices: NDArray[np.int32], scores: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
    """Yield (index, score) by falling score, equal scores by rising index, sorting no more than is asked for.

    Both arrays have shape (names,), in any order.
    """
    size = _FIRST_SORTED
    while len(scores):
        if len(scores) > size:
            # Everything tied with the last place belongs to the head: ties are ordered by index, all at once.
            threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
            head = scores >= threshold
        else:
            head = np.ones(len(scores), dtype=bool)
        order = np.lexsort((indices[head], -scores[head]))
        for index, score in zip(indices[head][order].tolist(), scores[head][order].tolist(), strict=True):
            if score <= 0:
                return
            yield index, min(score, 1.0)  # rounding may leave the cosine of equal names a hair above one
        indices, scores = indices[~head], scores[~head]
        size *= 4
