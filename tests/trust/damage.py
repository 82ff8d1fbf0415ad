"""Files damaged as files are: cut off, bytes changed, pieces doubled or taken out, traps for parsers put in.

By hypothesis, which makes what fails small, or led by coverage (the idea of AFL, https://lcamtuf.coredump.cx/afl/):
what reaches a new place of the code is kept, and damaged further.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import strategies as st

import genlink

NASTY = [
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x1f\x8b\x08",
        b"\xed\xa0\x80",
        b"\r",
        b"\n",
        b"\t",
        b"|",
        b"||",
        b'"',
        b"\\",
    ),
    *(b"-1", b"1e999", b"NaN", b"9" * 30, b"9" * 5000, b"\\ud800", b"\\u0000", b"null", b"true", b"0.5", b'""', b"[]"),
    *(b"{}", b"[" * 3000, b'{"a":' * 3000, b"<", b"</document>", b"<!DOCTYPE x>", b"&x;", b"[[", b"]]", b"(", b")"),
    *("\u2028".encode(), "\u0130".encode(), "e\u0301".encode(), b" (A) ", b"##", b"!"),
]
LONGEST = 12
PACKAGE = Path(genlink.__file__).parent


def accidents(content: bytes, start: int, end: int, piece: bytes) -> list[bytes]:
    """What can happen to a file between two places."""
    return [
        content[:start],
        content[:start] + content[end:],
        content[:end] + content[start:],
        content[:start] + piece + content[end:],
    ]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` after one to four accidents."""
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, LONGEST)))
        piece = draw(st.sampled_from(NASTY) | st.binary(min_size=1, max_size=3))
        content = draw(st.sampled_from(accidents(content, start, end, piece)))
    return content


def explored(
    work: Callable[[bytes], object], seeds: Sequence[bytes], rounds: int, package: Path = PACKAGE
) -> list[bytes]:
    """Give ``work`` the seeds and what becomes of them by accidents, round by round: those that led to a new place.

    Always the same, and an error of ``work`` ends it.
    """
    draw = random.Random(0)
    reached: set[tuple[object, ...]] = set()
    kept: list[bytes] = []
    for number in range(len(seeds) + rounds):
        content = seeds[number] if number < len(seeds) else _damaged_at_random(kept or seeds, draw)
        before = len(reached)
        _watched(work, content, reached, str(package))
        if len(reached) > before:
            kept.append(content)
    return kept


def _damaged_at_random(kept: Sequence[bytes], draw: random.Random) -> bytes:
    content = draw.choice(kept)
    for _ in range(draw.randint(1, 4)):
        start = draw.randint(0, len(content))
        end = min(len(content), start + draw.randint(0, LONGEST))
        other = draw.choice(kept)
        cut = draw.randint(0, len(other))
        pieces = (draw.choice(NASTY), draw.randbytes(draw.randint(1, 3)), other[cut : cut + LONGEST])
        content = draw.choice(accidents(content, start, end, draw.choice(pieces)))
    return content


def _watched(work: Callable[[bytes], object], content: bytes, reached: set[tuple[object, ...]], package: str) -> None:
    """Carry out the work, and add each step from line to line within the package to what is reached."""

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(package):
            return None
        last = 0

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                reached.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        work(content)
    finally:
        sys.settrace(before)
