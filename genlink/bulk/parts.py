"""What an interrupted linking has done already: answers in parts, beside the output that they will become."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlink.errors import DataError, UsageError
from genlink.files import (
    atomic_directory,
    atomic_file,
    read_lines,
    read_manifest,
    require_replaceable,
    write_manifest,
)

__all__ = ["Parts", "parts_of"]

KIND = "linking in parts"
FORMAT_VERSION = 1


def parts_of(output: Path) -> Path:
    """Where the parts of an output lie until it is written."""
    return output.with_name(f"{output.name}.parts")


class Parts:
    """A directory of numbered files, each written whole or not at all: an answer a line, in the mentions' order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def begin(self, facts: Mapping[str, Any], *, resume: bool, overwrite: bool = False) -> None:
        """Make the directory or, with ``resume``, go on with one that was begun with the same ``facts``.

        Raises UsageError where it holds parts and neither is said, and where they were made of something else;
        DataError where it holds other files than parts, or is damaged.
        """
        if self.directory.exists() and not (resume or overwrite):
            raise UsageError(
                f"{self.directory}: holds what an interrupted linking has done. Give --resume to go on with it, or "
                "--overwrite to begin anew."
            )
        if self.directory.exists() and resume:
            try:
                begun = read_manifest(self.directory, KIND, FORMAT_VERSION)
            except DataError:
                raise DataError(f"{self.directory}: holds no parts that can be gone on with. Delete it.") from None
            if differing := [name for name in facts if begun.get(name) != facts[name]]:
                raise UsageError(
                    f"{self.directory}: was begun with another {' and another '.join(differing)}. Give the command as "
                    "it was, or --overwrite to begin anew."
                )
            return
        require_replaceable(self.directory, KIND)
        self.remove()
        with atomic_directory(self.directory) as fresh:
            write_manifest(fresh, KIND, FORMAT_VERSION, facts)

    def has(self, number: int) -> bool:
        """Whether a part is finished."""
        return self._path(number).is_file()

    def write(self, number: int, lines: Sequence[str]) -> None:
        """Finish a part."""
        with atomic_file(self._path(number)) as file:
            file.writelines(f"{line}\n" for line in lines)

    def read(self, number: int, expected: int) -> list[str]:
        """The lines of a finished part. Raises DataError where they are not as many as ``expected``."""
        lines = [line for _, line in read_lines(self._path(number), "utf-8")]
        if len(lines) != expected:
            raise DataError(
                f"{self._path(number)}: {len(lines)} answers for {expected} mentions. Delete this file and --resume."
            )
        return lines

    def remove(self) -> None:
        """Delete the directory and all that is in it; interrupted, it leaves nothing that looks like parts."""
        retired = self.directory.with_name(f".{self.directory.name}.old")
        shutil.rmtree(retired, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.directory.replace(retired)
        shutil.rmtree(retired, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08}.jsonl"
