"""Files: errors that name the line, and outputs that are whole or not there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from pathlib import Path

import pytest

from genlink.errors import DataError, FormatError
from genlink.files import (
    atomic_directory,
    atomic_file,
    has_manifest,
    read_json,
    read_jsonl,
    read_lines,
    read_manifest,
    require_file,
    sha256,
    write_json,
    write_manifest,
)

DISK_FULL = OSError(errno.ENOSPC, "No space left on device")
# Twice the blocks in which text is decoded.
MANY = [f"line {number} of many" for number in range(1, 2001)]


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# Reading


def test_lines_are_numbered_from_one_and_lose_their_ends(tmp_path):
    # Other separators of Unicode are characters of a line; a byte order mark is none.
    path = write(tmp_path / "a.txt", "\ufeffone\r\ntwo\u2028two\x0btwo\rthree\n\nfive")
    assert list(read_lines(path)) == [(1, "one"), (2, "two\u2028two\x0btwo"), (3, "three"), (4, ""), (5, "five")]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt"])
def test_gzip_is_known_by_its_content_not_by_its_name(tmp_path, name):
    path = write(tmp_path / name, gzip.compress("α\nβ\n".encode()))
    assert list(read_lines(path)) == [(1, "α"), (2, "β")]


def test_an_empty_file_has_no_lines(tmp_path):
    assert list(read_lines(write(tmp_path / "empty", b""))) == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("line", [1, 3, 700, 2000])
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_text_in_another_encoding_is_reported_with_its_line(tmp_path, line, end, compress):
    lines = [text.encode() for text in MANY]
    lines[line - 1] = "Sjögren".encode("latin-1")
    path = write(tmp_path / "a.txt", compress(end.join(lines)))
    with pytest.raises(FormatError, match=rf"a\.txt:{line}: not UTF-8 text. Convert it, or name its encoding"):
        list(read_lines(path))


def test_another_encoding_is_read_when_it_is_named(tmp_path):
    path = write(tmp_path / "a.txt", "Sjögren\n".encode("cp1252"))
    assert list(read_lines(path, "cp1252")) == [(1, "Sjögren")]
    write(path, b"fine\n\x81\n")  # a byte that is no character there
    with pytest.raises(FormatError, match=r"a\.txt:2: not cp1252 text"):
        list(read_lines(path, "cp1252"))
    with pytest.raises(DataError, match="latin-99: unknown encoding"):
        list(read_lines(path, "latin-99"))


def test_a_truncated_gzip_file_is_an_error_and_not_its_end(tmp_path):
    whole = gzip.compress("\n".join(MANY).encode())
    path = write(tmp_path / "a.gz", whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"a\.gz:\d+: truncated or broken gzip .*Download it again"):
        list(read_lines(path))
    write(path, whole[:100] + b"garbage" + whole[107:])
    with pytest.raises(FormatError, match="truncated or broken gzip"):
        list(read_lines(path))


def test_a_file_that_is_only_called_gz_is_refused(tmp_path):
    with pytest.raises(FormatError, match="is not a gzip file"):
        list(read_lines(write(tmp_path / "a.gz", "<html>Not found</html>")))


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="none: no such file"):
        require_file(tmp_path / "none")
    with pytest.raises(DataError, match="is a directory"):
        list(read_lines(tmp_path))


def test_json_lines_skip_blank_lines_and_keep_their_numbers(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n\n  \n{"a": 2}\n')
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "problem"), [('{"a": 1', "not JSON"), ("[1]", "expected a JSON object, found list"), ("x", "not JSON")]
)
def test_a_bad_json_line_is_reported_with_its_number(tmp_path, line, problem):
    path = write(tmp_path / "a.jsonl", f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(FormatError, match=rf"a\.jsonl:3: {problem}"):
        list(read_jsonl(path))


def test_json_is_written_readably_and_read_back(tmp_path):
    value = {"name": "Sjögren", "numbers": [1, 0.1]}
    write_json(tmp_path / "new" / "a.json", value)
    assert "Sjögren" in (tmp_path / "new" / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "new" / "a.json") == value
    write(tmp_path / "broken.json", '{\n"a": 1,\n}\n')
    with pytest.raises(FormatError, match=r"broken\.json:3: not JSON"):
        read_json(tmp_path / "broken.json")


# Writing


def fail_in_the_block(f, monkeypatch):
    f.write("half")
    f.flush()
    raise DISK_FULL


def fail_at_the_end(f, monkeypatch):
    def full(descriptor: int) -> None:
        raise DISK_FULL

    monkeypatch.setattr(os, "fsync", full)
    f.write("whole, as it seems")


@pytest.mark.parametrize("fail", [fail_in_the_block, fail_at_the_end])
@pytest.mark.parametrize("old", ["old content", None])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fail, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(OSError, match="No space left"), atomic_file(path) as f:
        fail(f, monkeypatch)
    assert names_in(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    with atomic_file(path) as f:
        f.write("α\n")
        f.flush()
        assert not path.exists()
    assert path.read_bytes() == "α\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    with atomic_file(path, "wb") as f:
        f.write(b"\xff\r\n")
    assert path.read_bytes() == b"\xff\r\n"
    assert names_in(path.parent) == ["a.txt"]


def test_a_failing_directory_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    with atomic_directory(path) as target:
        (target / "weights").write_text("old")
    with pytest.raises(OSError, match="No space left"), atomic_directory(path) as target:
        (target / "weights").write_text("new")
        raise DISK_FULL
    assert names_in(tmp_path) == ["model"]
    assert (path / "weights").read_text() == "old"


def test_the_old_directory_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    replace = os.replace

    def refuse_the_new_one(source, target):
        if Path(target) == path and not str(source).endswith(".old"):
            raise PermissionError(errno.EACCES, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_new_one)
    with pytest.raises(PermissionError), atomic_directory(path) as target:
        (target / "weights").write_text("new")
    assert names_in(tmp_path) == ["model"]
    assert (path / "weights").read_text() == "old"


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "model"
    for name in ("first", "second"):
        with atomic_directory(path) as target:
            (target / name).write_text(name)
    assert names_in(path) == ["second"]
    assert names_in(path.parent) == ["model"]


def test_a_file_is_not_replaced_by_a_directory(tmp_path):
    path = write(tmp_path / "model", "a file")
    with pytest.raises(DataError, match="is a file, expected a directory"), atomic_directory(path):
        pass
    assert path.read_text() == "a file"


# Hashes and manifests


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 10_000  # several blocks
    assert sha256(write(tmp_path / "a", content)) == hashlib.sha256(content).hexdigest()


def test_the_hash_of_a_directory_follows_names_and_contents(tmp_path):
    def make(name: str, **files: str) -> str:
        for file, content in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(content)
        return sha256(tmp_path / name)

    first = make("first", a="1", b="2")
    assert make("second", b="2", a="1") == first
    assert len({first, make("third", a="1", b="3"), make("fourth", a="1", c="2"), make("fifth", a="12", b="")}) == 4


def test_a_manifest_is_read_back_with_its_facts(tmp_path):
    write_manifest(tmp_path, "toy", 3, {"names": 7})
    assert read_manifest(tmp_path, "toy", 3) == {"kind": "toy", "format_version": 3, "names": 7}
    assert has_manifest(tmp_path, "toy")
    assert not has_manifest(tmp_path, "game")
    assert not has_manifest(tmp_path / "none", "toy")
    write(tmp_path / "manifest.json", "half of a")
    assert not has_manifest(tmp_path, "toy")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"has no manifest\.json, so it is not a complete toy"),
        ('{"kind": "game", "format_version": 3}', "is a game, expected a toy"),
        ("[]", "is a directory of another kind, expected a toy"),
        ('{"kind": "toy", "format_version": 2}', "toy of format version 2, this GenLink reads 3"),
        ('{"kind": "toy", "format', "not JSON"),
    ],
)
def test_a_directory_with_another_manifest_is_refused(tmp_path, content, problem):
    if content is not None:
        write(tmp_path / "manifest.json", content)
    with pytest.raises(DataError, match=problem):
        read_manifest(tmp_path, "toy", 3)
    with pytest.raises(DataError, match="none: no such directory, expected a toy"):
        read_manifest(tmp_path / "none", "toy", 3)
