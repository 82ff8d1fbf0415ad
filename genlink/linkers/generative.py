"""The generative linker: a BART that may only write names of the dictionary."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import BartForConditionalGeneration, PreTrainedTokenizerBase

from genlink.data.encoding import Encoding
from genlink.data.tokenizer import tokenizer_hash
from genlink.decoding import BartScorer, beam_search
from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.files import atomic_directory, has_manifest, read_manifest, write_manifest
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import load_bart, quiet
from genlink.linkers.base import Linkable, as_mentions, rank_names
from genlink.preprocessing import Preprocessing
from genlink.schema import Prediction
from genlink.templates import Template
from genlink.trie import NameTrie

__all__ = ["GenerativeLinker", "SearchSettings", "saved_template"]

logger = logging.getLogger(__name__)

KIND, FORMAT_VERSION = "generative linker", 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How names are searched.

    ``beams``: prefixes kept at each step. ``batch_size``: mentions searched together. ``name_tokens``: names of more
    tokens, the end token included, are left out of the trie and reported. Raises UsageError for a setting below 1.
    """

    beams: int = 5
    batch_size: int = 32
    name_tokens: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise UsageError(f"{name} is {value}, expected at least 1.")


class GenerativeLinker:
    """Links mentions by generating names under a trie.

    A name's score is the sum of the log-probabilities of its tokens and the end token, each over the whole vocabulary
    (nats, at most 0). A concept's score is that of its best name. Candidates are distinct concepts.
    """

    def __init__(
        self,
        model: BartForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        kb: KnowledgeBase,
        *,
        template: Template = Template(),
        search: SearchSettings = SearchSettings(),
        preprocessing: Preprocessing = Preprocessing(),
        trie: NameTrie | None = None,
    ) -> None:
        limit = model.config.max_position_embeddings
        if template.source_tokens > limit or template.prefix_tokens + search.name_tokens + 1 > limit:
            raise ModelError(
                f"the template reads {template.source_tokens} tokens and the decoder "
                f"{template.prefix_tokens + search.name_tokens + 1}, but the model has {limit} positions. "
                "Lower source_tokens, prefix_tokens or name_tokens."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        self.search = search
        self.preprocessing = preprocessing
        self._kb = kb
        self.encoding = Encoding(tokenizer, template, kb.normalisation, model.config.decoder_start_token_id)
        self.trie = trie if trie is not None else build_trie(kb, self.encoding, search.name_tokens)

    @property
    def kb(self) -> KnowledgeBase:
        """The dictionary whose names are generated."""
        return self._kb

    @classmethod
    def from_checkpoint(
        cls, name: str, kb: KnowledgeBase, *, template: Template = Template(), download: bool = True
    ) -> GenerativeLinker:
        """Any BART (directory or Hub name) over any knowledge base; untrained for linking unless it was trained so."""
        model, tokenizer = load_bart(name, download=download)
        return cls(model, tokenizer, kb, template=template)

    def with_kb(self, kb: KnowledgeBase) -> GenerativeLinker:
        """The same model over another dictionary. The names are spelled and the trie is built anew."""
        _check_normalisation(kb, self.kb)
        return self._over(kb, self.search, trie=None)

    def with_search(self, search: SearchSettings) -> GenerativeLinker:
        """The same model and names with other search settings."""
        same_names = search.name_tokens == self.search.name_tokens
        return self._over(self.kb, search, trie=self.trie if same_names else None)

    def _over(self, kb: KnowledgeBase, search: SearchSettings, trie: NameTrie | None) -> GenerativeLinker:
        return GenerativeLinker(
            self.model,
            self.tokenizer,
            kb,
            template=self.template,
            search=search,
            preprocessing=self.preprocessing,
            trie=trie,
        )

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> GenerativeLinker:
        """Move the model to a device and, if given, a precision; returns the linker itself."""
        self.model.to(device=device, dtype=dtype)
        return self

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """One prediction for each mention, in order; documents are prepared by ``preprocessing`` first.

        Mentions that read alike are searched once. The answer to a mention does not depend on its batch but for the
        last bits of its scores.

        Raises UsageError if ``k`` is not positive.
        """
        if k < 1:
            raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
        mentions = as_mentions(mentions, self.preprocessing)
        prompts = [self.encoding.prompt(mention) for mention in mentions]
        sources, prefixes = self.encoding.sources(prompts), self.encoding.prefixes(prompts)
        questions: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for i, (source, prefix) in enumerate(zip(sources, prefixes, strict=True)):
            questions.setdefault((tuple(source), tuple(prefix)), []).append(i)
        # Like lengths together: less padding, and batches that end at about the same step.
        ordered = sorted(questions, key=lambda q: (len(q[0]), len(q[1]), q))
        predictions: list[Prediction] = [Prediction(mention) for mention in mentions]
        with _evaluating(self.model), tqdm(total=len(mentions), unit="mention", disable=not progress) as bar:
            scorer = BartScorer(self.model)
            for start in range(0, len(ordered), self.search.batch_size):
                batch = ordered[start : start + self.search.batch_size]
                for question, names in zip(batch, self._search(scorer, batch, k), strict=True):
                    candidates = rank_names(self.kb, names, k)
                    for i in questions[question]:
                        predictions[i] = Prediction(mentions[i], candidates)
                    bar.update(len(questions[question]))
        return predictions

    def _search(
        self, scorer: BartScorer, batch: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], k: int
    ) -> list[list[tuple[int, float]]]:
        """(key index, score) of the names found for each question of a batch, best first."""
        width = max(len(source) for source, _ in batch)
        ids = torch.full((len(batch), width), self.encoding.pad)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, (source, _) in enumerate(batch):
            ids[row, : len(source)] = torch.tensor(source)
            mask[row, : len(source)] = 1
        device = self.model.device
        session = scorer.begin(ids.to(device), mask.to(device), [list(prefix) for _, prefix in batch])
        found = beam_search(
            session, self.trie, len(batch), beams=self.search.beams, k=k, name_concepts=self.kb.key_concepts
        )
        return [[(hypothesis.name, hypothesis.score) for hypothesis in names] for names in found]

    def save(self, directory: str | Path) -> None:
        """Write one directory with everything: weights, tokenizer, names, trie, settings, and the manifest last.

        The directory is also a plain Hugging Face checkpoint. An old one at this place survives any failure. Raises
        ModelError where it would replace a directory of something else.
        """
        _check_replaceable(Path(directory))
        kb, trie = self.kb, self.trie
        if kb.report is None:  # an overlay: saved, it is compiled, and its keys get other indices
            kb = KnowledgeBase.from_concepts(kb, normalisation=kb.normalisation)
            trie = build_trie(kb, self.encoding, self.search.name_tokens)
        with atomic_directory(directory) as target:
            with quiet():
                self.model.save_pretrained(target)
                self.tokenizer.save_pretrained(target)
            kb.save(target / "kb")
            trie.save(target / "trie")
            write_manifest(
                target,
                KIND,
                FORMAT_VERSION,
                {
                    "tokenizer_hash": tokenizer_hash(self.tokenizer),
                    "kb_hash": kb.content_hash,
                    "vocab_size": self.model.config.vocab_size,
                    "parameters": sum(p.numel() for p in self.model.parameters()),
                    "concepts": len(kb),
                    "names": trie.n_names,
                    "template": asdict(self.template),
                    "search": asdict(self.search),
                    "preprocessing": asdict(self.preprocessing),
                },
            )

    @classmethod
    def load(cls, directory: str | Path, *, kb: KnowledgeBase | None = None) -> GenerativeLinker:
        """Open a directory written by ``save``; with ``kb``, over another dictionary than the saved one.

        Raises ModelError, with the command that mends it, when its parts do not belong together.
        """
        directory = Path(directory)
        manifest = read_manifest(directory, KIND, FORMAT_VERSION)
        model, tokenizer = load_bart(str(directory), download=False)
        if tokenizer_hash(tokenizer) != _fact(directory, manifest, "tokenizer_hash"):
            raise ModelError(
                f"{directory}: the tokenizer is not the one that the names were spelled with. Copy the original "
                "tokenizer.json back, or train and save the model again with genlink train."
            )
        if sum(p.numel() for p in model.parameters()) != _fact(directory, manifest, "parameters"):
            raise ModelError(f"{directory}: the weights are of a model of another size. Copy the original ones back.")
        saved_kb, trie = KnowledgeBase.open(directory / "kb"), None
        if kb is not None:
            _check_normalisation(kb, saved_kb)
        elif saved_kb.content_hash != _fact(directory, manifest, "kb_hash"):
            raise ModelError(
                f"{directory}: kb/ is not the knowledge base that the trie was built from. Copy the original kb/ back, "
                "or give the wanted one with --kb."
            )
        else:
            trie = NameTrie.open(directory / "trie")
            names = _fact(directory, manifest, "names")
            if trie.n_names != names or int(trie.leaf_name.max()) >= saved_kb.n_keys:
                raise ModelError(f"{directory}: trie/ was not built from kb/. Copy the original trie/ back.")
        return cls(
            model,
            tokenizer,
            saved_kb if kb is None else kb,
            template=_settings(Template, directory, manifest, "template"),
            search=_settings(SearchSettings, directory, manifest, "search"),
            preprocessing=_settings(Preprocessing, directory, manifest, "preprocessing"),
            trie=trie,
        )

    def describe(self) -> dict[str, Any]:
        """Facts for a result file: size of the model and settings of the search."""
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "names": self.trie.n_names,
            "template": asdict(self.template),
            "search": asdict(self.search),
            "precision": str(self.model.dtype).removeprefix("torch."),
        }


def saved_template(directory: Path) -> Template | None:
    """The template that a model directory was trained with; None for any other checkpoint.

    Raises ModelError where the directory's manifest does not hold it.
    """
    if not has_manifest(directory, KIND):
        return None
    return _settings(Template, directory, read_manifest(directory, KIND, FORMAT_VERSION), "template")


def _fact(directory: Path, manifest: Mapping[str, Any], key: str) -> Any:
    if key not in manifest:
        raise ModelError(
            f"{directory}: its manifest has no `{key}`. Copy the original manifest.json back, or train and save the "
            "model again with genlink train."
        )
    return manifest[key]


def _settings(kind: type[T], directory: Path, manifest: Mapping[str, Any], key: str) -> T:
    try:
        return kind(**_fact(directory, manifest, key))
    except TypeError as error:
        reason = str(error).split("() ")[-1]
        raise ModelError(
            f"{directory}: `{key}` of its manifest cannot be read ({reason}). Copy the original manifest.json back."
        ) from None


def build_trie(kb: KnowledgeBase, encoding: Encoding, name_tokens: int) -> NameTrie:
    """Spell every key of the dictionary and put it into a trie, under its key index.

    Names of more than ``name_tokens`` tokens, the end token included, are left out, with a warning that counts them.

    Raises KnowledgeBaseError where no name is left, ModelError where the tokenizer cannot tell two names apart.
    """
    block = 50_000
    spelled: list[list[int]] = []
    for start in range(0, kb.n_keys, block):
        spelled.extend(encoding.names([kb.key(i) for i in range(start, min(start + block, kb.n_keys))]))
    kept = [i for i, ids in enumerate(spelled) if 0 < len(ids) < name_tokens]
    if not kept:
        raise KnowledgeBaseError(f"none of the {kb.n_keys} names has fewer than {name_tokens} tokens.")
    if len(kept) < kb.n_keys:
        logger.warning("%d names of %d or more tokens are left out of the search", kb.n_keys - len(kept), name_tokens)
    lengths = np.array([len(spelled[i]) for i in kept], dtype=np.int64)
    flat = np.fromiter((t for i in kept for t in spelled[i]), dtype=np.int64, count=int(lengths.sum()))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    try:
        return NameTrie.build(flat, offsets, encoding.end, name_ids=np.array(kept, dtype=np.int32))
    except ValueError as error:
        raise ModelError(f"the tokenizer cannot spell the names of the dictionary: {error}.") from None


def _check_normalisation(kb: KnowledgeBase, trained_on: KnowledgeBase) -> None:
    if kb.normalisation != trained_on.normalisation:
        raise KnowledgeBaseError(
            f"the model was trained on names normalised by {trained_on.normalisation}, the knowledge base by "
            f"{kb.normalisation}. Build the knowledge base with the same steps."
        )


def _check_replaceable(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()) and not has_manifest(directory, KIND):
        raise ModelError(f"{directory}: holds other files, which saving a model would delete. Name another directory.")


@contextmanager
def _evaluating(model: BartForConditionalGeneration) -> Iterator[None]:
    """Switch dropout off for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
