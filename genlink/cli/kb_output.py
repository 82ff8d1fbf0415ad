"""What ``genlink kb`` prints: a report, the concepts of a name, a concept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from genlink.errors import KnowledgeBaseError

if TYPE_CHECKING:
    from genlink.kb import KnowledgeBase

__all__ = ["print_concept", "print_name", "print_report"]


def _facts(kb: KnowledgeBase, path: Path) -> dict[str, Any]:
    return {
        "path": str(path),
        "content_hash": kb.content_hash,
        "normalisation": asdict(kb.normalisation),
        "report": kb.report.to_json() if kb.report else None,
    }


def print_report(kb: KnowledgeBase, path: Path, as_json: bool) -> None:
    """Print where a knowledge base is, its hash, how its keys are made, and its build report."""
    if as_json:
        _print_json(_facts(kb, path))
        return
    steps = [step for step, on in asdict(kb.normalisation).items() if on]
    rows = [("content hash", kb.content_hash[:16]), ("normalisation", ", ".join(steps) or "white space only")]
    report: dict[str, Any] = kb.report.to_json() if kb.report else {"concepts": len(kb), "keys": kb.n_keys}
    vocabularies: dict[str, int] = report.pop("vocabularies", {})
    rows += [(fact.replace("_", " "), f"{value:,}") for fact, value in report.items()]
    rows += [(f"concepts of {prefix or 'no prefix'}", f"{count:,}") for prefix, count in vocabularies.items()]
    _print_table(str(path), ("fact", "value"), rows)


def print_name(kb: KnowledgeBase, name: str, as_json: bool) -> None:
    """Print the concepts that a name leads to. Raises KnowledgeBaseError where there is none."""
    key = kb.key_index(name)
    if key is None:
        raise KnowledgeBaseError(f"{name!r}: no concept has this name.")
    found = [(kb.concept_id_at(i), kb.canonical_name_at(i), kb.key_name(key, i)) for i in kb.key_concepts(key)]
    if as_json:
        concepts = [{"concept_id": i, "concept_name": canonical, "name": verbatim} for i, canonical, verbatim in found]
        _print_json({"name": name, "key": kb.key(key), "ambiguous": len(found) > 1, "concepts": concepts})
        return
    title = f"{kb.key(key)}" + (" (ambiguous)" if len(found) > 1 else "")
    _print_table(title, ("concept id", "canonical name", "name"), found)


def print_concept(kb: KnowledgeBase, concept_id: str, as_json: bool) -> None:
    """Print the concept that an id resolves to. Raises KnowledgeBaseError where it does not."""
    from genlink.kb.records import encode_concept

    resolved = kb.resolve(concept_id)
    if resolved is None:
        raise KnowledgeBaseError(f"{concept_id}: no such concept id in the knowledge base.")
    concept = kb.concept(resolved)
    record = json.loads(encode_concept(concept))
    if as_json:
        _print_json(record)
        return
    _print_table(
        resolved,
        ("field", "value"),
        [
            (field.replace("_", " "), "\n".join(value) if isinstance(value, list) else str(value))
            for field, value in record.items()
        ],
    )


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text, because names may hold what looks like markup
    Console().print(table)
