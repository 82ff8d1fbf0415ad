"""Reports as tables for a terminal. Per cent begins here: everything below keeps shares in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from genlink.evaluation.benchmark_table import benchmark_rows
from genlink.evaluation.calibration_report import CALIBRATED, SOFTMAX, CalibrationReport
from genlink.evaluation.report import Report
from genlink.metrics import Estimate, PairedComparison, ReliabilityBin

__all__ = ["print_benchmark", "print_calibration", "print_comparison", "print_fusion", "print_reports"]

# Measures with an interval in print; of the others the value does, and the result file has everything.
_WITH_INTERVAL = ("acc@1",)
_PLAIN_WIDTH = 140  # of output to a file or a pipe, where there is no screen to fit
_BENCHMARK_WIDTH = 260
_ENOUGH_NIL = 50  # mentions, for a threshold to be more than chance


def print_reports(reports: Mapping[str, Report], policies: Mapping[str, str]) -> None:
    """Print a table for each preset to stdout, its policy spelled out, and the errors of the first."""
    console = _console()
    for preset, report in reports.items():
        console.print(_score_table(report, f"{preset}: {policies[preset]}"))
        left_out = report.dropped
        console.print(
            f"{report.n} mentions count. Left out: {left_out.unlabelled} unlabelled, {left_out.nil} NIL, "
            f"{left_out.out_of_kb} out of the knowledge base.\n"
        )
    preset, report = next(iter(reports.items()))
    if report.errors:
        table = Table("mention", "gold", "predicted", title=f"Most frequent errors ({preset})", title_justify="left")
        table.add_column("count", justify="right")
        for row in report.errors:
            table.add_row(row.mention, row.gold, row.predicted, str(row.count))
        console.print(table)


def print_comparison(compared: PairedComparison, title: str) -> None:
    """Print a paired comparison to stdout."""
    table = Table("", title=title, title_justify="left")
    for column in ("A", "B", "B - A [95%]", "only A right", "only B right", "McNemar p", "n"):
        table.add_column(column, justify="right")
    table.add_row(
        "acc@1",
        f"{100 * compared.first:.1f}",
        f"{100 * compared.second:.1f}",
        _cell(compared.difference, interval=True),
        str(compared.only_first),
        str(compared.only_second),
        f"{compared.p:.3g}",
        str(compared.difference.n),
    )
    _console().print(table)


def print_benchmark(record: Mapping[str, Any]) -> None:
    """Print the table of a benchmark's result file to stdout, and what is missing in it."""
    header, *rows = benchmark_rows(record)
    table = Table(*header[:2], title=record["settings"]["name"], title_justify="left")
    for column in header[2:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    # A row is a line, unless there is a screen to fit.
    (console if console.is_terminal else Console(markup=False, highlight=False, width=_BENCHMARK_WIDTH)).print(table)
    for missing in record["settings"]["not_run"]:
        console.print(f"Not run: {missing}.", soft_wrap=True)


def print_fusion(rows: Mapping[str, Mapping[str, Estimate]], weight: float) -> None:
    """Print what fusing two scores is worth to stdout, and the weight that was fitted."""
    table = Table("ranked by", title="Candidates of both linkers", title_justify="left")
    measures = list(dict.fromkeys(measure for of_row in rows.values() for measure in of_row))
    for measure in measures:
        table.add_column(f"{measure} [95%]", justify="right")
    for row, of_row in rows.items():
        table.add_row(row, *("–" if m not in of_row else _cell(of_row[m], interval=True) for m in measures))
    console = _console()
    console.print(table)
    console.print(f"Fitted to all mentions: weight {weight:.4g}. `cross-fitted` is what to expect of it elsewhere.")


def print_calibration(report: CalibrationReport, seed: int) -> None:
    """Print what a calibration is worth to stdout: the measures, the reliability diagram as a table, the parameters.

    Probabilities are not given in per cent.
    """
    console = _console()
    measures = list(dict.fromkeys(measure for row in report.rows.values() for measure in row))
    table = Table("probability of the answer", title="Calibration", title_justify="left")
    for measure in measures:
        table.add_column(f"{measure} [95%]" if measure == "ece" else measure, justify="right")
    for row, of_row in report.rows.items():
        table.add_row(row, *(_decimals(of_row.get(measure), measure == "ece") for measure in measures))
    console.print(table)
    console.print(_reliability_table(report.bins))
    console.print(
        f"{report.n} mentions of {report.documents} documents: {report.n_nil} are NIL or out of the knowledge base, "
        f"{report.n_answered} have a candidate.\nece, brier and nll are over those with a candidate. Left out: "
        f"{report.unlabelled} unlabelled."
    )
    if report.folds > 1:
        console.print(
            f"The row `{CALIBRATED}` is cross-fitted: {report.folds} folds of whole documents (seed {seed}), each "
            "scored with parameters that were fitted to the others."
        )
    else:
        console.print(f"The row `{CALIBRATED}` is measured on the mentions of the fit, and so flatters it.")
    fitted = report.calibration
    console.print(
        f"Fitted to all {report.n} mentions: temperature {fitted.temperature:.4g}, rest logit {fitted.rest_logit:.4g}, "
        f"at most {fitted.ranks} ranks."
    )
    if fitted.nil_threshold is None:
        console.print("No mention is NIL or out of the knowledge base, so there is no NIL threshold.")
    else:
        console.print(f"An answer is NIL if its probability is below {fitted.nil_threshold:.4g}.")
        if report.n_nil < _ENOUGH_NIL:
            console.print(
                f"That threshold rests on {report.n_nil} NIL mentions, too few to rely on: see nil_f1 and its "
                "interval, and set nil_threshold to null in the file where it does harm."
            )


def _reliability_table(bins: Mapping[str, tuple[ReliabilityBin, ...]]) -> Table:
    table = Table("probability", title="Right answers by probability", title_justify="left")
    shown = {row: bins[row] for row in (SOFTMAX, CALIBRATED)}
    for row in shown:
        for column in ("n", "mean", "right"):
            table.add_column(f"{row}\n{column}", justify="right")
    for places in zip(*shown.values(), strict=True):
        cells = (cell for b in places for cell in (str(b.n), _share(b.confidence), _share(b.accuracy)))
        table.add_row(f"{places[0].low:.3f}-{places[0].high:.3f}", *cells)
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _decimals(estimate: Estimate | None, interval: bool) -> str:
    if estimate is None:
        return "–"
    if not interval or estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _score_table(report: Report, title: str) -> Table:
    first = next(iter(report.rows.values()))
    table = Table("", title=title, title_justify="left")
    for measure in first:
        table.add_column(f"{measure} [95%]" if measure in _WITH_INTERVAL else measure, justify="right")
    table.add_column("n", justify="right")
    for row, measures in report.rows.items():
        cells = [_cell(estimate, measure in _WITH_INTERVAL) for measure, estimate in measures.items()]
        table.add_row(row, *cells, str(measures["acc@1"].n))
    return table


def _cell(estimate: Estimate, interval: bool) -> str:
    if not interval or estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f}"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _console() -> Console:
    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=_PLAIN_WIDTH)
