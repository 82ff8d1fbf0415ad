"""Which format a corpus is in, told by its beginning."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genlink.corpora.marked import MARKED, marks
from genlink.corpora.readers.bio import DOCSTART, TAG
from genlink.errors import CorpusError, FormatError
from genlink.files import require_file

__all__ = ["sniff_format"]

_HEAD = 1 << 16
_PUBTATOR = re.compile(r"[^|\t]+\|[ta]\|")


def _head(path: Path) -> str:
    """The first 64 KiB, whatever their encoding, without leading blank lines."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(path, f"truncated or broken gzip ({error}).", advice="Download it again.") from None


def _json_format(head: str, path: Path) -> str:
    line = head.split("\n", 1)[0]
    try:
        record: Any = json.loads(line)
    except (RecursionError, ValueError):
        # Cut off, or spread over lines: go by the keys in sight.
        record = dict.fromkeys(re.findall(r'"(\w+)"\s*:', head))
    if isinstance(record, list):
        record = record[0] if record and isinstance(record[0], dict) else {}
    if {"mention_id", "candidates", "gold_concepts"} <= record.keys():
        raise CorpusError(
            f"{path}: holds the predictions of `genlink link` or `evaluate`, and no texts. Give the corpus that they "
            "were made from, or answers written with --to jsonl; `genlink score` and `calibrate` read predictions."
        )
    if {"documents", "PubTator3"} & record.keys():
        return "bioc-json"
    if _is_spacy(record):
        return "spacy"
    if head.startswith("["):
        return "bioc-json"
    if "document_id" in record:
        return "bigbio"
    return "jsonl"


def _is_spacy(record: Mapping[str, Any]) -> bool:
    return "text" in record and (
        "ents" in record or ("spans" in record and not {"mentions", "entities"} & record.keys())
    )


def _is_tagged(head: str) -> bool:
    """Whether each whole line, but blank ones, has a tag behind its first column."""
    lines = head.split("\n")
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines[:-1] or lines if line.strip()]
    return bool(rows) and all(row[0] == DOCSTART or any(map(TAG.fullmatch, row[1:])) for row in rows)


def sniff_format(path: str | Path) -> str:
    """The name of the format that the file or directory begins like.

    Raises FormatError if it begins like none, and CorpusError if it holds predictions instead.
    """
    path = Path(path)
    if path.is_dir():
        if any(path.glob("*.concept")):
            return "biosyn"
        raise FormatError(path, "a directory without .concept files.", advice="Name a file, or the format (--format).")
    head = _head(require_file(path))
    first = head.split("\n", 1)[0].rstrip("\r")
    if first.startswith("<"):
        return "bioc-xml"
    if first.startswith("{") or (first.startswith("[") and not MARKED.match(first)):
        return _json_format(head, path)
    if _PUBTATOR.match(first):
        return "pubtator"
    if _is_tagged(head):
        return "bio"
    if first.count("\t") == 2:
        return "phrases"
    if any(marks(head)):
        return "text"
    raise FormatError(path, "its beginning is that of no known corpus format.", advice="Name it (--format).")
