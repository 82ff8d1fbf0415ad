"""Tell the format of a knowledge base from its name and its first lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from genlink.errors import FormatError
from genlink.files import read_lines, require_file
from genlink.kb.readers.records import UTF8
from genlink.kb.readers.table import guessed_columns
from genlink.kb.readers.umls import find_mrconso

__all__ = ["sniff"]

_BY_SUFFIX = {".obo": "obo", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "obographs", ".rrf": "umls"}
# The first two fields of MRCONSO: concept and language. Its empty fields would pass for a dictionary's `||`.
_MRCONSO_ROW = re.compile(r"C[0-9]{7}\|[A-Z]{3}\|")
_ADVICE = "Pass --format."


def _dictionary_form(lines: Iterator[str]) -> str:
    """``biosyn`` or ``medic``: the latter has several names a row and therefore no id twice."""
    ids: set[str] = set()
    several_names = False
    for line in lines:
        ids_text, _, names = line.partition("||")
        concept_id = ids_text.partition("|")[0]
        if concept_id in ids:
            return "biosyn"
        ids.add(concept_id)
        several_names |= "|" in names
    return "medic" if several_names else "biosyn"


def _json_form(line: str) -> str:
    try:
        record = json.loads(line)
    except (RecursionError, ValueError):  # the first line of an indented document
        return "obographs"
    return "obographs" if isinstance(record, dict) and "graphs" in record else "jsonl"


def sniff(path: str | Path, encoding: str = UTF8) -> str:
    """The format of a knowledge base, one of FORMATS.

    A directory is a UMLS release. Names that end in .obo, .json, .jsonl or .rrf (or those and .gz) are trusted;
    otherwise the lines decide. Raises FormatError where they do not.
    """
    path = Path(path)
    if path.is_dir():
        if find_mrconso(path) is None:
            raise FormatError(path, "a directory without MRCONSO.RRF, so no UMLS release.", advice="Give a file.")
        return "umls"
    suffix = Path(require_file(path).name.lower().removesuffix(".gz")).suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    lines = (line for _, line in read_lines(path, encoding) if line.strip())
    first = next(lines, None)
    if first is None:
        raise FormatError(path, "is empty, so its format cannot be told.", advice=_ADVICE)
    if first.lstrip().startswith("{"):
        return _json_form(first)
    if first.startswith(("format-version:", "[Term]")):
        return "obo"
    # CTD's comment block has some thirty lines; a hundred leave it room to grow.
    if first.startswith("#") and any(line.strip() == "# Fields:" for line in islice(lines, 100)):
        return "ctd"
    if suffix in (".tsv", ".tab", ".csv"):
        return "table"
    if _MRCONSO_ROW.match(first):
        return "umls"
    if "||" in first:
        return _dictionary_form(line for _, line in read_lines(path, encoding) if line.strip())
    if any(guessed_columns(first.split(delimiter)) for delimiter in "\t,;"):
        return "table"
    raise FormatError(path, "its format cannot be told from its name or first lines.", advice=_ADVICE)
