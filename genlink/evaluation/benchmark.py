"""Linkers side by side on a corpus: each measured in a process of its own, and all of them in one result file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from genlink.config.benchmark import BenchmarkConfig, BenchmarkLinker
from genlink.corpora import load_corpus
from genlink.data_paths import display, locate
from genlink.encoders import MINILM_PACKAGE
from genlink.errors import CorpusError, DataError, GenLinkError, UsageError
from genlink.evaluation.measure import Measurement, embed_names, measure
from genlink.evaluation.policy import Policy, choose_policy
from genlink.evaluation.predictions import read_predictions
from genlink.evaluation.process import in_fresh_process
from genlink.evaluation.results import hardware, read_result, result_record
from genlink.evaluation.run import prepare_setting
from genlink.evaluation.seeds import ScoredRun, compare_seeds, score_run
from genlink.evaluation.training_time import training_minutes
from genlink.files import sha256, write_json
from genlink.kb import KnowledgeBase
from genlink.kb.load import load_merged
from genlink.kb.store import is_saved
from genlink.linkers.opening import is_dense, place_of, systems_of
from genlink.metrics import Estimate

__all__ = ["Benchmark", "Unit"]

_PACKAGES = ("genlink", "torch", "transformers", "numpy", "scikit-learn", MINILM_PACKAGE, "faiss-cpu")

State = Literal["done", "to run", "no such model"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A linker over a dictionary, and the folder of what was measured of it."""

    linker: BenchmarkLinker
    dictionary: Literal["kb", "kb+train"]
    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / f"{self.dictionary}.json"

    @property
    def predictions(self) -> Path:
        return self.folder / f"{self.dictionary}.jsonl"


class Benchmark:
    """A benchmark as its file says. ``command`` is the argument vector that result files name."""

    def __init__(self, file: str | Path, config: BenchmarkConfig, command: Sequence[str]) -> None:
        self.file, self.config, self.command = file, config, tuple(command)
        for preset in config.presets:
            choose_policy(preset)
        self.units = [
            Unit(linker, dictionary, Path(config.runs) / linker.folder)
            for dictionary in config.dictionaries
            for linker in config.linkers
        ]
        self._digests: dict[str, str] = {}

    def chosen(self, only: Collection[str]) -> list[Unit]:
        """The units of the linkers of these names, of all if there are none. Raises UsageError for an unknown name."""
        names = [linker.name for linker in self.config.linkers]
        if unknown := [name for name in only if name not in names]:
            raise UsageError(f"{self.file}: there is no linker `{unknown[0]}`. It has: {', '.join(names)}.")
        return [unit for unit in self.units if not only or unit.linker.name in only]

    def state(self, unit: Unit) -> State:
        """What is to be done for a unit."""
        if not self._is_there(unit.linker.system):
            return "no such model"
        if not unit.record.exists() or not unit.predictions.exists():
            return "to run"
        return "done" if read_result(unit.record)["settings"].get("key") == self._key(unit) else "to run"

    def run(self, only: Collection[str] = (), note: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
        """Measure what has not been measured, and write the result file of all that is there; returns its record.

        Everything that a unit needs is looked for before any is measured. Raises UsageError and DataError.
        """
        units = [(unit, self.state(unit)) for unit in self.chosen(only)]
        for unit, state in units:
            if state == "no such model":
                raise UsageError(
                    f"linker `{unit.linker.name}`: {unit.linker.system}: no such model. Train it first, or name the "
                    "others with --only."
                )
            training_minutes(unit.linker.training)
        self._check_gold()
        for i, (unit, state) in enumerate(units, 1):
            what = f"{i}/{len(units)} {unit.linker.name}, {unit.dictionary}"
            if state == "done":
                note(f"{what}: done before")
                continue
            note(what)
            self._measure(unit)
        record = self.gathered()
        write_json(self.config.results, record)
        return record

    def gathered(self) -> dict[str, Any]:
        """The result of all units that are done; ``not_run`` in its settings names the others."""
        config, done, not_run = self.config, [], []
        minutes: dict[str, float] = {}
        for unit in self.units:
            name = unit.linker.name
            try:
                if (state := self.state(unit)) != "done":
                    not_run.append(f"{name}, {unit.dictionary} ({state})")
                    continue
                if unit.linker.training:
                    minutes[name] = round(training_minutes(unit.linker.training), 2)
            except GenLinkError as error:  # a row that cannot be shown does not hide the others
                not_run.append(f"{name}, {unit.dictionary} ({error})")
            else:
                done.append(unit)
        metrics: dict[str, dict[str, Estimate | float]] = {}
        rows: dict[str, dict[str, Any]] = {}
        versions: dict[str, str] = {}
        scored: list[ScoredRun] = []
        for dictionary in config.dictionaries:
            of_this = [unit for unit in done if unit.dictionary == dictionary]
            for unit, scores in zip(of_this, self._scores(of_this, dictionary, scored), strict=True):
                found = read_result(unit.record)
                versions |= found["versions"]
                name, costs = unit.linker.name, found["metrics"]["costs"]
                metrics[f"{dictionary}: {name}"] = {
                    **scores,
                    **{cost: measured["value"] for cost, measured in costs.items()},
                    **({"training_minutes": minutes[name]} if name in minutes else {}),
                }
                row = rows.setdefault(name, {**unit.linker.model_dump(exclude={"name"}), "dictionaries": {}})
                kept = ("commit", "dirty", "created", "hardware")
                row["dictionaries"][dictionary] = {**{key: found[key] for key in kept}, **found["settings"]}
        record = result_record(
            command=self.command,
            data=[self.file, config.corpus, *config.train, *config.kb, *self._made_from(done)],
            seed=config.seed,
            n=len(scored[0].spans) if scored else 0,
            settings={
                "name": Path(config.results).stem,
                "benchmark": display(self.file),
                "rows": rows,
                "not_run": not_run,
                **config.model_dump(include={"dictionaries", "presets", "types", "k", "sample", "repeats"}),
                "against": config.compared_with,
            },
            metrics=metrics,
        )
        record["versions"] |= versions  # this process needs less than those that measured
        return record

    def _scores(
        self, units: Sequence[Unit], dictionary: str, scored: list[ScoredRun]
    ) -> Iterator[dict[str, Estimate | float]]:
        """The scores of the linkers over one dictionary; the runs by the first preset are added to ``scored``."""
        if not units:
            return
        records = {unit.linker.name: read_predictions(unit.predictions) for unit in units}
        by_preset: dict[str, Mapping[str, Mapping[str, Estimate]]] = {}
        for preset in self.config.presets:
            policy = choose_policy(preset, dictionary=dictionary)
            runs = {name: [score_run(answers, policy)] for name, answers in records.items()}
            against = self.config.compared_with
            before = {name: against for name in runs if name != against and against in runs}
            by_preset[preset] = compare_seeds(runs, before=before, seed=self.config.seed)
            if preset == self.config.presets[0]:
                scored.extend(run for [run] in runs.values())
        first, *others = self.config.presets
        for name in records:
            measures: dict[str, Estimate | float] = {
                measure: estimate
                for measure, estimate in by_preset[first][name].items()
                if measure in ("acc@1", "acc@5", "difference")
            }
            yield measures | {f"acc@1 {preset}": by_preset[preset][name]["acc@1"] for preset in others}

    def _measure(self, unit: Unit) -> None:
        config = self.config
        settings = unit.linker.model_dump(include={"precision", "search", "beams", "index"}, exclude_none=True)
        work = Measurement(
            name=unit.linker.name,
            system=unit.linker.system,
            settings=settings,
            kb=self._kb,
            corpus=config.corpus,
            train=tuple(self._train(unit)),
            types=tuple(config.types),
            policy=self._policy(unit.dictionary),
            k=config.k,
            sample=config.sample,
            repeats=config.repeats,
            seed=config.seed,
            predictions=unit.predictions,
            record=unit.record,
            key=self._key(unit),
            command=self.command,
        )
        try:
            if any(is_dense(place_of(system)) for system in systems_of(unit.linker.system)):
                in_fresh_process(embed_names, work)
            in_fresh_process(measure, work)
        except BrokenProcessPool:
            raise DataError(
                f"linker `{unit.linker.name}`: its process was killed. Was there memory for it? Go on with the same "
                "command."
            ) from None

    def _made_from(self, units: Sequence[Unit]) -> list[Path]:
        """The models of units that lie on the disk, the records of their training, and the predictions, each once."""
        made: dict[Path, None] = {}
        for unit in units:
            places = map(place_of, systems_of(unit.linker.system))
            made.update(dict.fromkeys(place for place in places if isinstance(place, Path)))
            made.update(dict.fromkeys(map(Path, unit.linker.training)))
        return [*made, *(unit.predictions for unit in units)]

    def _train(self, unit: Unit) -> list[str]:
        return self.config.train if unit.dictionary == "kb+train" else []

    def _policy(self, dictionary: str) -> Policy:
        return choose_policy(self.config.presets[0], dictionary=dictionary)

    def _check_gold(self) -> None:
        """Raise CorpusError where nothing can be scored, UsageError as ``prepare_setting`` does."""
        config = self.config
        documents = load_corpus(locate(config.corpus))
        kb = KnowledgeBase.open(self._kb)
        setting = prepare_setting(documents, kb, choose_policy(config.presets[0], dictionary="kb"), types=config.types)
        if not any(kb.resolve(gold) for mention in setting.mentions for gold in mention.gold_ids):
            raise CorpusError(
                f"{display(config.corpus)}: no mention has a gold concept in {', '.join(config.kb)}. Give a corpus "
                "with gold ids of that vocabulary."
            )

    @cached_property
    def _kb(self) -> Path:
        """The dictionary, saved, so that every linker maps the same."""
        place = Path(self.config.runs) / f"kb-{_digest([sha256(locate(path)) for path in self.config.kb])[:16]}"
        if not is_saved(place):
            load_merged(self.config.kb).save(place)
        return place

    def _key(self, unit: Unit) -> str:
        """What a measurement depends on: settings and the content of everything that is read."""
        config = self.config
        return _digest(
            {
                "linker": unit.linker.model_dump(exclude={"name", "training"}),
                "systems": [self._content(system) for system in systems_of(unit.linker.system)],
                "corpora": [self._content(path) for path in (config.corpus, *self._train(unit))],
                "kb": [self._content(path) for path in config.kb],
                "policy": asdict(self._policy(unit.dictionary)),
                **config.model_dump(include={"types", "k", "sample", "repeats", "seed"}),
                # Times and memory of others could not stand in one table with these.
                "versions": _versions(),
                "hardware": hardware(),
            }
        )

    def _content(self, path: str) -> str:
        if path not in self._digests:
            place = place_of(path)
            self._digests[path] = sha256(place) if isinstance(place, Path) else path
        return self._digests[path]

    def _is_there(self, system: str) -> bool:
        return all(isinstance(place, str) or place.is_dir() for place in map(place_of, systems_of(system)))


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
