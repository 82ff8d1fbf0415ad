"""Memory of whole processes that link: GenLink's generator, and a dense linker over the same dictionary.

A row is a fresh process, all that it has in memory (Python, libraries, model, index, knowledge base) once it has opened
everything and linked a few mentions:

- `generator`: `GenerativeLinker.load` of a saved model; then every page of its trie is read, as many mentions would.
- `dense`: an encoder, a vector for each name, mapped from a file and searched exactly, and the same knowledge base.
- `Python and torch`: imported, and nothing done with them: the floor of the others.

Weights and vectors are random, so no accuracy is measured. MB are 10**6 bytes; `private_mb` is the process's own,
`shared_mb` is mapped from files and shared by all processes that open them. `names` are those of the index: the trie
leaves out names that are too long to be generated. The temporary directory needs room for the largest model and index.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from footprint import BLOCK, WIDTH, touch, write_vectors
from tqdm.auto import tqdm

from genlink.data_paths import expanded
from genlink.errors import GenLinkError
from genlink.evaluation.process import Cells, growth, in_fresh_process, require_proc
from genlink.evaluation.results import write_result
from genlink.kb import KnowledgeBase, read_concepts

DICTIONARIES = ("data/dictionaries/medic2012.txt", "data/ontologies/*.jsonl.gz")
MENTIONS = 8
TOKENIZER_NAMES = 50_000
FLOOR = "Python and torch"
COLUMNS = ("names", "parameters", "resident_mb", "private_mb", "shared_mb", "above_the_floor_mb")


@dataclass(frozen=True)
class Shape:
    """The size of a BART, and the vocabulary that its embeddings are for."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    vocabulary: int
    positions: int


SHAPES = {
    "generator 4+2 d256": Shape(256, 4, 2, 4, 4_096, 192),  # that of the recipes in configs/
    "generator 6+6 d768 (BART base)": Shape(768, 6, 6, 12, 50_265, 1024),
}
DENSE = f"dense, BERT base and {WIDTH} x fp32"
ENCODER: dict[str, int] = {}  # what differs from BERT base


# In a fresh process each


def idle() -> Cells:
    """What the libraries take that every linker here needs."""
    import torch  # noqa: F401

    return growth()


def generate(directory: Path) -> Cells:
    """Open a saved generator and link by it."""
    from genlink.linkers.generative import GenerativeLinker
    from genlink.schema import Mention

    linker = GenerativeLinker.load(directory)
    linker.link([Mention.in_context("", text) for text in mentions_of(linker.kb)])
    trie = linker.trie
    for array in (trie.token, trie.shape.blocks, trie.shape.extra_children, trie.leaf_name):
        touch(array)
    return {"names": trie.n_names, "parameters": sum(p.numel() for p in linker.model.parameters()), **growth()}


def compare(directory: Path) -> Cells:
    """Open an encoder, vectors of names and a knowledge base, and link by them."""
    import torch
    from transformers import AutoTokenizer, BertModel

    from genlink.encoders.checkpoints import quiet

    with quiet():
        tokenizer, encoder = AutoTokenizer.from_pretrained(directory), BertModel.from_pretrained(directory)
    vectors, kb = np.load(directory / "vectors.npy", mmap_mode="r"), KnowledgeBase.open(directory / "kb")
    with torch.inference_mode():
        read = tokenizer(mentions_of(kb), padding=True, return_tensors="pt")
        queries = encoder.eval()(**read).last_hidden_state[:, 0].numpy()
    for key in nearest(queries, vectors):
        kb.concept_at(kb.key_concepts(key)[0])
    return {"names": len(vectors), "parameters": encoder.num_parameters(), **growth()}


def nearest(queries: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> list[int]:
    """The index of the vector with the largest inner product with each query, found block by block."""
    highest, best = np.full(len(queries), -np.inf), np.zeros(len(queries), int)
    for start in range(0, len(vectors), BLOCK):
        scores = queries @ vectors[start : start + BLOCK].T
        found = scores.argmax(axis=1)
        score = scores[np.arange(len(queries)), found]
        best, highest = np.where(score > highest, start + found, best), np.maximum(score, highest)
    return [int(i) for i in best]


def mentions_of(kb: KnowledgeBase) -> list[str]:
    """A few names, from all over the knowledge base."""
    return [kb.key(i) for i in range(0, kb.n_keys, -(-kb.n_keys // MENTIONS))]


# In the process that asks


def save_generator(directory: Path, kb: KnowledgeBase, shape: Shape) -> None:
    """A model directory as training writes it, but for its random weights."""
    from genlink.linkers.bart import fresh_bart
    from genlink.linkers.generative import GenerativeLinker

    tokenizer = tokenizer_of(kb, shape.vocabulary)
    model = fresh_bart(
        tokenizer,
        width=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        heads=shape.heads,
        max_positions=shape.positions,
        seed=0,
    )
    model.resize_token_embeddings(shape.vocabulary, mean_resizing=False)  # few names have fewer tokens
    GenerativeLinker(model, tokenizer, kb).save(directory)


def save_dense(directory: Path, kb: KnowledgeBase) -> None:
    """All that the dense linker opens."""
    from transformers import BertConfig, BertModel

    from genlink.encoders.checkpoints import quiet

    config = BertConfig(**ENCODER)
    with quiet():
        BertModel(config).save_pretrained(directory)
        tokenizer_of(kb, config.vocab_size).save_pretrained(directory)
    write_vectors(directory / "vectors.npy", kb.n_keys)
    kb.save(directory / "kb")


def tokenizer_of(kb: KnowledgeBase, vocabulary: int) -> Any:
    """A tokenizer trained on some of the names."""
    from genlink.data.tokenizer import train_tokenizer

    step = -(-kb.n_keys // TOKENIZER_NAMES)
    return train_tokenizer((kb.key(i) for i in range(0, kb.n_keys, step)), vocabulary)


def measure(save: Callable[..., None], run: Callable[[Path], Cells], *what: object) -> Cells:
    """Save a linker, and what a process takes that opens it."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "linker"
        save(directory, *what)
        cells: Cells = in_fresh_process(run, directory)
    return cells


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    dictionaries: Annotated[
        list[str] | None,
        typer.Argument(help="Knowledge base files; those of one pattern are one dictionary.", show_default=False),
    ] = None,
    result: Annotated[Path | None, typer.Option(help="The result file to write.", show_default=False)] = None,
) -> None:
    """Measure the memory of a process with a generative linker, and of one with a dense linker.

    Example: python scripts/bench_linker_memory.py --result results/linker_memory/processes.json
    """
    require_proc()
    sources = [expanded([pattern]) for pattern in dictionaries or DICTIONARIES]
    metrics = {FLOOR: in_fresh_process(idle)}
    with tqdm(total=len(sources) * (len(SHAPES) + 1), unit=" linkers") as bar:
        for files in sources:
            bar.set_description("building the knowledge base")
            kb = KnowledgeBase.from_concepts(chain.from_iterable(map(read_concepts, files)), on_duplicate="merge")
            jobs = {row: (save_generator, generate, kb, shape) for row, shape in SHAPES.items()}
            for row, job in {**jobs, DENSE: (save_dense, compare, kb)}.items():
                bar.set_description(f"{row}, {kb.n_keys:,} names")
                metrics[f"{row}, {kb.n_keys:,} names"] = measure(*job)
                bar.update()
    for row, cells in metrics.items():
        cells["above_the_floor_mb"] = round(cells["resident_mb"] - metrics[FLOOR]["resident_mb"], 2)
        print(f"{row:<60}{cells['resident_mb']:>12,.2f} MB")
    if result is not None:
        settings = {"name": "resident memory of linkers", "columns": COLUMNS, "mentions": MENTIONS}
        data = list(chain.from_iterable(sources))
        write_result(result, command=sys.argv, data=data, seed=0, n=len(metrics), settings=settings, metrics=metrics)


if __name__ == "__main__":
    try:
        app()
    except GenLinkError as error:
        sys.exit(f"error: {error}")
