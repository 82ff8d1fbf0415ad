"""What a recipe names, made ready: knowledge bases, the model and its linker, the mentions to learn from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from transformers import BartForConditionalGeneration, PreTrainedTokenizerBase

from genlink.config import CorpusConfig, PairsConfig, TrainConfig
from genlink.corpora import load_corpus
from genlink.data.spelling import spell_trie
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import locate
from genlink.errors import CorpusError, UsageError
from genlink.kb import KnowledgeBase
from genlink.kb.load import load_merged
from genlink.linkers.bart import fresh_bart, load_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import saved_normaliser, saved_template
from genlink.linkers.search_settings import SearchSettings
from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Mention
from genlink.templates import Template
from genlink.text import normalise
from genlink.trie import NameTrie

__all__ = [
    "compare_objectives",
    "corpus_mentions",
    "folds",
    "load_or_make",
    "make_linker",
    "pair_source",
    "precision_word",
    "synonym_pairs",
    "training_mentions",
    "trie_of_targets",
    "wanted_template",
]

logger = logging.getLogger(__name__)


def precision_word(wanted: str) -> str:
    """accelerate's word for the precision to compute in."""
    if wanted == "auto":
        # On a processor only matrix tiles (AMX) are a sure gain: with AVX512-BF16 alone, bf16 can be slower than fp32.
        cuda = torch.cuda.is_available()
        wanted = "bf16" if (torch.cuda.is_bf16_supported() if cuda else torch.cpu._is_amx_tile_supported()) else "fp32"
    return "no" if wanted == "fp32" else wanted


def pair_source(pairs: PairsConfig, dictionary: KnowledgeBase) -> KnowledgeBase:
    return load_merged(pairs.sources) if pairs.sources else dictionary


def synonym_pairs(pairs: PairsConfig, sources: KnowledgeBase) -> SynonymPairs:
    """The pairs of a recipe, drawn from a knowledge base."""
    mix = SynonymMix(pairs.synonym, pairs.noise, pairs.identity, pairs.clause)
    return SynonymPairs(sources, mix, pairs.max_name_length)


def wanted_template(config: TrainConfig) -> Template:
    """The recipe's template, else the one that the checkpoint was trained with, else the default."""
    if config.template is not None:
        return Template(**config.template.model_dump())
    checkpoint = config.model.checkpoint
    return (saved_template(locate(checkpoint)) if checkpoint else None) or Template()


def compare_objectives(config: TrainConfig) -> None:
    """Say so where a stage goes on with another objective than the one before it: seldom is it meant."""
    checkpoint = config.model.checkpoint
    begun = saved_normaliser(locate(checkpoint)) if checkpoint else None
    if begun not in (None, config.objective):
        logger.warning("%s was trained with objective %s; it goes on with %s", checkpoint, begun, config.objective)


def load_or_make(
    config: TrainConfig, template: Template, names: KnowledgeBase
) -> tuple[BartForConditionalGeneration, PreTrainedTokenizerBase]:
    if config.model.checkpoint is not None:
        checkpoint = config.model.checkpoint
        if checkpoint.count("/") > 1 and not locate(checkpoint).exists():  # a name on the Hub has one
            raise UsageError(f"{checkpoint}: no such model. Carry out the recipe that trains it first.")
        model, tokenizer = load_bart(str(locate(checkpoint)) if locate(checkpoint).exists() else checkpoint)
        # A checkpoint in half precision would lose small updates; what is computed in half precision is autocast.
        return model.float(), tokenizer
    shape = config.model.shape
    assert shape is not None  # the recipe has one of the two
    words = [template.start, template.end, *template.prefix.replace("{mention}", "").split()]
    keys = (names.key(i) for i in range(names.n_keys))
    tokenizer = train_tokenizer(keys, shape.vocab_size, words)
    model = fresh_bart(
        tokenizer,
        width=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        heads=shape.heads,
        max_positions=shape.max_positions,
        seed=config.seed,
    )
    return model, tokenizer


def make_linker(
    config: TrainConfig,
    model: BartForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    dictionary: KnowledgeBase,
    template: Template,
) -> GenerativeLinker:
    """The linker that is scored on the dev set and saved; its model is trained in place."""
    return GenerativeLinker(
        model,
        tokenizer,
        dictionary,
        template=template,
        search=SearchSettings(**config.search.model_dump(), name_tokens=config.target_tokens),
        # Patterns split too much where no gold tells how many parts there are: unlabelled mentions stay whole.
        preprocessing=Preprocessing(abbreviations=config.corpus is None or config.corpus.abbreviations),
        normaliser=config.objective,
    )


def trie_of_targets(linker: GenerativeLinker, sources: KnowledgeBase) -> NameTrie:
    """All names that can be targets, those of the dictionary and of the pairs."""
    keys = dict.fromkeys(kb.key(i) for kb in (linker.kb, sources) for i in range(kb.n_keys))
    if len(keys) == linker.kb.n_keys:
        return linker.trie
    return spell_trie(keys, linker.encoding, linker.search.name_tokens)


def training_mentions(config: CorpusConfig) -> list[Mention]:
    """The prepared training mentions and, if asked for, those that an expansion has changed as they are written.

    Those of the fold that is left out are not among them.
    """
    mentions = corpus_mentions(config.train, config.types, Preprocessing(config.abbreviations, config.composites))
    if config.as_written:
        prepared = {(*mention.key, mention.part, mention.surface) for mention in mentions}
        written = corpus_mentions(config.train, config.types, Preprocessing(False, config.composites))
        mentions += [m for m in written if (*m.key, m.part, m.surface) not in prepared]
    if config.leave_out is None:
        return mentions
    fold_of = folds(mentions, config.leave_out.of)
    kept = [m for m, fold in zip(mentions, fold_of, strict=True) if fold != config.leave_out.fold]
    if not kept:
        raise CorpusError(
            f"{', '.join(config.train)}: no mentions are left without fold {config.leave_out.fold}. Give a corpus of "
            "several texts, or check corpus.types."
        )
    return kept


def folds(mentions: Sequence[Mention], of: int) -> list[int]:
    """The fold of each mention: texts are dealt out as they come, one to each fold in turn.

    Texts with the same key are one, since a model reads the same.
    """
    keys = [normalise(mention.surface) for mention in mentions]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return [number[key] % of for key in keys]


def corpus_mentions(paths: Sequence[str], types: Sequence[str], preprocessing: Preprocessing) -> list[Mention]:
    """The prepared mentions of some corpora, of the wanted types."""
    documents = [document for path in paths for document in load_corpus(locate(path))]
    mentions = [m for m in prepare(documents, preprocessing) if not types or m.type in types]
    if not mentions:
        raise CorpusError(f"{', '.join(paths)}: no mentions of the types {', '.join(types)}.")
    return mentions
