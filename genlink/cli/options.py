"""Options that several commands have, and the recipe that some of them read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genlink.errors import UsageError

if TYPE_CHECKING:
    from genlink.config import EncoderConfig, TrainConfig
    from genlink.schema import Document

__all__ = [
    "MODEL_HELP",
    "BatchSize",
    "Beams",
    "Cache",
    "Calibrated",
    "Changes",
    "ConceptTypes",
    "Device",
    "Dictionary",
    "Encoding",
    "Format",
    "IdPrefixes",
    "Index",
    "Order",
    "Output",
    "Overwrite",
    "Precision",
    "Ranks",
    "Recipe",
    "Resume",
    "Search",
    "Spelling",
    "SystemName",
    "document_of_text",
    "read_recipe",
]

Dictionary = Annotated[
    Path | None,
    typer.Option(
        "--kb",
        help="Knowledge base: a directory, a file, or a model (such as default) for its own; left out, MODEL's own.",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="Format of the corpus: pubtator, bioc-xml, bioc-json, bigbio, biosyn, phrases, jsonl, "
        "spacy (texts and offsets), bio (tagged tokens), text, lines (a text on each line), or auto.",
    ),
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Encoding of the corpus, where it is not UTF-8 (for example cp1252).")
]
Ranks = Annotated[int, typer.Option("--k", min=1, help="Ranks to predict, at most: a beam may meet fewer concepts.")]

Search = Annotated[
    Literal["beam", "exact"] | None,
    typer.Option(
        help="beam, or exact: concepts by their best names, proven, with a cap, without spelling; as saved if left out."
    ),
]
Beams = Annotated[int | None, typer.Option(min=1, help="Beams of the search; the model's own if left out.")]
Spelling = Annotated[
    float | None,
    typer.Option(
        min=0, help="Nats that a name loses for another spelling than the mention's; the model's own if left out."
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Mentions searched together.")]
Calibrated = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="Written by `genlink calibrate --output`: answers get a probability or are NIL. Left out, the model's own "
        "is used, if it has one and neither search nor names are changed.",
    ),
]
ConceptTypes = Annotated[
    list[str] | None, typer.Option("--concept-type", help="Only concepts of this semantic type. Repeatable.")
]
IdPrefixes = Annotated[
    list[str] | None,
    typer.Option("--id-prefix", help="Only concepts of this vocabulary prefix, such as MESH. Repeatable."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; a GPU if there is one.")]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "int8"] | None,
    typer.Option(
        help="What a generative model computes in: fp32, bf16 or, on the CPU, int8; as saved if left out. "
        "What a dense linker keeps vectors in: fp32, fp16 or int8."
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache", help="Where a dense linker keeps the vectors of names; $GENLINK_CACHE or ~/.cache/genlink."
    ),
]
Index = Annotated[
    Literal["blocks", "faiss"] | None,
    typer.Option(help="How a dense linker compares vectors, both exact; the extra faiss takes all into memory."),
]
MODEL_HELP = (
    "default (which comes with GenLink), exact, tfidf, minilm, a model directory, or the name of a published SapBERT "
    "or BioSyn."
)

SystemName = Annotated[str | None, typer.Option("--name", help="What to call the system in tables.")]
Order = Annotated[int, typer.Option(help="Place of the system in tables.")]

Recipe = Annotated[Path, typer.Argument(metavar="FILE", help="A YAML recipe; configs/ holds complete ones.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from where the output got to.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete what an earlier run left there.")]
Output = Annotated[str | None, typer.Option("--output", help="Write here instead of the recipe's output.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe, such as optimiser.steps=100."),
]


def read_recipe(
    recipe: Path, changes: list[str] | None, output: str | None, *, resume: bool, overwrite: bool
) -> TrainConfig | EncoderConfig:
    """The recipe as these options change it. Raises UsageError for a mistake in it, or two options at odds."""
    from genlink.config import read_recipe as read

    if resume and overwrite:
        raise UsageError("--resume goes on with a run and --overwrite deletes it: give one of them.")
    config = read(recipe, changes or ())
    return config if output is None else config.model_copy(update={"output": output})


def document_of_text(text: str) -> Document:
    """The document of ``--text``. Raises UsageError where its brackets mark nothing."""
    from genlink.corpora.marked import marked_document

    if re.search(r"\[\[\s*\]\]", text):
        raise UsageError("--text marks a mention that is empty: put a name between the brackets.")
    return marked_document(text)
