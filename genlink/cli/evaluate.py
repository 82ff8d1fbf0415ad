"""``genlink evaluate``, ``genlink score`` and ``genlink compare``: what a linker is worth, and against another."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import (
    MODEL_HELP,
    BatchSize,
    Beams,
    Cache,
    Device,
    Encoding,
    Format,
    Index,
    Order,
    Precision,
    Ranks,
    Search,
    Spelling,
    SystemName,
)
from genlink.data_paths import display, locate

__all__ = ["compare", "evaluate", "score"]

Presets = Annotated[list[str], typer.Option("--preset", help="angel, biosyn or strict; repeat it to score by several.")]
Ambiguous = Annotated[str | None, typer.Option(help="lenient, std or strict; overrides the presets.")]
Composite = Annotated[str | None, typer.Option(help="any or all; overrides the presets.")]
Nil = Annotated[str | None, typer.Option(help="drop or count; overrides the presets.")]
Seed = Annotated[int, typer.Option(help="Seed of the bootstrap.")]
Errors = Annotated[int, typer.Option("--errors", min=0, help="How many kinds of errors to list.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

_DEFAULT_PRESETS = ["angel"]


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Documents with gold ids, in any known format.")],
    kb: Annotated[
        list[Path] | None,
        typer.Option(help="Knowledge base, a directory or a file; a model directory has its own. Repeat it to merge."),
    ] = None,
    train: Annotated[
        list[Path] | None, typer.Option(help="Training corpus: names for kb+train, and what is seen. Repeatable.")
    ] = None,
    format: Format = "auto",
    encoding: Encoding = None,
    preset: Presets = _DEFAULT_PRESETS,
    ambiguous: Ambiguous = None,
    composite: Composite = None,
    nil: Nil = None,
    dictionary: Annotated[str | None, typer.Option(help="kb or kb+train; overrides the presets.")] = None,
    mentions: Annotated[str | None, typer.Option(help="raw or preprocessed; overrides the presets.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only mentions of this type. Repeatable.")] = None,
    k: Ranks = 10,
    search: Search = None,
    beams: Beams = None,
    spelling: Spelling = None,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = None,
    index: Index = None,
    cache: Cache = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first documents.")] = None,
    output: Annotated[Path | None, typer.Option(help="Directory for predictions.jsonl and result.json.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Where to write the predictions (JSON lines).")] = None,
    result: Annotated[Path | None, typer.Option(help="Where to write the scores and where they are from.")] = None,
    name: SystemName = None,
    order: Order = 0,
    seed: Seed = 0,
    errors: Errors = 10,
    as_json: Json = False,
) -> None:
    """Link the mentions of a corpus and score the answers, with 95% intervals and a row for each kind of mention.

    A score is named by its policy: ambiguous names / composite mentions / NIL / dictionary / mentions. The presets
    angel and biosyn score as these papers do; strict is angel but for ambiguous names, which are wrong.

    \b
    Examples:
      genlink evaluate exact data/ncbi_disease/dev.pubtator --kb data/dictionaries/medic2012.txt --dictionary kb
      genlink evaluate tfidf data/ncbi_disease/dev.pubtator --kb data/dictionaries/medic2012.txt \\
          --train data/ncbi_disease/train.pubtator --preset angel --preset strict \\
          --result results/ncbi-disease/tfidf.json
      genlink evaluate models/ncbi data/ncbi_disease/dev.pubtator --train data/ncbi_disease/train.pubtator --beams 10
    """
    from genlink.corpora import load_corpus
    from genlink.encoders import MINILM, MINILM_PACKAGE
    from genlink.evaluation import choose_policy, score_predictions, to_record, write_predictions
    from genlink.evaluation.report import result_rows
    from genlink.evaluation.results import result_record
    from genlink.evaluation.run import prepare_setting
    from genlink.evaluation.show import print_reports
    from genlink.files import write_json
    from genlink.kb.load import load_merged, place_of_kb
    from genlink.linkers.opening import open_linker, place_of, systems_of

    policies = {
        p: choose_policy(p, ambiguous=ambiguous, composite=composite, nil=nil, dictionary=dictionary, mentions=mentions)
        for p in preset
    }
    policy = policies[preset[0]]  # all presets agree on dictionary and mentions, and overrides hold for all
    documents = load_corpus(locate(corpus), format, encoding=encoding)[:limit]
    training = [d for path in train or () for d in load_corpus(locate(path), format, encoding=encoding)]
    linker = open_linker(
        place_of(model),
        load_merged(kb) if kb else None,
        search=search,
        beams=beams,
        spelling=spelling,
        batch_size=batch_size,
        device=device,
        precision=precision,
        index=index,
        cache=cache,
    )
    setting = prepare_setting(documents, linker.kb, policy, training=training, types=types or ())
    if setting.kb is not linker.kb:
        linker = linker.with_kb(setting.kb)
    _note(f"Linking {len(setting.mentions)} mentions to {len(setting.kb)} concepts ({setting.kb.n_keys} names).")
    started = time.perf_counter()
    linked = linker.link(setting.mentions, k, progress=sys.stderr.isatty())
    _note(f"Linked in {time.perf_counter() - started:.1f} s.")

    records = [to_record(prediction, setting.kb) for prediction in linked]
    reports = {
        p: score_predictions(records, rules, k=k, seed=seed, kb=setting.kb, training=setting.training, n_errors=errors)
        for p, rules in policies.items()
    }
    systems = systems_of(model)
    models = [place for place in map(place_of, systems) if isinstance(place, Path)]
    sources = [corpus, *(train or ()), *map(place_of_kb, map(locate, kb or ())), *models]
    record = result_record(
        command=sys.argv,
        data=sources,
        seed=seed,
        n=reports[preset[0]].n,
        settings={
            "name": name or display(model),
            "order": order,
            "k": k,
            "policies": {p: asdict(rules) for p, rules in policies.items()},
            "dropped": {p: asdict(report.dropped) for p, report in reports.items()},
            "types": types or [],
            "limit": limit,
            "concepts": len(setting.kb),
            "names": setting.kb.n_keys,
            "names_added": setting.names_added,
            "linker": linker.describe(),
        },
        metrics=result_rows(reports),
        packages=[MINILM_PACKAGE] if MINILM in systems else [],
    )
    if path := predictions or (output / "predictions.jsonl" if output else None):
        write_predictions(path, records)
        _note(f"Wrote {path}.")
    if path := result or (output / "result.json" if output else None):
        write_json(path, record)
        _note(f"Wrote {path}.")
    if as_json:
        _print_json(record)
    else:
        print_reports(reports, {p: str(rules) for p, rules in policies.items()})


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Written by `genlink evaluate`.")],
    preset: Presets = _DEFAULT_PRESETS,
    ambiguous: Ambiguous = None,
    composite: Composite = None,
    nil: Nil = None,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Ranks asked for; as many as in the file.")] = None,
    biosyn: Annotated[
        Path | None, typer.Option(help="Also write them here in the JSON form of BioSyn, scored by its rule.")
    ] = None,
    seed: Seed = 0,
    errors: Errors = 10,
    as_json: Json = False,
) -> None:
    """Score a predictions file again, under any policy; needs neither the model nor the knowledge base.

    The dictionary and the treatment of mentions were settled when the file was made.

    \b
    Examples:
      genlink score predictions.jsonl
      genlink score predictions.jsonl --preset angel --preset strict --nil count --json
    """
    from genlink.evaluation import choose_policy, read_predictions, score_predictions
    from genlink.evaluation.biosyn_json import biosyn_predictions
    from genlink.evaluation.report import result_rows
    from genlink.evaluation.show import print_reports
    from genlink.files import write_json

    policies = {p: choose_policy(p, ambiguous=ambiguous, composite=composite, nil=nil) for p in preset}
    records = read_predictions(locate(predictions))
    k = k or max((candidate.rank for record in records for candidate in record.candidates), default=1)
    if biosyn is not None:
        write_json(biosyn, biosyn_predictions(records, k))
        _note(f"Wrote {biosyn}.")
    reports = {p: score_predictions(records, rules, k=k, seed=seed, n_errors=errors) for p, rules in policies.items()}
    if as_json:
        metrics = {
            row: {measure: estimate.to_dict() for measure, estimate in measures.items()}
            for row, measures in result_rows(reports).items()
        }
        _print_json(
            {
                "policies": {p: rules.scoring for p, rules in policies.items()},
                "dropped": {p: asdict(report.dropped) for p, report in reports.items()},
                "k": k,
                "seed": seed,
                "metrics": metrics,
            }
        )
    else:
        print_reports(reports, {p: rules.scoring for p, rules in policies.items()})


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Predictions of one system.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Predictions of another, over the same mentions.")],
    preset: Annotated[str, typer.Option(help="angel, biosyn or strict.")] = "angel",
    ambiguous: Ambiguous = None,
    composite: Composite = None,
    nil: Nil = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Is B better than A? The difference in Acc@1 with its interval over documents, and McNemar's exact test.

    \b
    Examples:
      genlink compare tfidf.jsonl model.jsonl
      genlink compare tfidf.jsonl model.jsonl --preset strict --json
    """
    from genlink.evaluation import choose_policy, compare_predictions, read_predictions
    from genlink.evaluation.show import print_comparison

    policy = choose_policy(preset, ambiguous=ambiguous, composite=composite, nil=nil)
    one, two = read_predictions(locate(first)), read_predictions(locate(second))
    compared = compare_predictions(one, two, policy, seed=seed)
    if as_json:
        _print_json({"policy": policy.scoring, "A": display(first), "B": display(second), **asdict(compared)})
    else:
        print_comparison(compared, f"{preset}: {policy.scoring}")


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
