"""Draw the plots of docs/images anew from results/**/*.json: a function a plot.

python scripts/make_plots.py            draw them
python scripts/make_plots.py --check    draw nothing, exit 1 if a plot is not of its result file
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genlink.errors import GenLinkError
from genlink.evaluation import read_result
from genlink.evaluation.plot import drawing
from genlink.files import sha256

SIZE, WIDE = (6.0, 4.0), (11.0, 5.0)  # inches
# The rows of the search that are drawn: those compared with `generate` at its best batch size, in fp32.
SHOWN = ("search, fp32", "search, int8", "search, fp32, trie", "search, int8, trie")


def draw_memory(figure: Any, metrics: dict[str, Any]) -> None:
    """Resident memory by the number of names, a line for each index; hollow where it was computed, not measured."""
    axes = figure.subplots()
    for index in ("dense, 768 x fp32", "nested dicts", "trie"):
        rows = {row: cells for row, cells in metrics.items() if row.startswith((f"{index}, ", f"{index} (computed), "))}
        x, y = ([cells[key]["value"] for cells in rows.values()] for key in ("names", "resident_mb"))
        [line] = axes.plot(x, y, label=index)
        for names, megabytes, row in zip(x, y, rows, strict=True):
            inside = "white" if "(computed)" in row else line.get_color()
            axes.plot(names, megabytes, marker="o", color=line.get_color(), markerfacecolor=inside)
    axes.set(xscale="log", yscale="log", xlabel="names", ylabel="resident MB")
    axes.grid(True, alpha=0.3)
    axes.legend(frameon=False)


def draw_search(figure: Any, metrics: dict[str, Any]) -> None:
    """How many times as fast as `generate` each way to search is, a group of bars for each shape."""
    axes = figure.subplots()
    ratios = {tuple(row.split(": ", 1)): cells["ratio"]["value"] for row, cells in metrics.items() if "ratio" in cells}
    shapes = list(dict.fromkeys(shape for shape, _ in ratios))
    ways = [way for way in dict.fromkeys(way for _, way in ratios) if way in SHOWN]
    for i, way in enumerate(ways):
        places = [group + (i + 0.5) / (len(ways) + 1) for group in range(len(shapes))]
        axes.bar(places, [ratios[shape, way] for shape in shapes], 0.9 / (len(ways) + 1), label=way)
    axes.set(ylabel="times as fast as generate, fp32", xticks=[group + 0.45 for group in range(len(shapes))])
    axes.set_xticklabels(shapes)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.legend(frameon=False)


def draw_benchmark(figure: Any, metrics: dict[str, Any]) -> None:
    """Acc@1 with its interval by resident memory and by the time of a mention, over the first dictionary; numbered."""
    dictionary = next(iter(metrics)).split(": ", 1)[0]
    rows = {row.split(": ", 1)[1]: cells for row, cells in metrics.items() if row.startswith(f"{dictionary}: ")}
    panels = figure.subplots(1, 2, sharey=True)
    for axes, cost, label in zip(panels, ("resident_mb", "ms_single"), ("resident MB", "milliseconds"), strict=True):
        for number, (name, cells) in enumerate(rows.items(), 1):
            accuracy = cells["acc@1"]
            if cost not in cells or not cells[cost]["value"]:
                continue
            x, y = cells[cost]["value"], 100 * accuracy["value"]
            ends = [100 * accuracy[end] if accuracy[end] is not None else y for end in ("low", "high")]
            color = f"C{(number - 1) % 10}"
            axes.vlines(x, *ends, color=color, alpha=0.4)
            axes.plot(x, y, marker="o", color=color, linestyle="none", label=f"{number} {name}")
            axes.annotate(str(number), (x, y), textcoords="offset points", xytext=(6, 3))
        axes.set(xscale="log", xlabel=label)
        axes.grid(True, alpha=0.3)
    panels[0].set_ylabel(f"Acc@1, {dictionary}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)


Draw = Callable[[Any, dict[str, Any]], None]

# Plot: the result file that it is drawn from, the function that draws its metrics, and its size.
PLOTS: dict[str, tuple[str, Draw, tuple[float, float]]] = {
    "docs/images/memory.svg": ("results/memory/index.json", draw_memory, SIZE),
    "docs/images/search.svg": ("results/search/shapes.json", draw_search, SIZE),
}


def all_plots(root: Path) -> dict[str, tuple[str, Draw, tuple[float, float]]]:
    """The plots above, and one for each benchmark that there is a result file of."""
    found = sorted(path.stem for path in (root / "results" / "benchmark").glob("*.json"))
    return PLOTS | {
        f"docs/images/benchmark_{corpus}.svg": (f"results/benchmark/{corpus}.json", draw_benchmark, WIDE)
        for corpus in found
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. ``arguments`` are those of the command line if left out."""
    parser = argparse.ArgumentParser(description="Draw the plots of docs/images from results/.")
    parser.add_argument("--check", action="store_true", help="draw nothing; exit 1 if a plot is not of its result file")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="the repository")
    options = parser.parse_args(arguments)
    stale = []
    try:
        for plot, (result, draw, size) in all_plots(options.root).items():
            path, data = options.root / plot, options.root / result
            # Other releases of matplotlib draw other bytes: a plot is told by the numbers that it names.
            source = f"{result}, sha256 {sha256(data)}"
            if not options.check:
                with drawing(path, size, source) as figure:
                    draw(figure, read_result(data)["metrics"])
            elif not path.exists() or source not in path.read_text(encoding="utf-8"):
                stale.append(plot)
    except GenLinkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for plot in stale:
        print(f"{plot}: is not of its result file")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
