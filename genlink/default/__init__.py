"""The model that comes with GenLink: one file in the package, unpacked into the cache when it is first asked for."""

from __future__ import annotations

import zipfile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from zlib import crc32
from zlib import error as ZlibError

from filelock import FileLock

from genlink.data_paths import cache_directory
from genlink.errors import DataError, ModelError
from genlink.files import atomic_directory, sha256

__all__ = ["BUNDLE", "DEFAULT", "default_model", "unpack"]

DEFAULT = "default"
"""What a user writes for it in the place of a model."""

BUNDLE = Path(__file__).with_name("bundle.zip")


def default_model() -> Path:
    """The directory of the default model, below ``genlink.data_paths.cache_directory``.

    It is unpacked where it is not there, or not whole. Raises ModelError where this installation lacks it, and
    DataError where the cache cannot be written.
    """
    if not BUNDLE.is_file():
        raise ModelError(
            "this installation has no default model: its package data are missing. Install GenLink again, or name a "
            "model directory."
        )
    # The name is that of the content: another version of GenLink unpacks its own beside it.
    directory = cache_directory() / f"default-{sha256(BUNDLE)[:16]}"
    if not _is_whole(BUNDLE, directory):
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(
                directory.with_name(f".{directory.name}.lock")
            ):  # a directory that another process has begun to read is not replaced
                if not _is_whole(BUNDLE, directory):
                    unpack(BUNDLE, directory)
        except OSError as error:
            raise DataError(
                f"{directory}: the default model cannot be unpacked there ({error.strerror or error}). Let "
                "GENLINK_CACHE name a folder that can be written."
            ) from None
    return directory


def _is_whole(bundle: Path, directory: Path) -> bool:
    """Whether a directory has every file of a bundle as it was packed; what it has besides does not matter."""
    if not directory.is_dir():
        return False
    try:
        with zipfile.ZipFile(bundle) as archive:
            return all(_has(directory / entry.filename, entry) for entry in archive.infolist())
    except zipfile.BadZipFile:
        return False


def _has(path: Path, entry: zipfile.ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == entry.file_size and crc32(path.read_bytes()) == entry.CRC


def unpack(bundle: Path, directory: Path) -> None:
    """Unpack a bundle, all of it or nothing.

    Raises ModelError for a damaged one, OSError where nothing can be written.
    """
    try:
        with zipfile.ZipFile(bundle) as archive, atomic_directory(directory) as target:
            for entry in archive.namelist():
                if PurePosixPath(entry).is_absolute() or ".." in PurePosixPath(entry).parts:
                    raise ModelError(f"{bundle}: holds {entry!r}, which lies outside of it. Install GenLink again.")
            archive.extractall(target)
    except (zipfile.BadZipFile, ZlibError, LZMAError, EOFError) as error:
        raise ModelError(f"{bundle}: is damaged ({error}). Install GenLink again.") from None
