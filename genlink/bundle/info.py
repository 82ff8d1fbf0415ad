"""What a model directory holds, and how much memory it takes, read off its manifests and headers: nothing is loaded."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genlink.errors import ModelError, UsageError
from genlink.files import has_manifest, read_json, read_manifest
from genlink.kb import KnowledgeBase
from genlink.kb.provenance import restricted_vocabularies
from genlink.linkers.calibration import own_calibration
from genlink.linkers.model_directory import (
    DENSE_FORMAT_VERSION,
    DENSE_KIND,
    FORMAT_VERSION,
    KIND,
    UNION_KIND,
    damaged_files,
    read_union,
)

__all__ = ["KINDS", "model_facts"]

KINDS = {KIND: FORMAT_VERSION, DENSE_KIND: DENSE_FORMAT_VERSION}
_VECTOR_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
# What becomes int8: the linear layers of encoder and decoder (``genlink.decoding.precision``).
_LINEAR = re.compile(r"(encoder|decoder)\.layers\..*\.weight")


def model_facts(directory: Path) -> dict[str, Any]:
    """What a directory of a model holds, in plain values; every file of it is hashed.

    ``memory`` is in bytes, by precision and component. ``weights`` and ``vectors`` are estimates of what is taken;
    ``knowledge base`` and ``trie`` are mapped from their files, shared by processes, and in memory as far as they are
    used. What a search takes besides grows with beams and batch size and is not in it. Of a model with damaged files
    only these are told: nothing else is read of it.

    Raises UsageError where it is no model directory, DataError where it cannot be read.
    """
    if has_manifest(directory, UNION_KIND):
        return {"kind": UNION_KIND, **asdict(read_union(directory))}
    kind = next((kind for kind in KINDS if has_manifest(directory, kind)), None)
    if kind is None:
        inner = directory / "model"
        meant = f" Did you mean {inner}?" if any(has_manifest(inner, kind) for kind in KINDS) else ""
        raise UsageError(f"{directory}: is no model directory.{meant or ' Give one that genlink train has written.'}")
    manifest = read_manifest(directory, kind, KINDS[kind])
    if damaged := damaged_files(directory, manifest):
        return {"kind": kind, "files": len(manifest["files"]), "damaged_files": damaged}
    tensors = [tensor for file in sorted(directory.glob("*.safetensors")) for tensor in _tensors(file)]
    kb = KnowledgeBase.open(directory / "kb")
    settings = ("template", "search", "normaliser", "preprocessing", "sparse_weight")
    return {
        "kind": kind,
        "parameters": manifest.get("parameters"),
        "weights": {"bytes": sum(size for _, _, size in tensors), "dtypes": sorted({dtype for _, dtype, _ in tensors})},
        "concepts": len(kb),
        "names": kb.report.names if kb.report else kb.n_keys,
        "distinct_names": kb.n_keys,
        "vocabularies": dict(kb.report.vocabularies) if kb.report else {},
        **{name: manifest[name] for name in settings if name in manifest},
        "calibrated": own_calibration(directory) is not None,
        "sources_of_names": [asdict(source) for source in kb.provenance],
        "restricted_vocabularies": restricted_vocabularies(kb.provenance, _ids(kb)),
        "files": len(manifest.get("files", {})),
        "damaged_files": [],
        "memory": _memory(directory, kind, tensors, kb),
    }


def _ids(kb: KnowledgeBase) -> Iterator[str]:
    return (kb.concept_id_at(i) for i in range(len(kb)))


def _memory(
    directory: Path, kind: str, tensors: list[tuple[str, str, int]], kb: KnowledgeBase
) -> dict[str, dict[str, int]]:
    shapes = [(name, size // _WIDTHS.get(dtype, 4)) for name, dtype, size in tensors]
    n = sum(count for _, count in shapes)
    mapped = {"knowledge base": _size(directory / "kb")}
    if kind == DENSE_KIND:
        width = _width(directory / "config.json")
        return {
            # A row of int8 has its scale besides.
            precision: {"weights": 4 * n, "vectors": kb.n_keys * (width * size + 4 * (size == 1)), **mapped}
            for precision, size in _VECTOR_BYTES.items()
        }
    linear = sum(count for name, count in shapes if _LINEAR.search(name) and "norm" not in name)
    mapped["trie"] = _size(directory / "trie")
    return {
        "fp32": {"weights": 4 * n, **mapped},
        "bf16": {"weights": 2 * n, **mapped},
        "int8": {"weights": 4 * (n - linear) + linear, **mapped},
    }


def _width(path: Path) -> int:
    """The length of an encoder's vectors."""
    config = read_json(path)
    width = config.get("hidden_size") if isinstance(config, dict) else None
    if not isinstance(width, int):
        raise ModelError(f"{path}: no `hidden_size` that is a number. Copy the original back.")
    return width


_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "I64": 8, "I32": 4}


def _tensors(file: Path) -> Iterator[tuple[str, str, int]]:
    """(name, dtype, bytes) of each tensor of a safetensors file: eight bytes of length, then a header of JSON."""
    try:
        with file.open("rb") as f:
            (length,) = struct.unpack("<Q", f.read(8))
            header = json.loads(f.read(min(length, file.stat().st_size)))
        for name, entry in header.items():
            if name != "__metadata__":
                size = math.prod(entry["shape"]) * _WIDTHS.get(entry["dtype"], 4)
                yield name, entry["dtype"], size
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        reason = " ".join(str(error).split())[:100]
        raise ModelError(f"{file}: no safetensors file ({reason}). Copy the original back.") from None


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
