"""A model directory that is damaged is refused in a line that says how to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlink.errors import GenLinkError
from genlink.linkers.opening import open_linker
from genlink.schema import Mention, Prediction

MENDED = ("Build ", "Copy ", "Give ", "train", "Name ", "Write ", "Train ")


def answers(directory: Path) -> list[Prediction]:
    linker = open_linker(directory, None, device="cpu")
    return linker.link([Mention.in_context("No ", surface, ".") for surface in ("gout", "astma")], 3)


def damages(whole: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Ways to damage a file, None for its absence."""
    yield "cut in half", whole[: len(whole) // 2]
    yield "emptied", b""
    yield "absent", None
    yield "longer", whole + b"\x00" * 8
    for place in {0, min(9, len(whole) - 1), len(whole) // 2, len(whole) - 1} if whole else ():
        yield f"byte {place} changed", whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :]


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def test_each_file_that_is_damaged_is_refused(copy: Path) -> None:
    before = answers(copy)
    wrong = []
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        name, whole = str(path.relative_to(copy)), path.read_bytes()
        for damage, content in damages(whole):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            try:
                found = answers(copy)
            except GenLinkError as error:
                said = str(error)
                if str(copy) not in said or not any(word in said for word in MENDED) or "\n" in said:
                    wrong.append(f"{name}, {damage}: says {said}")
            except Exception as error:
                wrong.append(f"{name}, {damage}: {type(error).__name__}: {error}")
            else:
                # The manifest holds the hashes of the others, and has none of its own.
                if name != "manifest.json" or found != before:
                    wrong.append(f"{name}, {damage}: not noticed")
            path.write_bytes(whole)
    assert answers(copy) == before
    assert not wrong, "\n".join(wrong)


def test_parts_of_two_models_are_refused(copy: Path, tmp_path: Path, dictionary: Path) -> None:
    from genlink.kb import load_kb

    other = tmp_path / "other"
    kb = load_kb(dictionary).subset(ids=["C0", "C1"])
    open_linker(copy, None, device="cpu").with_kb(kb).save(other)  # type: ignore[union-attr]
    answers(other)
    for part in ("kb", "trie", "manifest.json"):
        mixed = Path(shutil.copytree(copy, tmp_path / f"mixed-{part}"))
        if (mixed / part).is_dir():
            shutil.rmtree(mixed / part)
            shutil.copytree(other / part, mixed / part)
        else:
            shutil.copy(other / part, mixed / part)
        with pytest.raises(GenLinkError, match=r"Copy the original|genlink"):
            answers(mixed)
