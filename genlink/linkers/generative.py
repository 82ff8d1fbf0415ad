"""The generative linker: a BART that may only write names of the dictionary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from tqdm.auto import tqdm

from genlink.data.encoding import Encoding
from genlink.data.spelling import spell_trie, with_names
from genlink.data.tokenizer import SubwordTokenizer, tokenizer_hash
from genlink.decoding import (
    AnyBart,
    BartScorer,
    Normaliser,
    Precision,
    Search,
    SearchResult,
    apply_precision,
    precision_of,
    run_searches,
)
from genlink.encoders.evaluating import evaluating
from genlink.errors import ModelError, UsageError
from genlink.files import atomic_directory, has_manifest, require_replaceable
from genlink.kb import KnowledgeBase
from genlink.linkers.bart_files import open_bart, save_bart
from genlink.linkers.base import Linkable, as_mentions, concepts_within, rank_by_sum, rank_names
from genlink.linkers.model_directory import (
    FORMAT_VERSION,
    KIND,
    check_normalisation,
    fact,
    read_model,
    settings,
    write_model,
)
from genlink.linkers.restriction import Restriction
from genlink.linkers.search_settings import SearchSettings, passes_cost_most
from genlink.linkers.spelling import score_spelling
from genlink.preprocessing import Preprocessing
from genlink.schema import Mention, Prediction
from genlink.templates import Template
from genlink.trie import NameTrie

__all__ = ["GenerativeLinker"]


class GenerativeLinker:
    """Links mentions by generating names under a trie.

    A name's score is the sum of the log-probabilities of its tokens and the end token (nats, at most 0). What each is a
    probability among is the model's ``normaliser``, a consequence of its training: ``full``, the whole vocabulary;
    ``active``, the tokens that the dictionary uses; ``trie``, what may follow in the dictionary, so that the
    probabilities of all names sum to one. A concept's score is that of its best name, unless the search settings say
    otherwise; they may also take something off for another spelling. Candidates are distinct concepts.
    """

    def __init__(
        self,
        model: AnyBart,
        tokenizer: SubwordTokenizer,
        kb: KnowledgeBase,
        *,
        template: Template = Template(),
        search: SearchSettings = SearchSettings(),
        preprocessing: Preprocessing = Preprocessing(),
        normaliser: Normaliser = "full",
        trie: NameTrie | None = None,
    ) -> None:
        limit = model.config.max_position_embeddings
        if template.source_tokens > limit or template.prefix_tokens + search.name_tokens + 1 > limit:
            raise ModelError(
                f"the template reads {template.source_tokens} tokens and the decoder "
                f"{template.prefix_tokens + search.name_tokens + 1}, but the model has {limit} positions. "
                "Lower source_tokens, prefix_tokens or name_tokens."
            )
        if normaliser not in get_args(Normaliser):
            raise ModelError(f"normaliser is {normaliser!r}, expected one of {', '.join(get_args(Normaliser))}.")
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        self.search = search
        self.preprocessing = preprocessing
        self.normaliser = normaliser
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
        """Any BART (directory or Hub name) over any knowledge base; untrained for linking unless it was trained so.

        Raises ModelError for a directory that GenLink saved, which knows its template and normaliser: ``load`` it.
        """
        if has_manifest(Path(name), KIND):
            raise ModelError(f"{name}: a model that GenLink saved. Open it by GenerativeLinker.load(..., kb=kb).")
        from genlink.linkers.bart import load_bart  # transformers takes seconds to import

        model, tokenizer = load_bart(name, download=download)
        return cls(model, tokenizer, kb, template=template)

    def with_kb(self, kb: KnowledgeBase) -> GenerativeLinker:
        """The same model over another dictionary.

        The names are spelled and the trie is built anew, but for an overlay of this linker's knowledge base: then only
        what is new is spelled and worked in.
        """
        check_normalisation(kb, self.kb)
        trie = None
        if kb.is_overlay_of(self.kb):
            first = self.kb.n_keys
            new = (kb.key(i) for i in range(first, kb.n_keys))
            trie = with_names(self.trie, new, first, self.encoding, self.search.name_tokens)
        return self._over(kb, self.search, trie)

    def with_model(self, model: AnyBart) -> GenerativeLinker:
        """Another model, of the same tokenizer and training objective, over the same names."""
        return self._over(self.kb, self.search, self.trie, model)

    def with_search(self, search: SearchSettings) -> GenerativeLinker:
        """The same model and names with other search settings."""
        same_names = search.name_tokens == self.search.name_tokens
        return self._over(self.kb, search, trie=self.trie if same_names else None)

    def _over(
        self,
        kb: KnowledgeBase,
        search: SearchSettings,
        trie: NameTrie | None,
        model: AnyBart | None = None,
    ) -> GenerativeLinker:
        return GenerativeLinker(
            model if model is not None else self.model,
            self.tokenizer,
            kb,
            template=self.template,
            search=search,
            preprocessing=self.preprocessing,
            normaliser=self.normaliser,
            trie=trie,
        )

    def to(self, device: str | torch.device, precision: Precision | None = None) -> GenerativeLinker:
        """Move the model to a device and to a precision (see ``apply_precision``); returns the linker itself."""
        if precision_of(self.model) == "int8" and torch.device(device).type != "cpu":
            raise UsageError(f"a model in int8 is for the CPU and cannot move to {device}. Use fp32 or bf16 there.")
        self.model.to(device=device)
        if precision is not None:
            apply_precision(self.model, precision)
        return self

    def restriction(
        self,
        *,
        types: Collection[str] | None = None,
        prefixes: Collection[str] | None = None,
        ids: Collection[str] | None = None,
    ) -> Restriction:
        """What to link ``within``: the concepts that pass every filter given (semantic types, id prefixes, ids).

        Raises KnowledgeBaseError for an id that the knowledge base does not have.
        """
        return Restriction.to(self.kb.select(types=types, prefixes=prefixes, ids=ids), self.kb, self.trie)

    def link(
        self,
        mentions: Linkable,
        k: int = 5,
        *,
        within: Restriction | Sequence[Restriction] | None = None,
        progress: bool = False,
    ) -> list[Prediction]:
        """One prediction for each mention, in order; documents are prepared by ``preprocessing`` first.

        Mentions that read alike are searched once. The answer to a mention does not depend on its batch but for the
        last bits of its scores (in bf16: the last digits). ``within`` restricts all mentions alike or, as a sequence,
        each to a part of its own; where that part is empty, so is the prediction.
        Restrictions of their own are for mentions that are given as such: documents may have composites split.

        Raises UsageError if ``k`` is not positive, or where there is not one restriction of this linker for each
        mention.
        """
        mentions = as_mentions(mentions, self.preprocessing)
        parts = self._for_each(within, len(mentions))
        results = self.find(mentions, k, within=parts, progress=progress)
        return [
            self.ranked(mention, result, k, part)
            for mention, result, part in zip(mentions, results, parts, strict=True)
        ]

    def find(
        self,
        mentions: Sequence[Mention],
        k: int = 5,
        *,
        within: Restriction | Sequence[Restriction | None] | None = None,
        progress: bool = False,
        watch: Callable[[Search], Search] | None = None,
    ) -> list[SearchResult]:
        """The search behind ``link``: names by key index, what it cost, and whether it is proven to be exact.

        ``watch`` is given each search, and what it returns is run in its place.
        """
        if k < 1:
            raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
        parts = self._for_each(within, len(mentions))
        prompts = [self.encoding.prompt(mention) for mention in mentions]
        sources, prefixes = self.encoding.sources(prompts), self.encoding.prefixes(prompts)
        questions: dict[_Question, list[int]] = {}
        for i, (source, prefix, part) in enumerate(zip(sources, prefixes, parts, strict=True)):
            questions.setdefault(_Question(tuple(source), tuple(prefix), part), []).append(i)
        # Like lengths together: less padding, and batches that end at about the same step.
        ordered = sorted(questions, key=lambda q: (len(q.source), len(q.prefix), q.source, q.prefix))
        results: list[SearchResult] = [SearchResult((), exact=True)] * len(mentions)
        with evaluating(self.model), tqdm(total=len(mentions), unit="mention", delay=1, disable=not progress) as bar:
            scorer = BartScorer(self.model, self.normaliser, self._active_tokens)
            for start in range(0, len(ordered), self.search.batch_size):
                batch = ordered[start : start + self.search.batch_size]
                for question, result in zip(batch, self._search(scorer, batch, k, watch), strict=True):
                    for i in questions[question]:
                        results[i] = result
                    bar.update(len(questions[question]))
        return results

    def _for_each(
        self, within: Restriction | Sequence[Restriction | None] | None, mentions: int
    ) -> Sequence[Restriction | None]:
        """One restriction for each mention, all of them made by this linker."""
        parts = [within] * mentions if within is None or isinstance(within, Restriction) else within
        if len(parts) != mentions:
            raise UsageError(f"{len(parts)} restrictions for {mentions} mentions: give one, or one for each mention.")
        if any(part is not None and part.whole is not self.trie for part in parts):
            raise UsageError("a restriction of another dictionary: make it by the `restriction` of this linker.")
        return parts

    @cached_property
    def _active_tokens(self) -> npt.NDArray[np.int64] | None:
        """The tokens that the dictionary uses, the end token among them, where the normaliser asks for them."""
        return np.unique(self.trie.token).astype(np.int64) if self.normaliser == "active" else None

    def _search(
        self, scorer: BartScorer, batch: Sequence[_Question], k: int, watch: Callable[[Search], Search] | None
    ) -> list[SearchResult]:
        width = max(len(question.source) for question in batch)
        ids = torch.full((len(batch), width), self.encoding.pad)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, question in enumerate(batch):
            ids[row, : len(question.source)] = torch.tensor(question.source)
            mask[row, : len(question.source)] = 1
        session = scorer.begin(ids, mask, [list(question.prefix) for question in batch])
        few_passes = passes_cost_most(len(batch), self.model.device.type)
        searches = [
            self.search.new_search(
                part.trie if part else self.trie,
                k,
                partial(concepts_within, self.kb, within=part.concepts if part else None),
                few_passes=few_passes,
            )
            for part in (question.within for question in batch)
        ]
        return run_searches(
            session,
            [watch(search) for search in searches] if watch else searches,
            forced_is_free=self.normaliser == "trie",
            ahead=self.search.ahead(k, few_passes=few_passes),
        )

    def ranked(
        self, mention: Mention, result: SearchResult, k: int = 5, within: Restriction | None = None
    ) -> Prediction:
        """The prediction that a result of ``find``, with the same arguments, comes to."""
        part = within.concepts if within else None
        if self.search.concept_score == "sum" or self.search.spelling:
            rank = rank_by_sum if self.search.concept_score == "sum" else rank_names
            scored = score_spelling(self.kb, mention.surface, result.names, self.search.spelling)
            return Prediction(mention, rank(self.kb, scored, k, part))
        candidates = rank_names(self.kb, [(h.name, h.score) for h in result.hypotheses], k, part)
        return Prediction(mention, candidates, exact=result.exact)

    def save(self, directory: str | Path) -> None:
        """Write one directory with everything: weights, tokenizer, names, trie, settings, and the manifest last.

        The directory is also a plain Hugging Face checkpoint. An old one at this place survives any failure. The card
        and the attribution that a model came with go along by ``Pipeline.save`` alone. Raises ModelError where it would
        replace a directory of something else.
        """
        require_replaceable(directory, KIND, ModelError)
        kb, trie = self.kb, self.trie
        if kb.report is None:  # an overlay: saved, it is compiled, and its keys get other indices
            kb = KnowledgeBase.from_concepts(kb, normalisation=kb.normalisation, provenance=kb.provenance)
            trie = build_trie(kb, self.encoding, self.search.name_tokens)
        with atomic_directory(directory) as target:
            save_bart(self.model, self.tokenizer, target)
            kb.save(target / "kb")
            trie.save(target / "trie")
            write_model(
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
                    "normaliser": self.normaliser,
                },
            )

    @classmethod
    def load(cls, directory: str | Path, *, kb: KnowledgeBase | None = None) -> GenerativeLinker:
        """Open a directory written by ``save``; with ``kb``, over another dictionary than the saved one.

        Raises ModelError, with what mends it, for a changed file (each is hashed) and parts that do not fit together.
        """
        directory = Path(directory)
        manifest = read_model(directory, KIND, FORMAT_VERSION, without=("kb", "trie") if kb is not None else ())
        model, tokenizer = open_bart(directory, fact(directory, manifest, "tokenizer_hash"))
        if sum(p.numel() for p in model.parameters()) != fact(directory, manifest, "parameters"):
            raise ModelError(f"{directory}: the weights are of a model of another size. Copy the original ones back.")
        saved_kb, trie = KnowledgeBase.open(directory / "kb"), None
        if kb is not None:
            check_normalisation(kb, saved_kb)
        elif saved_kb.content_hash != fact(directory, manifest, "kb_hash"):
            raise ModelError(
                f"{directory}: kb/ is not the knowledge base that the trie was built from. Copy the original kb/ back, "
                "or give the wanted one with --kb."
            )
        else:
            trie = NameTrie.open(directory / "trie")
            names = fact(directory, manifest, "names")
            if trie.n_names != names or trie.name_of(int(trie.name_leaf[-1])) >= saved_kb.n_keys:
                raise ModelError(f"{directory}: trie/ was not built from kb/. Copy the original trie/ back.")
        return cls(
            model,
            tokenizer,
            saved_kb if kb is None else kb,
            template=settings(Template, directory, manifest, "template"),
            search=settings(SearchSettings, directory, manifest, "search"),
            preprocessing=settings(Preprocessing, directory, manifest, "preprocessing"),
            normaliser=fact(directory, manifest, "normaliser"),
            trie=trie,
        )

    @property
    def context_characters(self) -> int:
        """How much text on each side of a mention the model can read."""
        return self.encoding.context_characters

    @property
    def index_bytes(self) -> int:
        """What the trie of the names takes on disk or in memory."""
        return self.trie.nbytes

    def describe(self) -> dict[str, Any]:
        """Facts for a result file: size of the model and settings of the search."""
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "names": self.trie.n_names,
            "template": asdict(self.template),
            "search": asdict(self.search),
            "normaliser": self.normaliser,
            "precision": precision_of(self.model),
        }


@dataclass(frozen=True, slots=True)
class _Question:
    """What a search depends on; mentions with equal ones share it."""

    source: tuple[int, ...]
    prefix: tuple[int, ...]
    within: Restriction | None


def build_trie(kb: KnowledgeBase, encoding: Encoding, name_tokens: int) -> NameTrie:
    """The trie of every key of the dictionary, under its key index; see :func:`genlink.data.spelling.spell_trie`."""
    return spell_trie((kb.key(i) for i in range(kb.n_keys)), encoding, name_tokens)
