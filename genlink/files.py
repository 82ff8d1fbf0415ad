"""Files: read with errors that say what to do, write so that nothing is ever seen half written."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from genlink.errors import DataError, FormatError

__all__ = [
    "MANIFEST",
    "atomic_directory",
    "atomic_file",
    "has_manifest",
    "parse_json",
    "read_json",
    "read_jsonl",
    "read_lines",
    "read_manifest",
    "require_file",
    "require_replaceable",
    "sha256",
    "write_json",
    "write_manifest",
]

MANIFEST = "manifest.json"


def require_file(path: str | Path) -> Path:
    """``path``, or an error that says that it does not exist or is a directory."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the path, or see docs/data.md for where to get it.")
    if path.is_dir():
        raise DataError(f"{path}: is a directory, expected a file.")
    return path


def read_lines(path: str | Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """Yield (line number from one, line without its end) of a text file, gzipped or not.

    The default encoding is UTF-8 with or without a byte order mark. Only ``\\n``, ``\\r\\n`` and ``\\r`` end a line.

    Raises DataError (no such file) and FormatError (wrong encoding, truncated or broken gzip).
    """
    path = require_file(path)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    if path.suffix == ".gz" and not compressed:
        raise FormatError(path, "is not a gzip file, whatever its name says.", advice="Download it again.")
    number = 0
    try:
        with (gzip.open if compressed else open)(path, "rt", encoding=encoding) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(
            path, f"truncated or broken gzip ({error}).", line=number + 1, advice="Download it again."
        ) from None
    except UnicodeError as error:
        raise FormatError(
            path,
            f"not {'UTF-8' if encoding.startswith('utf-8') else encoding} text.",
            line=number + 1 + _lines_before(error),
            advice="Convert it, or name its encoding (for example --encoding cp1252).",
        ) from None
    except LookupError:
        raise DataError(f"{encoding}: unknown encoding. Use a name such as utf-8, cp1252 or latin-1.") from None


def _lines_before(error: UnicodeError) -> int:
    """How many lines end between the last one read and the byte at fault: text is decoded in blocks of many lines."""
    if not isinstance(error, UnicodeDecodeError):
        return 0
    good = error.object[: error.start].decode(error.encoding, "ignore")
    return good.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def read_jsonl(path: str | Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON-lines file, gzipped or not; blank lines are skipped."""
    for number, line in read_lines(path, encoding):
        if not line.strip():
            continue
        record = parse_json(line, path, number, "Expected an object a line.")
        if not isinstance(record, dict):
            raise FormatError(path, f"expected a JSON object, found {type(record).__name__}.", line=number)
        yield number, record


def read_json(path: str | Path, encoding: str = "utf-8-sig") -> Any:
    """The value of a JSON file, gzipped or not."""
    return parse_json("\n".join(line for _, line in read_lines(path, encoding)), path)


def parse_json(text: str, path: str | Path, line: int | None = None, advice: str = "") -> Any:
    """The value of a JSON text from a file, where it stands in the given ``line`` or is the whole.

    Raises FormatError for what is no JSON, is nested too deeply to be read, has a number of thousands of digits, or
    spells half of a surrogate pair, which is no character and cannot be written again.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise FormatError(
            path, f"not JSON ({error.msg}).", line=error.lineno if line is None else line, advice=advice
        ) from None
    except UnicodeEncodeError:
        raise FormatError(path, "holds half of a surrogate pair, which is not text.", line=line) from None
    except (RecursionError, ValueError):
        raise FormatError(path, "JSON nested too deeply, or with a number of too many digits.", line=line) from None
    return value


@contextmanager
def atomic_file(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing that replaces ``path`` only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        binary = "b" in mode
        with os.fdopen(handle, mode, encoding=None if binary else "utf-8", newline=None if binary else "\n") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; the result is an ordinary one
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a fresh directory that takes the place of ``path`` only when the block ends without an error.

    An existing directory survives whatever goes wrong in the block: disk full, interruption, a bug.
    """
    path = Path(path)
    if path.is_file():
        raise DataError(f"{path}: is a file, expected a directory to write to.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    retired = temporary.with_name(temporary.name + ".old")
    try:
        temporary.chmod(0o755)
        yield temporary
        if path.exists():
            os.replace(path, retired)
        try:
            os.replace(temporary, path)
        except BaseException:
            if retired.exists():
                os.replace(retired, path)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with atomic_file(path) as f:
        json.dump(value, f, ensure_ascii=False, indent=2)
        f.write("\n")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, or of the names and bytes of all files below a directory, in hexadecimal."""
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for part in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{part.relative_to(path).as_posix()}\0{sha256(part)}\n".encode())
        return digest.hexdigest()
    with require_file(path).open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(directory: str | Path, kind: str, version: int, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a directory: the last file written, so that its presence means that the rest is whole."""
    write_json(Path(directory) / MANIFEST, {"kind": kind, "format_version": version, **facts})


def has_manifest(directory: str | Path, kind: str) -> bool:
    """Whether a directory holds a manifest of this kind; its parts may yet be broken."""
    try:
        manifest = read_json(Path(directory) / MANIFEST)
    except DataError:
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == kind


def require_replaceable(directory: str | Path, kind: str, error: type[DataError] = DataError) -> None:
    """Raise an error where saving a directory of one kind would delete something else."""
    directory = Path(directory)
    if directory.is_dir() and any(directory.iterdir()) and not has_manifest(directory, kind):
        raise error(
            f"{directory}: holds other files, which saving a {kind} there would delete. Name another directory."
        )


def read_manifest(directory: str | Path, kind: str, version: int) -> dict[str, Any]:
    """The manifest of a directory of one kind and format version, or an error that says what was found instead."""
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory}: no such directory, expected a {kind}.")
    path = directory / MANIFEST
    if not path.is_file():
        raise DataError(f"{directory}: has no {MANIFEST}, so it is not a complete {kind}. Build it again.")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("kind") != kind:
        found = manifest.get("kind") if isinstance(manifest, dict) else None
        raise DataError(f"{directory}: is a {found or 'directory of another kind'}, expected a {kind}.")
    if manifest.get("format_version") != version:
        raise DataError(
            f"{directory}: {kind} of format version {manifest.get('format_version')}, this GenLink reads {version}. "
            "Build it again."
        )
    return manifest
