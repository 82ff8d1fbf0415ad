"""Markdown pages: their fenced blocks, and the commands of a console with what they print."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))

_BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def blocks(text: str, info: str) -> list[tuple[str, str]]:
    """(info string, body) of the fenced blocks whose info string matches a pattern."""
    return [(m["info"], m["body"]) for m in _BLOCK.finditer(text) if re.fullmatch(info, m["info"])]


def prose(text: str) -> str:
    return _BLOCK.sub("", text)


def commands(console: str) -> list[tuple[str, str]]:
    """(command, what it prints) of a console: a command stands behind ``$``, and a backslash continues it."""
    return [(match[1].replace("\\\n", " "), match[2]) for match in _COMMAND.finditer(console)]
