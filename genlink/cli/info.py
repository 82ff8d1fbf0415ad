"""``genlink info``: what a model directory holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from genlink.default import DEFAULT
from genlink.errors import UsageError

__all__ = ["info"]


def info(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="default (which comes with GenLink), or a model directory.")
    ] = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a model holds, whether its files are whole, and how much memory it takes.

    Every file is compared with the hash that it was saved with; the exit code is 1 where one differs. Memory is an
    estimate from the files, by component and precision. Knowledge base and trie are mapped: they are read from disk as
    far as they are used, and processes share them. No model is loaded.

    \b
    Examples:
      genlink info
      genlink info runs/demo/model
      genlink info runs/demo/model --json
    """
    from genlink.bundle.info import model_facts
    from genlink.files import read_json
    from genlink.linkers.model_directory import check_files
    from genlink.linkers.opening import place_of

    directory = place_of(model)
    if isinstance(directory, str):
        raise UsageError(f"{model}: is no model directory. Give `default`, or one that genlink train has written.")
    facts = model_facts(directory)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for name, value in _rows(facts):
            print(f"{name:<24}{value}")
    if facts.get("damaged_files"):
        check_files(directory, read_json(directory / "manifest.json"))


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if name in ("memory", "files", "damaged_files"):
            continue
        if name == "weights":
            yield "weights", f"{_megabytes(value['bytes'])} of {', '.join(value['dtypes'])}"
        elif name == "sources_of_names":
            shown = [f"{s['source']} ({s['format']}; licence: {s['licence'] or 'not recorded'})" for s in value]
            yield from zip(("sources of names", *[""] * len(shown)), shown or ["not recorded"], strict=False)
        elif name == "restricted_vocabularies":
            yield "restricted licence", ", ".join(value) or "none recognised"
        elif isinstance(value, dict):
            shown = [f"{key or 'no prefix'} {_shown(entry)}" for key, entry in value.items()]
            yield name.replace("_", " "), ", ".join(shown) or "none"
        else:
            yield name.replace("_", " "), _shown(value)
    if "files" in facts:
        broken = facts["damaged_files"]
        whole = f"all {facts['files']} files are those that were saved" if facts["files"] else "none recorded"
        yield "checksums", f"damaged: {', '.join(broken)}" if broken else whole
    for precision, parts in facts.get("memory", {}).items():
        total = f"{_megabytes(sum(parts.values()))}: " + ", ".join(f"{k} {_megabytes(v)}" for k, v in parts.items())
        yield f"memory in {precision}", total


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)


def _megabytes(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
