"""Benchmarks: which linkers are set side by side on which corpus (``genlink benchmark``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from genlink.strict import Strict, read_strict

__all__ = ["BenchmarkConfig", "BenchmarkLinker", "read_benchmark"]


class BenchmarkLinker(Strict):
    """A row of the table. What is left out is as ``genlink evaluate`` has it."""

    name: str
    system: str
    """exact, tfidf, minilm, a model directory, or the name of a published SapBERT or BioSyn."""
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None
    search: Literal["beam", "exact"] | None = None
    beams: int | None = Field(None, ge=1)
    index: Literal["blocks", "faiss"] | None = None
    training: list[str] = Field([])
    """Records of its training (run.json or results/training/*.json), the last stage first. The stages that it started
    from are found beside their models, or have to be listed too."""

    @property
    def folder(self) -> str:
        """What the row is called on disk."""
        return re.sub(r"\W+", "-", self.name).strip("-")


class BenchmarkConfig(Strict):
    """What ``genlink benchmark`` runs. Paths are relative to the working directory, and below ``data/`` wherever that
    lies."""

    results: str
    """The result file."""
    runs: str
    """The folder of what is finished: predictions and measurements, from which an interrupted benchmark goes on."""
    corpus: str
    train: list[str] = Field([])
    types: list[str] = Field([])
    """Only mentions of these types; all when empty."""
    kb: list[str] = Field(min_length=1)
    """The dictionary of all linkers, merged; that of a model has to have the same concepts and names."""
    dictionaries: list[Literal["kb", "kb+train"]] = Field(["kb"], min_length=1)
    presets: list[str] = Field(["angel", "strict"], min_length=1)
    """How is scored; differences are by the first."""
    against: str | None = None
    """The linker that all are compared with; the first when empty."""
    k: int = Field(5, ge=5)
    """Ranks asked for."""
    sample: int = Field(64, ge=1)
    """Mentions that the time is measured on, of different surfaces, drawn by the seed."""
    repeats: int = Field(3, ge=1)
    """How often the time is measured; the shortest counts."""
    seed: int = 0
    linkers: list[BenchmarkLinker] = Field(min_length=1)

    @property
    def compared_with(self) -> str:
        """The name of the linker that all are compared with."""
        return self.against or self.linkers[0].name

    @model_validator(mode="after")
    def _linkers_can_be_told_apart(self) -> BenchmarkConfig:
        folders: set[str] = set()
        for linker in self.linkers:
            if linker.folder.lower() in folders or not linker.folder:
                raise ValueError(f"linker `{linker.name}`: has the name of an earlier one, but for signs, or none")
            folders.add(linker.folder.lower())
        if self.against is not None and self.against not in {linker.name for linker in self.linkers}:
            raise ValueError(f"against: there is no linker `{self.against}`")
        if "kb+train" in self.dictionaries and not self.train:
            raise ValueError("the dictionary kb+train has the names of a training corpus too: give train")
        return self


def read_benchmark(path: str | Path) -> BenchmarkConfig:
    """Raises UsageError for what is no benchmark, in one line."""
    return read_strict(path, BenchmarkConfig)
