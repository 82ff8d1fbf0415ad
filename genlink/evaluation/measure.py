"""What a linker answers and what it costs, measured in a process that does nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genlink.corpora import load_corpus
from genlink.data_paths import locate
from genlink.errors import DataError
from genlink.evaluation.policy import Policy
from genlink.evaluation.predictions import to_record, write_predictions
from genlink.evaluation.process import MB, growth, is_proc, peak
from genlink.evaluation.results import write_result
from genlink.evaluation.run import prepare_setting
from genlink.kb import KnowledgeBase
from genlink.linkers.opening import LEXICAL, OpenedLinker, is_saved, open_linker, place_of
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["Measurement", "cpu_milliseconds", "draw_sample", "embed_names", "measure"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: ``system`` with ``settings`` (keywords of ``open_linker``), and on what.

    ``kb`` is a saved knowledge base, the dictionary; ``key`` is kept in the record.
    """

    name: str
    system: str
    settings: dict[str, Any]
    kb: Path
    corpus: str
    train: tuple[str, ...]
    types: tuple[str, ...]
    policy: Policy
    k: int
    sample: int
    repeats: int
    seed: int
    predictions: Path
    record: Path
    key: str
    command: tuple[str, ...]

    def open(self) -> OpenedLinker:
        """The linker over the dictionary. Raises DataError for a model of another one."""
        place = place_of(self.system)
        settings = self.settings if place in LEXICAL else {"device": "cpu", **self.settings}
        kb = KnowledgeBase.open(self.kb)
        linker = open_linker(place, None if is_saved(place) else kb, **settings)
        if linker.kb.content_hash != kb.content_hash:
            raise DataError(
                f"linker `{self.name}`: {self.system} links to other concepts or names than the benchmark's kb. "
                "Train it on that dictionary, or name the model's own under kb."
            )
        return linker


def embed_names(work: Measurement) -> None:
    """Have a dense linker put the vectors of the names into its cache, so that they are there when it is measured."""
    work.open().link([Mention.in_context("", "any")], 1, progress=sys.stderr.isatty())


def measure(work: Measurement) -> None:
    """Link the corpus and write the predictions; then time a sample of it, and write the record, which comes last.

    ``resident_mb`` and ``private_mb`` are of the process after linking, ``peak_mb`` is the most that it ever had; a
    system without ``/proc`` lacks them. ``index_mb`` is of the linker with the training names, if they are asked for.
    """
    documents = load_corpus(locate(work.corpus))
    training = [document for path in work.train for document in load_corpus(locate(path))]
    linker = work.open()
    setting = prepare_setting(documents, linker.kb, work.policy, training=training, types=work.types)
    if setting.kb is not linker.kb:
        linker = linker.with_kb(setting.kb)
    linked = linker.link(setting.mentions, work.k, progress=sys.stderr.isatty())
    costs: dict[str, float] = {"index_mb": round(linker.index_bytes / MB, 2)}
    if is_proc():
        resident = growth()
        costs |= {"resident_mb": resident["resident_mb"], "private_mb": resident["private_mb"]}
    work.record.unlink(missing_ok=True)  # an earlier one would speak of other predictions, should this be broken off
    write_predictions(work.predictions, (to_record(prediction, setting.kb) for prediction in linked))
    sample = draw_sample(setting.mentions, work.sample, work.seed)
    with _one_thread():
        for measured, batches in (("ms_single", [[mention] for mention in sample]), ("ms_batch", [sample])):
            costs[measured] = cpu_milliseconds(lambda batch: linker.link(batch, work.k), batches, work.repeats)
    if is_proc():
        costs["peak_mb"] = round(peak() / MB, 2)
    write_result(
        work.record,
        command=work.command,
        data=[work.corpus, *work.train],
        seed=work.seed,
        n=len(setting.mentions),
        settings={
            "key": work.key,
            "linker": linker.describe(),
            "concepts": len(setting.kb),
            "names": setting.kb.n_keys,
            "names_added": setting.names_added,
            "timed": len(sample),
        },
        metrics={"costs": costs},
    )


def draw_sample(mentions: Sequence[Mention], n: int, seed: int) -> list[Mention]:
    """``n`` mentions, or as many as there are, in their order; no two read alike, for repeats cost linkers nothing."""
    first: dict[str, Mention] = {}
    for mention in mentions:
        first.setdefault(normalise(mention.surface), mention)
    distinct = list(first.values())
    chosen = np.random.default_rng(seed).permutation(len(distinct))[:n]
    return [distinct[i] for i in sorted(chosen.tolist())]


def cpu_milliseconds(
    link: Callable[[Sequence[Mention]], object], batches: Sequence[Sequence[Mention]], repeats: int
) -> float:
    """CPU time a mention, of all threads: that of the fastest of ``repeats`` passes over ``batches``."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        for batch in batches:
            link(batch)
        seconds.append(time.process_time() - started)
    return round(1000 * min(seconds) / sum(map(len, batches)), 4)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch, and faiss, compute on one core, where they are in use."""
    torch, faiss = sys.modules.get("torch"), sys.modules.get("faiss")
    if faiss is not None:
        faiss.omp_set_num_threads(1)
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
