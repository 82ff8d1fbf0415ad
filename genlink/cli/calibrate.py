"""``genlink calibrate``: from the scores of a linker to probabilities, and a threshold for NIL."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import Order, SystemName
from genlink.data_paths import display, locate

__all__ = ["calibrate"]


def calibrate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Of a dev set; written by `genlink evaluate`.")
    ],
    ambiguous: Annotated[
        str, typer.Option(help="When an ambiguous name is right: lenient, std or strict.")
    ] = "lenient",
    folds: Annotated[
        int, typer.Option(min=1, help="Folds of documents to measure by; 1 measures on the mentions of the fit.")
    ] = 5,
    output: Annotated[Path | None, typer.Option(help="Where to write the calibration (JSON).")] = None,
    result: Annotated[Path | None, typer.Option(help="Where to write the measures and where they are from.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the reliability diagram (.svg or .png); needs matplotlib.")
    ] = None,
    nil: Annotated[
        bool,
        typer.Option("--nil/--no-nil", help="Fit a threshold for NIL; without, mentions that are NIL are left out."),
    ] = True,
    name: SystemName = None,
    order: Order = 0,
    seed: Annotated[int, typer.Option(help="Seed of the folds and of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Fit what turns a linker's scores into probabilities of being right, and the threshold below which it says NIL.

    p(answer) = exp(score / T) / (sum over its ranks of exp(score / T) + exp(b)). The temperature T, the logit b of all
    that is not listed, and the threshold are fitted to all mentions. What they are worth is measured by cross-fitting:
    no document is scored with parameters that it was fitted to.

    \b
    Examples:
      genlink calibrate runs/model/predictions.jsonl
      genlink calibrate runs/model/predictions.jsonl --output calibration.json --plot reliability.svg
      genlink calibrate predictions.jsonl --no-nil --output calibration.json
      genlink calibrate predictions.jsonl --ambiguous strict --folds 10 --result results/calibration/model.json
    """
    from genlink.evaluation import read_predictions
    from genlink.evaluation.calibration_report import gather_answers, report_calibration
    from genlink.evaluation.plot import draw_reliability
    from genlink.evaluation.results import result_record
    from genlink.evaluation.show import print_calibration
    from genlink.files import sha256, write_json
    from genlink.linkers.calibration import FittedOn

    records = read_predictions(locate(predictions))
    kept = [record for record in records if nil or record.gold is None or any(record.concepts)]
    answers = gather_answers(kept, ambiguous)
    report = report_calibration(answers, folds=folds, seed=seed)
    fitted_on = FittedOn(display(predictions), sha256(locate(predictions)), report.n, report.n_nil, ambiguous)
    calibration = replace(report.calibration, fitted_on=fitted_on)
    record = result_record(
        command=sys.argv,
        data=[predictions],
        seed=seed,
        n=report.n,
        settings={
            "name": name or display(predictions),
            "order": order,
            "calibration": asdict(calibration),
            "folds": report.folds,
            "cross_fitted": report.folds > 1,
            "documents": report.documents,
            "unlabelled": report.unlabelled,
            "reliability": {row: [asdict(b) for b in bins] for row, bins in report.bins.items()},
        },
        metrics=report.rows,
    )
    if plot:  # first: it is what can fail for want of a library, and then nothing has been written
        draw_reliability(plot, report.bins)
        _note(f"Wrote {plot}.")
    if output:
        calibration.save(output)
        _note(f"Wrote {output}.")
    if result:
        write_json(result, record)
        _note(f"Wrote {result}.")
    if as_json:
        print(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        print_calibration(report, seed)


def _note(text: str) -> None:
    print(text, file=sys.stderr)
