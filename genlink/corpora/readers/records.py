"""Help for readers of JSON and of passages: fields checked with their line, texts put together by their offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from genlink.errors import FormatError

__all__ = ["assembled", "list_of", "mention_ids", "required", "spans_of"]

T = TypeVar("T")
_GAP = 1 << 20  # blanks that an offset may ask for: a wrong one must not fill the memory
_WORDS = {str: "a string", list: "a list", dict: "an object", int: "a number"}


def required(record: Mapping[str, Any], key: str, kind: type[T], path: Path, line: int | None) -> T:
    """``record[key]``, or a FormatError if it is missing or of another kind."""
    if key not in record:
        raise FormatError(path, f"no `{key}`.", line=line, advice=f"Found: {', '.join(map(str, record)) or 'nothing'}.")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FormatError(path, f"`{key}` is {type(value).__name__}, expected {_WORDS[kind]}.", line=line)
    return value


def list_of(values: Iterable[Any], kind: type[T], what: str, path: Path, line: int | None = None) -> list[T]:
    """The values as a list, or a FormatError if one is of another kind."""
    values = list(values)
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FormatError(path, f"`{what}` holds {type(value).__name__}, expected {_WORDS[kind]}.", line=line)
    return values


def spans_of(values: Sequence[Any], what: str, path: Path, line: int | None) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers from lists of two, or a FormatError. Whether they fit the text is not asked here."""
    for pair in values:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)):
            raise FormatError(path, f"`{what}` holds {pair!r}, expected [start, end].", line=line)
    return tuple((start, end) for start, end in values)


def assembled(pieces: Iterable[tuple[int, str]], path: Path, document_id: str, line: int | None = None) -> str:
    """The text of a document from (offset, text) pieces in order; gaps between them are filled with blanks.

    Raises FormatError if a piece starts before the end of the one before it, or a million characters behind it.
    """
    text = ""
    for offset, piece in pieces:
        if offset < len(text):
            raise FormatError(
                path,
                f"document {document_id}: the passage at offset {offset} overlaps the one before, "
                f"which ends at {len(text)}.",
                line=line,
                advice="Offsets count characters from the start of the document.",
            )
        if offset - len(text) > _GAP:
            problem = f"document {document_id}: a gap of {offset - len(text)} characters before a passage."
            raise FormatError(path, problem, line=line, advice="Is its offset right?")
        text += " " * (offset - len(text)) + piece
    return text


def mention_ids(file_ids: Sequence[str]) -> list[str]:
    """The ids as the file gives them if each is given and unique within the document, else running numbers."""
    if all(file_ids) and len(set(file_ids)) == len(file_ids):
        return list(file_ids)
    return [str(i) for i in range(len(file_ids))]
