"""A linker with what stands before and behind it: names found in plain text, preprocessing, and probabilities."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genlink.data_paths import locate
from genlink.default import DEFAULT
from genlink.errors import ModelError, UsageError
from genlink.evaluation import to_record
from genlink.files import atomic_directory, has_manifest, require_replaceable, sha256
from genlink.kb import KnowledgeBase, load_kb
from genlink.linkers.calibration import BUNDLED_CALIBRATION, Calibration, calibration_that_holds, link_calibrated
from genlink.linkers.model_directory import DENSE_KIND, KIND, add_file, set_fact
from genlink.linkers.opening import OpenedLinker, open_linker, place_of, systems_of
from genlink.pipeline.linked import Input, Linked, as_documents
from genlink.preprocessing import FinderRules, NameFinder, Preprocessing, prepare
from genlink.schema import Document, Mention, Prediction

if TYPE_CHECKING:  # pandas is for those who have a frame, torch for those who ask for a model
    import pandas

    from genlink.bundle.hub import HubApi
    from genlink.decoding import Precision
    from genlink.linkers.dense import VectorIndex
    from genlink.linkers.search_settings import SearchKind
    from genlink.linkers.vectors import VectorPrecision
    from genlink.pipeline.batches import BatchLinker

__all__ = ["Opening", "Pipeline", "load"]


def load(
    model: str | Path = DEFAULT,
    kb: str | Path | KnowledgeBase | None = None,
    *,
    calibration: str | Path | Calibration | None = None,
    device: str | None = None,
    precision: Precision | VectorPrecision | None = None,
    search: SearchKind | None = None,
    beams: int | None = None,
    batch_size: int | None = None,
    index: VectorIndex | None = None,
    cache: Path | None = None,
    preprocessing: Preprocessing | None = None,
    rules: FinderRules = FinderRules(),
) -> Pipeline:
    """Open a linker for texts: ``load("runs/demo/model").link("History of [[asthma]].")``.

    ``model`` is what ``genlink link`` takes: ``default``, a model directory, ``exact``, ``tfidf``, ``minilm`` or the
    name of a published encoder. ``kb`` is a knowledge base, or the path of a saved one or of a file to make one of; a
    model directory has its own. ``calibration`` gives answers probabilities; None takes that of the model directory, if
    it has one and neither ``kb`` nor ``search`` nor ``beams`` is another than it was fitted to. ``preprocessing`` is
    done to the mentions of texts and documents; None is what the model was saved with. ``rules`` say which names are
    found in plain text. The rest is as in :func:`genlink.linkers.open_linker`.

    Raises UsageError and DataError where it cannot be opened as asked.
    """
    return Opening(
        model=model,
        kb=kb,
        calibration=calibration,
        device=device,
        precision=precision,
        search=search,
        beams=beams,
        batch_size=batch_size,
        index=index,
        cache=cache,
        preprocessing=preprocessing,
        rules=rules,
    ).open()


@dataclass(frozen=True, slots=True)
class Opening:
    """The arguments of ``load``, kept: what a worker process is sent in the place of a model."""

    model: str | Path
    kb: str | Path | KnowledgeBase | None
    calibration: str | Path | Calibration | None
    device: str | None
    precision: Precision | VectorPrecision | None
    search: SearchKind | None
    beams: int | None
    batch_size: int | None
    index: VectorIndex | None
    cache: Path | None
    preprocessing: Preprocessing | None
    rules: FinderRules

    def open(self) -> Pipeline:
        """See ``load``."""
        place = place_of(str(self.model))
        calibration = self.calibration
        if calibration is None:
            calibration = calibration_that_holds(place, kb=self.kb, search=self.search, beams=self.beams)
        if isinstance(calibration, str | Path):
            calibration = Calibration.read(locate(calibration))
        linker = open_linker(
            place,
            load_kb(locate(self.kb)) if isinstance(self.kb, str | Path) else self.kb,
            search=self.search,
            beams=self.beams,
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            index=self.index,
            cache=self.cache,
        )
        saved: Preprocessing = getattr(linker, "preprocessing", Preprocessing())
        return Pipeline(
            linker,
            calibration=calibration,
            preprocessing=self.preprocessing or saved,
            rules=self.rules,
            opening=self,
        )

    def facts(self) -> dict[str, str | None]:
        """Hashes of what is read: the model, with both linkers of a union, the knowledge base, and the calibration."""
        files = {"kb": self.kb, "calibration": self.calibration}
        files |= {f"model {i}": place_of(system) for i, system in enumerate(systems_of(str(self.model)))}
        return {name: _digest(locate(p)) if isinstance(p, str | Path) else None for name, p in files.items()}


def _digest(path: Path) -> str | None:
    """The hash of a file or of all files of a directory; None for a published name."""
    return sha256(path) if path.exists() else None


class Pipeline:
    """Links texts, documents and mentions by one linker. Several threads may use it: they take turns.

    ``calibration`` gives answers probabilities, ``preprocessing`` is done to the mentions of texts and documents, and
    ``rules`` say which names of the dictionary are found in plain text. One that ``load`` has opened can be pickled: as
    its settings, from which the model is opened again.
    """

    def __init__(
        self,
        linker: OpenedLinker,
        *,
        calibration: Calibration | None = None,
        preprocessing: Preprocessing = Preprocessing(),
        rules: FinderRules = FinderRules(),
        opening: Opening | None = None,
    ) -> None:
        self.linker = linker
        self.calibration = calibration
        self.preprocessing = preprocessing
        self.rules = rules
        self._opening = opening
        self._turn = threading.Lock()  # a model is switched to evaluation while it is used
        self.finder = NameFinder(linker.kb, rules)

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge base that every candidate comes from."""
        return self.linker.kb

    @property
    def opening(self) -> Opening:
        """How it was opened. Raises UsageError where another process could not open it so."""
        if self._opening is None or isinstance(self._opening.kb, KnowledgeBase):
            raise UsageError(
                "this pipeline or its knowledge base is in memory alone, so no other process can open it. Save it and "
                "`load` it."
            )
        return self._opening

    def link(self, inputs: Input | Mention | Sequence[Mention], k: int = 5) -> list[Prediction]:
        """One prediction for each mention, in order, with the candidates of at most ``k`` ranks.

        ``inputs`` is a text, a document or a list of these, or a mention or a list of mentions. The mentions of a text
        stand in double brackets, ``History of [[asthma]]``; if none does, they are the names of the dictionary that
        stand in it. The id of a text's document is its place in the list. A document has its mentions, or none. What is
        given as a mention is read as it is, without preprocessing.

        Raises UsageError for anything else, and if ``k`` is not positive.
        """
        given = list(inputs) if isinstance(inputs, Sequence) and not isinstance(inputs, str) else [inputs]
        mentions = [item for item in given if isinstance(item, Mention)]
        if not mentions:
            return [p for item in self.link_documents(given, k) for p in item.predictions]  # type: ignore[arg-type]
        if len(mentions) != len(given):
            raise UsageError("link takes texts and documents, or mentions, but not both at once.")
        return self._link(mentions, k)

    def link_documents(self, inputs: Input, k: int = 5) -> list[Linked]:
        """What ``link`` gives for texts and documents, each document with its own."""
        documents = as_documents(inputs, self._found)
        prepared = [prepare([document], self.preprocessing) for document in documents]
        predictions = iter(self._link([mention for mentions in prepared for mention in mentions], k))
        return [
            Linked(document, tuple(next(predictions) for _ in mentions))
            for document, mentions in zip(documents, prepared, strict=True)
        ]

    def link_frame(
        self,
        frame: pandas.DataFrame,
        *,
        column: str,
        context_column: str | None = None,
        offset_column: str | None = None,
    ) -> pandas.DataFrame:
        """The frame with the columns ``linked_id`` to ``linked_nil`` besides, as tables have them.

        ``column`` has the mentions, ``context_column`` the texts around them, and ``offset_column`` where in its text a
        mention starts. Rows, index and other columns are as they were. Raises UsageError for a column that is not
        there, or that the answers would take.
        """
        from genlink.pipeline.frames import link_frame

        return link_frame(self, frame, column, context_column, offset_column)

    def for_map(
        self, *, column: str | None = None, context_column: str | None = None, text_column: str | None = None
    ) -> BatchLinker:
        """A function for ``datasets.Dataset.map(..., batched=True)``: give the ``column`` of mentions, or of texts.

        See :class:`genlink.pipeline.batches.BatchLinker`.
        """
        from genlink.pipeline.batches import BatchLinker

        return BatchLinker(
            self.opening, column=column, context_column=context_column, text_column=text_column, pipeline=self
        )

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str | None = None,
        precision: Precision | VectorPrecision | None = None,
    ) -> Pipeline:
        """``load`` for a model directory, or for the name of one on the Hub, which is downloaded unless it is here.

        ``revision`` is a branch, tag or commit of the Hub. Raises UsageError and ModelError where there is no such
        model, or its files are not those that were saved.
        """
        from genlink.bundle.hub import fetch

        directory = Path(locate(model))
        place = directory if directory.is_dir() else fetch(str(model), revision)
        return load(place, device=device, precision=precision)

    def save(self, directory: str | Path) -> None:
        """Write one directory that holds everything: the model, its names and settings, preprocessing and calibration.

        What the directory that it was opened from says of terms and training goes along: see
        :func:`genlink.bundle.kept.keep_terms`.

        Raises UsageError where the linker is no model that can be saved, ModelError as its own ``save`` does.
        """
        from genlink.bundle.kept import keep_terms

        save = getattr(self.linker, "save", None)
        if save is None:
            raise UsageError("exact, tfidf and unions have no weights to save: keep the knowledge base or both models.")
        require_replaceable(directory, KIND if has_manifest(directory, KIND) else DENSE_KIND, ModelError)
        with atomic_directory(directory) as target:
            save(target)
            set_fact(target, "preprocessing", asdict(self.preprocessing))
            if self.calibration is not None:
                self.calibration.save(target / BUNDLED_CALIBRATION)
                add_file(target, BUNDLED_CALIBRATION)
            if opened := self._opened_from():
                keep_terms(opened, target)

    def push_to_hub(
        self,
        repository: str,
        *,
        private: bool = False,
        results: Sequence[str | Path] = (),
        allow_restricted_names: bool = False,
        api: HubApi | None = None,
    ) -> str:
        """Save the model and upload it to a repository of the Hub, with a model card; returns its address.

        See :func:`genlink.bundle.hub.push`, which does the same for a directory.
        """
        from genlink.bundle.hub import push

        with tempfile.TemporaryDirectory(prefix="genlink-push-") as folder:
            self.save(Path(folder) / "model")
            return push(
                Path(folder) / "model",
                repository,
                private=private,
                results=results,
                allow_restricted_names=allow_restricted_names,
                trained=self._opened_from(),
                api=api,
            )

    def to_dict(self, prediction: Prediction) -> dict[str, Any]:
        """The prediction in plain values: the record that ``genlink link`` writes (docs/formats.md)."""
        return to_record(prediction, self.kb).to_dict()

    def _opened_from(self) -> Path | None:
        """The directory of the model; None for a published name, and for a linker that was made in memory."""
        place = None if self._opening is None else place_of(str(self._opening.model))
        return place if isinstance(place, Path) else None

    def _found(self, document: Document) -> Document:
        return self.finder.with_mentions(document)

    def _link(self, mentions: Sequence[Mention], k: int) -> list[Prediction]:
        with self._turn:
            return link_calibrated(self.linker, mentions, k, self.calibration)

    def __reduce__(self) -> tuple[Any, ...]:
        return Opening.open, (self.opening,)
