"""What the cells of the tables in documents look like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["cell", "decimals", "markdown", "number", "per_cent", "with_interval"]


def cell(text: object) -> str:
    """A text that does not end its cell."""
    return str(text).replace("|", "\\|")


def decimals(estimate: Mapping[str, Any] | None) -> str:
    """An estimate with three digits after the point; a dash for none."""
    return f"{estimate['value']:.3f}" if estimate else "–"


def number(measured: Mapping[str, Any] | None) -> str:
    """Whole numbers as they are; of others three digits that count, and one after the point at least."""
    value = None if measured is None else measured["value"]
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    places = max(1, 2 - math.floor(math.log10(abs(value)))) if value else 1
    whole, _, fraction = f"{value:,.{places}f}".partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def per_cent(estimate: Mapping[str, Any] | None) -> str:
    """An estimate that is a share, with one digit after the point; a dash for none."""
    return f"{100 * estimate['value']:.1f}" if estimate else "–"


def with_interval(estimate: Mapping[str, Any] | None, show: Callable[[Mapping[str, Any]], str] = per_cent) -> str:
    """An estimate and, if it has one, its interval."""
    if estimate is None:
        return "–"
    if estimate["low"] is None:
        return show(estimate)
    low, high = (show({"value": estimate[end]}) for end in ("low", "high"))
    return f"{show(estimate)} [{low}, {high}]"


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A table, the first row its header and the second its rule."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
