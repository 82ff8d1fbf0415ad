"""Linking in parts: a chunk of documents at a time, each question once, and nothing twice after an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tqdm.auto import tqdm

from genlink.bulk.answers import Answers, decode, encode, question_of
from genlink.bulk.parts import Parts
from genlink.bulk.processes import Share
from genlink.bulk.sources import Source, chunks
from genlink.errors import DataError
from genlink.linkers.calibration import Calibration, link_calibrated
from genlink.linkers.opening import OpenedLinker
from genlink.pipeline.linked import Linked
from genlink.preprocessing import NameFinder, Preprocessing, prepare
from genlink.schema import Document, Mention

__all__ = ["CHUNK", "Job", "link_in_parts", "linked_documents"]

T = TypeVar("T")

CHUNK = 1024
"""Mentions that are linked, and kept, together: a part."""
REMEMBERED = 1 << 27
"""Bytes of answers that are remembered; one of five candidates takes about a thousand."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be linked, by what and how. ``finder``: mentions are what it finds, whatever the source has.

    ``k``: ranks of an answer. With a ``calibration`` answers have probabilities over as many ranks as it was fitted on.
    """

    source: Source
    linker: OpenedLinker
    k: int = 5
    calibration: Calibration | None = None
    finder: NameFinder | None = None
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    chunk: int = CHUNK
    remembered: int = REMEMBERED

    def chunks(self) -> Iterator[list[Document]]:
        """The documents with their mentions, a part's at a time."""
        documents = self.source.read()
        if self.finder is not None:
            documents = map(self.finder.with_mentions, documents)
        return chunks(documents, self.chunk)

    def prepared(self, documents: Sequence[Document]) -> list[Mention]:
        """The mentions of documents as the linker reads them."""
        return prepare(documents, self.preprocessing)

    def ask(self, mentions: Sequence[Mention]) -> list[str]:
        """The answers of the linker."""
        return [encode(p) for p in link_calibrated(self.linker, mentions, self.k, self.calibration)]


def link_in_parts(job: Job, parts: Parts, share: Share = Share(), *, documents: int | None = None) -> None:
    """Link every chunk of a source that is this process's to link and has no finished part.

    Which questions are searched together follows from the source, the job and the number of processes alone, so an
    interrupted linking that goes on gives the same answers to the last bit. With ``documents``, their number, a bar on
    stderr shows how far all is and how long it will take.
    """
    answers = Answers(job.remembered)
    kb = job.linker.kb
    with tqdm(total=documents, unit="document", disable=documents is None) as bar:
        for number, chunk in enumerate(job.chunks()):
            if number % share.count == share.index:
                mentions = job.prepared(chunk)
                questions = [question_of(m, job.linker.context_characters, kb.normalisation) for m in mentions]
                if parts.has(number):
                    answers.of(questions, partial(_picked, parts.read(number, len(mentions))))
                else:
                    parts.write(number, answers.of(questions, lambda new: job.ask(_picked(mentions, new))))  # noqa: B023
            bar.update(len(chunk))


def _picked(items: Sequence[T], indices: Iterable[int]) -> list[T]:
    return [items[i] for i in indices]


def linked_documents(job: Job, parts: Parts) -> Iterator[Linked]:
    """Each document of a source with its predictions, when all parts are finished.

    Raises DataError for a part that does not hold the answers of its chunk.
    """
    for number, chunk in enumerate(job.chunks()):
        prepared = [job.prepared([document]) for document in chunk]
        lines = iter(parts.read(number, sum(map(len, prepared))))
        for document, mentions in zip(chunk, prepared, strict=True):
            try:
                predictions = tuple(decode(next(lines), mention) for mention in mentions)
            except (TypeError, ValueError):
                raise DataError(f"{parts.directory}: part {number} is damaged. Delete it and --resume.") from None
            yield Linked(document, predictions)
