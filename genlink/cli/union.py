"""``genlink union``: two linkers that answer together."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import Cache, Device, Encoding, Format
from genlink.data_paths import display, locate

__all__ = ["union"]


def union(
    generator: Annotated[str, typer.Argument(metavar="GENERATOR", help="The directory of a generative model.")],
    retriever: Annotated[
        str, typer.Argument(metavar="RETRIEVER", help="exact, tfidf, minilm, a model directory, or a published name.")
    ],
    output: Annotated[Path, typer.Option(help="The directory to write.", show_default=False)],
    dev: Annotated[
        Path | None,
        typer.Argument(metavar="[DEV]", help="Documents with gold ids to fit the weight to; without it there is none."),
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, help="Ranks of the retriever that are looked at.")] = 20,
    train: Annotated[
        list[Path] | None, typer.Option(help="Training corpus, for the names of kb+train. Repeatable.")
    ] = None,
    format: Format = "auto",
    encoding: Encoding = None,
    preset: Annotated[str, typer.Option(help="angel, biosyn or strict: by which right is told.")] = "angel",
    dictionary: Annotated[str | None, typer.Option(help="kb or kb+train; overrides the preset.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only mentions of this type. Repeatable.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of documents to measure by.")] = 5,
    device: Device = None,
    cache: Cache = None,
    result: Annotated[Path | None, typer.Option(help="Where to write the scores and where they are from.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds and of the bootstrap.")] = 0,
) -> None:
    """Make a linker of two: a generator, and a retriever that says what it may choose from.

    Without DEV the generator ranks the candidates of the retriever, and no others. With DEV the candidates of both are
    ranked by the generator's log-probability plus a weight times the retriever's score. The weight is the one with the
    best Acc@1 on DEV; what it is worth is measured by cross-fitting over documents. The directory names the two and
    holds neither: keep them where they are.

    \b
    Examples:
      genlink union runs/demo/model tfidf --output runs/demo/choosing
      genlink union runs/ncbi_disease/preference/model runs/ncbi_disease/sapbert/model data/ncbi_disease/dev.pubtator \\
          --train data/ncbi_disease/train.pubtator --output runs/ncbi_disease/fused
    """
    from genlink.corpora import load_corpus
    from genlink.errors import ModelError, UsageError
    from genlink.evaluation import choose_policy
    from genlink.evaluation.fusion import fit_fusion
    from genlink.evaluation.results import write_result
    from genlink.evaluation.run import prepare_setting
    from genlink.evaluation.show import print_fusion
    from genlink.files import require_replaceable
    from genlink.linkers.model_directory import UNION_KIND, UnionSettings, write_union
    from genlink.linkers.opening import open_union

    settings = UnionSettings(generator, retriever, candidates)
    if dev is None and result is not None:
        raise UsageError("Without DEV nothing is fitted, so there is no result to write.")
    require_replaceable(output, UNION_KIND, ModelError)
    linker = open_union(settings, None, device=device, cache=cache)
    if dev is None:
        write_union(output, settings)
        _note(f"Wrote {output}.")
        return
    policy = choose_policy(preset, dictionary=dictionary)
    documents = load_corpus(locate(dev), format, encoding=encoding)
    training = [d for path in train or () for d in load_corpus(locate(path), format, encoding=encoding)]
    setting = prepare_setting(documents, linker.kb, policy, training=training, types=types or ())
    if setting.kb is not linker.kb:
        linker = linker.with_kb(setting.kb)
    fit = fit_fusion(linker, setting.mentions, policy, folds=folds, seed=seed, progress=sys.stderr.isatty())
    settings = replace(settings, weight=fit.weight)
    write_union(output, settings)
    _note(f"Wrote {output}.")
    if result is not None:
        write_result(
            result,
            command=sys.argv,
            data=[dev, *(train or ())],
            seed=seed,
            n=fit.rows["fitted"]["acc@1"].n,
            settings={
                "name": display(output),
                "union": asdict(settings),
                "policies": {preset: asdict(policy)},
                "types": types or [],
                "grid": fit.grid,
                "fold_weights": fit.fold_weights,
                "linker": linker.describe(),
            },
            metrics=fit.rows,
        )
        _note(f"Wrote {result}.")
    print_fusion(fit.rows, fit.weight)


def _note(text: str) -> None:
    print(text, file=sys.stderr)
