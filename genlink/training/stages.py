"""The training stages: from a recipe to a model directory."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import BartForConditionalGeneration, PreTrainedTokenizerBase

from genlink.config import CorpusConfig, DevConfig, FinetuneConfig, PairsConfig, TrainConfig
from genlink.corpora import load_corpus
from genlink.data.batches import BatchSource, FinetuneBatches, PretrainBatches
from genlink.data.spelling import spell_trie
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.data.targets import MentionTargets, nearest_gold_names
from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import locate
from genlink.errors import CorpusError, UsageError
from genlink.evaluation import PRESETS, score_outcomes, to_record, training_names
from genlink.evaluation.results import result_record
from genlink.files import read_json, write_json
from genlink.kb import KnowledgeBase
from genlink.kb.load import load_merged
from genlink.linkers.bart import fresh_bart, load_bart, set_dropout
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import saved_normaliser, saved_template
from genlink.linkers.search_settings import SearchSettings
from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Mention
from genlink.templates import Template
from genlink.training.loop import Run, train
from genlink.trie import NameTrie

__all__ = ["run_stage"]

logger = logging.getLogger(__name__)


def run_stage(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    max_steps: int | None = None,
    result: Path | None = None,
) -> Run:
    """Carry out one training stage; the model lands in ``<output>/model``, metrics and checkpoint beside it.

    What was done and measured is kept as a result file, ``<output>/run.json``, and as ``result`` if given.
    ``max_steps`` shortens the recipe (its schedule too), for a dry run. Raises UsageError when the output holds another
    run and neither ``resume`` nor ``overwrite`` was asked for.
    """
    accelerator = Accelerator(mixed_precision=_precision(config.precision), cpu=not torch.cuda.is_available())
    output = Path(config.output)
    if resume:
        _check_recipe(output, config)
    elif not overwrite:
        _refuse_to_mix(output)
    optimiser = config.optimiser
    if max_steps is not None:
        optimiser = optimiser.model_copy(update={"steps": min(max_steps, optimiser.steps)})

    dictionary = load_merged(config.knowledge_base)
    sources = _pair_source(config.pairs, dictionary)
    template = _template(config)
    _compare_objectives(config)
    model, tokenizer = _model(config, template, sources)
    set_dropout(model, config.model.dropout)
    linker = _linker(config, model, tokenizer, dictionary, template)
    batches, sources = _batches(config, sources, linker)
    trie = _trie_of_targets(linker, sources) if config.objective == "trie" else None
    scorer = _DevScorer(config.dev, linker, accelerator) if config.dev else None
    keeps_best = config.dev is not None and config.dev.keep == "best"
    # An earlier run is deleted only now that all that this one reads was found.
    _claim(output, config, overwrite, accelerator)
    record = _record(config, linker, accelerator.num_processes)
    if resume and (output / "run.json").exists():  # what began the run stands for all of it
        begun = read_json(output / "run.json")
        record.update({key: begun[key] for key in ("command", "commit", "dirty", "created") if key in begun})
    if accelerator.is_main_process:
        write_json(output / "run.json", record)
    run = train(
        model,
        batches,
        optimiser,
        accelerator,
        pad=linker.encoding.pad,
        seed=config.seed,
        output=output,
        checkpoint_every=config.checkpoint_every,
        trie=trie,
        full_weight=config.full_weight if trie is not None else 1.0,
        resume=resume,
        score=scorer,
        score_every=config.dev.every if config.dev else 0,
        patience=config.dev.patience if config.dev else None,
        save_best=(lambda: linker.save(output / "model")) if keeps_best else None,
    )
    if accelerator.is_main_process:
        if not keeps_best:
            linker.save(output / "model")
        record["n"] = run.examples
        record["settings"]["run"] = dataclasses.asdict(run)
        for path in (output / "run.json", result):
            if path is not None:
                write_json(path, record)
    accelerator.wait_for_everyone()
    return run


def _record(config: TrainConfig, linker: GenerativeLinker, processes: int) -> dict[str, Any]:
    """A result file of a run as it begins: recipe, data, code. Its dev score steers it, and so is no result."""
    corpora = [*(config.corpus.train if config.corpus else ()), *([config.dev.corpus] if config.dev else ())]
    return result_record(
        command=sys.argv,
        data=dict.fromkeys([*config.knowledge_base, *config.pairs.sources, *corpora]),
        seed=config.seed,
        n=0,
        settings={
            "name": config.output,
            "recipe": config.model_dump(),
            "processes": processes,
            "linker": linker.describe(),
            "run": dataclasses.asdict(Run()),
        },
        metrics={},
    )


def _precision(wanted: str) -> str:
    """accelerate's word for the precision to compute in."""
    if wanted == "auto":
        # On a processor only matrix tiles (AMX) are a sure gain: with AVX512-BF16 alone, bf16 can be slower than fp32.
        cuda = torch.cuda.is_available()
        wanted = "bf16" if (torch.cuda.is_bf16_supported() if cuda else torch.cpu._is_amx_tile_supported()) else "fp32"
    return "no" if wanted == "fp32" else wanted


def _refuse_to_mix(output: Path) -> None:
    if any((output / name).exists() for name in ("metrics.jsonl", "checkpoint", "model")):
        raise UsageError(
            f"{output}: holds an earlier run. Add --resume to go on with it, or --overwrite to start anew."
        )


def _check_recipe(output: Path, config: TrainConfig) -> None:
    """Refuse to go on with a run of a recipe that learns something else."""
    if not (output / "config.json").exists():
        return
    try:  # as a recipe: one written before a key was there had its default
        begun = TrainConfig.model_validate(read_json(output / "config.json"))
    except ValueError:
        raise UsageError(
            f"{output}: was begun with a recipe that this version cannot read. Start anew with --overwrite."
        ) from None
    if difference := begun.first_difference(config):
        key, then, now = difference
        raise UsageError(
            f"{output}: was begun with {key} {then}, the recipe now has {now}. "
            "Go back to that, or start anew with --overwrite."
        )


def _claim(output: Path, config: TrainConfig, overwrite: bool, accelerator: Accelerator) -> None:
    """Make the output directory ours."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if overwrite:
            _remove_run(output)
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "config.json", config.model_dump())
    accelerator.wait_for_everyone()


def _remove_run(output: Path) -> None:
    """Delete what an earlier run of this recipe left, and nothing else."""
    for name in ("metrics.jsonl", "run.json", "config.json"):
        (output / name).unlink(missing_ok=True)
    for name in ("checkpoint", "model"):
        shutil.rmtree(output / name, ignore_errors=True)


def _pair_source(pairs: PairsConfig, dictionary: KnowledgeBase) -> KnowledgeBase:
    return load_merged(pairs.sources) if pairs.sources else dictionary


def _template(config: TrainConfig) -> Template:
    """The recipe's template, else the one that the checkpoint was trained with, else the default."""
    if config.template is not None:
        return Template(**config.template.model_dump())
    checkpoint = config.model.checkpoint
    return (saved_template(locate(checkpoint)) if checkpoint else None) or Template()


def _compare_objectives(config: TrainConfig) -> None:
    """Say so where a stage goes on with another objective than the one before it: seldom is it meant."""
    checkpoint = config.model.checkpoint
    begun = saved_normaliser(locate(checkpoint)) if checkpoint else None
    if begun not in (None, config.objective):
        logger.warning("%s was trained with objective %s; it goes on with %s", checkpoint, begun, config.objective)


def _model(
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


def _linker(
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


def _trie_of_targets(linker: GenerativeLinker, sources: KnowledgeBase) -> NameTrie:
    """All names that can be targets, those of the dictionary and of the pairs."""
    keys = dict.fromkeys(kb.key(i) for kb in (linker.kb, sources) for i in range(kb.n_keys))
    if len(keys) == linker.kb.n_keys:
        return linker.trie
    return spell_trie(keys, linker.encoding, linker.search.name_tokens)


def _batches(
    config: TrainConfig, sources: KnowledgeBase, linker: GenerativeLinker
) -> tuple[BatchSource, KnowledgeBase]:
    """The batches of a stage, and the knowledge base that their pairs are drawn from."""
    mix = SynonymMix(config.pairs.synonym, config.pairs.noise, config.pairs.identity, config.pairs.clause)
    size, encoding = config.optimiser.batch_size, linker.encoding

    def pairs(kb: KnowledgeBase) -> SynonymPairs:
        return SynonymPairs(kb, mix, config.pairs.max_name_length)

    if config.stage == "pretrain":
        batches = PretrainBatches(
            pairs(sources), encoding, batch_size=size, target_tokens=config.target_tokens, seed=config.seed
        )
        return batches, sources
    assert config.corpus is not None  # the recipe of this stage has it
    settings = config.finetune or FinetuneConfig()
    mentions = _training_mentions(config.corpus)
    labelled = nearest_gold_names(mentions, linker.kb, settings.targets)
    if not labelled:
        raise CorpusError(
            f"{', '.join(config.corpus.train)}: no mention has a gold concept in {', '.join(config.knowledge_base)}."
        )
    if len(labelled) < len(mentions):
        logger.warning(
            "%d of %d training mentions have no gold concept in the dictionary and are left out",
            len(mentions) - len(labelled),
            len(mentions),
        )
    if config.pairs.training_names:
        sources = sources.overlay(training_names(mentions, sources))
    finetune_batches = FinetuneBatches(
        MentionTargets(labelled, linker.kb, encoding, repetition=settings.repetition, noise=settings.noise),
        pairs(sources) if settings.replay else None,
        encoding,
        batch_size=size,
        target_tokens=config.target_tokens,
        replay=settings.replay,
        seed=config.seed,
    )
    return finetune_batches, sources


def _training_mentions(config: CorpusConfig) -> list[Mention]:
    """The prepared training mentions and, if asked for, those that an expansion has changed as they are written."""
    mentions = _mentions(config.train, config.types, Preprocessing(config.abbreviations, config.composites))
    if config.as_written:
        prepared = {(*mention.key, mention.part, mention.surface) for mention in mentions}
        written = _mentions(config.train, config.types, Preprocessing(False, config.composites))
        mentions += [m for m in written if (*m.key, m.part, m.surface) not in prepared]
    return mentions


def _mentions(paths: Sequence[str], types: Sequence[str], preprocessing: Preprocessing) -> list[Mention]:
    """The prepared mentions of some corpora, of the wanted types."""
    documents = [document for path in paths for document in load_corpus(locate(path))]
    mentions = [m for m in prepare(documents, preprocessing) if not types or m.type in types]
    if not mentions:
        raise CorpusError(f"{', '.join(paths)}: no mentions of the types {', '.join(types)}.")
    return mentions


class _DevScorer:
    """Acc@1 under the preset ``angel`` by linking the dev mentions, shared out among the processes."""

    def __init__(self, config: DevConfig, linker: GenerativeLinker, accelerator: Accelerator) -> None:
        mentions = _mentions([config.corpus], config.types, PRESETS["angel"].preprocessing)
        keys = sorted({m.key for m in mentions if any(map(linker.kb.resolve, m.gold_ids))})
        if not keys:
            raise CorpusError(f"{config.corpus}: no dev mention has a gold concept in the dictionary.")
        if config.limit is not None and config.limit < len(keys):
            keys = [keys[i * len(keys) // config.limit] for i in range(config.limit)]
        # Parts of a split composite stay together: they are judged together.
        mine = set(keys[accelerator.process_index :: accelerator.num_processes])
        self._mentions = [m for m in mentions if m.key in mine]
        self._linker = linker

    def __call__(self) -> float:
        records = [to_record(prediction, self._linker.kb) for prediction in self._linker.link(self._mentions, k=1)]
        outcomes, _ = score_outcomes(records, PRESETS["angel"])
        # Every process has its own mentions; the score is that of all of them.
        judged = gather_object([(sum(o.rank <= 1 for o in outcomes), len(outcomes))])
        return float(sum(right for right, _ in judged) / sum(n for _, n in judged))
