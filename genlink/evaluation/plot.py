"""Plots as pictures, reliability diagrams among them. matplotlib, an extra, is imported when a picture is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlink.errors import UsageError
from genlink.files import atomic_file
from genlink.metrics import ReliabilityBin

__all__ = ["draw_reliability", "drawing"]

_BARS, _LINE, _PANEL = "#4c78a8", "#333333", (3.2, 4.2)  # inches


@contextmanager
def drawing(path: str | Path, size: tuple[float, float], source: str | None = None) -> Iterator[Any]:
    """Yield a matplotlib figure of ``size`` inches that is written as SVG or PNG, atomically, when the block ends well.

    The bytes depend on what is drawn, the release of matplotlib and nothing else: no date, and no settings of the
    user's. ``source`` is kept in the file, to say what it was drawn from. Raises UsageError for another kind of file,
    and where matplotlib is not installed.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise UsageError(f"{path}: a plot is an SVG or PNG file; name it *.svg or *.png.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError(
            "A plot needs matplotlib, which is in the extra `plot`: pip install 'genlink[plot]'. What it shows is "
            "printed as a table without it."
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Element ids of an SVG are drawn at random unless salted; text stays text, whatever fonts there are.
        matplotlib.rcParams.update({"svg.hashsalt": "genlink", "svg.fonttype": "none"})
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        facts = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
        with atomic_file(path, "wb") as f:
            figure.savefig(f, format=kind, dpi=150, metadata={**facts, "Description": source})


def draw_reliability(path: str | Path, diagrams: Mapping[str, Sequence[ReliabilityBin]]) -> None:
    """Draw a panel for each diagram, by ``drawing``: share of right answers, and n, by probability."""
    with drawing(path, (_PANEL[0] * len(diagrams), _PANEL[1])) as figure:
        panels = figure.subplots(2, len(diagrams), sharex=True, squeeze=False, height_ratios=(3, 1))
        for (title, bins), upper, lower in zip(diagrams.items(), *panels, strict=True):
            _draw(upper, lower, title, bins)
        panels[0][0].set_ylabel("share of right answers")
        panels[1][0].set_ylabel("n")


def _draw(upper: Any, lower: Any, title: str, bins: Sequence[ReliabilityBin]) -> None:
    filled = [b for b in bins if b.n]
    lows, widths = [b.low for b in filled], [b.high - b.low for b in filled]
    upper.bar(lows, [b.accuracy for b in filled], widths, align="edge", color=_BARS, edgecolor="white")
    upper.plot([0, 1], [0, 1], color=_LINE, linewidth=1, linestyle="--")
    upper.plot(
        [b.confidence for b in filled],
        [b.accuracy for b in filled],
        color=_LINE,
        marker="o",
        markersize=3,
        linestyle="none",
    )
    upper.set(title=title, xlim=(0, 1), ylim=(0, 1))
    lower.bar(lows, [b.n for b in filled], widths, align="edge", color=_BARS, edgecolor="white")
    lower.set(xlabel="probability of the answer")
