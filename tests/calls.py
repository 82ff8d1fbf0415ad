"""The types of what fixtures of every folder give, so that a test can say what it takes."""

from __future__ import annotations

from collections.abc import Callable

from genlink.linkers.generative import GenerativeLinker

Run = Callable[..., tuple[int, str, str]]
"""A command with these arguments: exit code, stdout, stderr."""

MakeLinker = Callable[..., GenerativeLinker]
"""A generative linker of random weights over a knowledge base."""
