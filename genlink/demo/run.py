"""Train a small generator from scratch and set it beside the trivial baselines, on mentions it has not seen."""

from __future__ import annotations

import sys
import time
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genlink.config import (
    CorpusConfig,
    FinetuneConfig,
    ModelConfig,
    ModelShape,
    OptimiserConfig,
    PairsConfig,
    SearchConfig,
    TrainConfig,
)
from genlink.corpora import load_corpus
from genlink.evaluation import Policy, Report, score_predictions, to_record, write_result
from genlink.evaluation.report import EVERYTHING
from genlink.evaluation.run import Setting, prepare_setting
from genlink.files import read_json
from genlink.kb import load_kb
from genlink.linkers import ExactLinker, GenerativeLinker, TfidfLinker
from genlink.linkers.opening import OpenedLinker
from genlink.schema import Prediction
from genlink.training.stages import run_stage

__all__ = ["run_demo"]

WIDTH = 110
# Sentences to show: the first mention of some held-out sentences, spread evenly.
SHOWN = 6


def run_demo(output: Path, steps: int, result: Path | None = None) -> None:
    """Train, score and show; the model is left in ``output/model``.

    ``result``: a result file with the scores and with everything that was printed.
    """
    console = Console(highlight=False, record=True, width=WIDTH)
    with as_file(files("genlink.demo") / "data") as data:
        started = time.monotonic()
        recipe = _recipe(data, output, steps)
        train, heldout = load_corpus(data / "train.jsonl"), load_corpus(data / "heldout.jsonl")
        kb = load_kb(data / "diseases.jsonl")
        console.print(
            f"{len(kb)} diseases with {kb.n_keys} names; {sum(len(d.mentions) for d in train)} mentions to train on, "
            f"{sum(len(d.mentions) for d in heldout)} held out.\n"
            f"Training a BART from scratch, tokenizer included, for {steps} steps."
        )
        run_stage(recipe, overwrite=_is_demo(output, recipe))
        generator = GenerativeLinker.load(output / "model")
        plain = prepare_setting(heldout, kb, Policy(dictionary="kb"), training=train)
        extended = prepare_setting(heldout, kb, Policy(), training=train)
        scores = {
            name: {
                dictionary: _score(linker, setting) for dictionary, setting in (("kb", plain), ("kb+train", extended))
            }
            for name, linker in (
                ("exact match", ExactLinker(kb)),
                ("TF-IDF", TfidfLinker(kb)),
                ("generator", generator),
            )
        }
        console.print(_table(scores))
        console.print("In brackets the 95% interval. 'names + train': the training mentions were added to the names.\n")
        _show(console, generator.link(plain.mentions, k=3))
        console.print(
            f"\nThis took {time.monotonic() - started:.0f} seconds. Now try it yourself:\n"
            f'  genlink link {output / "model"} --text "She has [[wheezing from asthma]] and [[kidney cancer]]."',
            markup=False,
        )
    if result is not None:
        any_report = scores["generator"]["kb"]
        write_result(
            result,
            command=sys.argv,
            data=[],
            seed=recipe.seed,
            n=any_report.n,
            settings={"name": "demo", "recipe": recipe.optimiser.model_dump(), "output": console.export_text()},
            metrics={
                f"{name}, {dictionary}": report.rows[EVERYTHING]
                for name, reports in scores.items()
                for dictionary, report in reports.items()
            },
        )


def _table(scores: dict[str, dict[str, Report]]) -> Table:
    n = next(iter(next(iter(scores.values())).values())).n
    table = Table("", title=f"{n} held-out mentions", title_justify="left")
    for heading in ("names: Acc@1", "Acc@5", "names + train: Acc@1", "Acc@5"):
        table.add_column(heading, justify="right")
    for name, reports in scores.items():
        cells = [_percent(report, measure) for report in reports.values() for measure in ("acc@1", "acc@5")]
        table.add_row(name, *cells)
    return table


def _is_demo(output: Path, recipe: TrainConfig) -> bool:
    """Whether an earlier demo left its model there: that may be replaced, anything else is somebody's work."""
    earlier = output / "config.json"
    return earlier.exists() and read_json(earlier)["knowledge_base"] == recipe.knowledge_base


def _recipe(data: Path, output: Path, steps: int) -> TrainConfig:
    """Fine-tuning from random weights: half of each batch are pairs of names, half the training mentions."""
    return TrainConfig(
        stage="finetune",
        output=str(output),
        knowledge_base=[str(data / "diseases.jsonl")],
        model=ModelConfig(
            shape=ModelShape(width=128, encoder_layers=2, decoder_layers=2, vocab_size=1024, max_positions=128),
            dropout=0.0,
        ),
        pairs=PairsConfig(training_names=True),
        corpus=CorpusConfig(train=[str(data / "train.jsonl")]),
        finetune=FinetuneConfig(replay=0.5, noise=0.5),
        # What is learnt is the choice that the search makes, and a concept has several names that may be meant.
        objective="trie",
        search=SearchConfig(concept_score="sum"),
        optimiser=OptimiserConfig(steps=steps, batch_size=64, learning_rate=1.5e-3, warmup_steps=50),
    )


def _score(linker: OpenedLinker, setting: Setting) -> Report:
    moved = linker if setting.kb is linker.kb else linker.with_kb(setting.kb)
    records = [to_record(prediction, setting.kb) for prediction in moved.link(setting.mentions, k=5)]
    return score_predictions(records, Policy(), k=5)


def _percent(report: Report, measure: str) -> str:
    estimate = report.rows[EVERYTHING][measure]
    if measure != "acc@1" or estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f}"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _show(console: Console, predictions: list[Prediction]) -> None:
    """A handful of mentions in their sentences, with what was chosen and what came next."""
    for prediction in predictions[:: max(1, len(predictions) // SHOWN)][:SHOWN]:
        mention = prediction.mention
        console.print(Text.assemble(mention.left, (f"[{mention.text}]", "bold"), mention.right))
        gold = mention.gold_ids
        for candidate in prediction.candidates:
            mark = "right" if candidate.concept_id in gold else ""
            console.print(
                f"  {candidate.rank}. {candidate.name:<42} {candidate.concept_id:<14} {candidate.score:7.2f}  {mark}"
            )
