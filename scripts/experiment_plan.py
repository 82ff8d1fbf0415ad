"""Plans of experiments: which systems are compared on which corpora, and how each is made.

A plan is a YAML file. Paths in it are relative to the working directory, and below ``data/`` wherever that lies.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, model_validator

from genlink.strict import Strict, read_strict

__all__ = ["Corpus", "Plan", "Row", "Stage", "read_plan"]


_GIVEN = ("--kb", "--train", "--type", "--dictionary", "--preset", "--predictions", "--result")


class Corpus(Strict):
    """The mentions that are linked, and what they are linked with."""

    corpus: str
    train: list[str] = Field(min_length=1)
    types: list[str] = Field([])
    """Only mentions of these types; all when empty."""
    kb: list[str] = Field(min_length=1)
    """The dictionary of the rows that name a system, merged; a model that the plan trains has its own."""


class Stage(Strict):
    """One call of ``genlink train``. In recipe and changes, {corpus} and {seed} are filled in.

    Where neither these nor what it starts from speak of the corpus, one model serves all corpora.
    """

    recipe: str
    set: list[str] = Field([])
    """Changes to the recipe, KEY=VALUE. The seed, and the model that the stage starts from, are set besides."""
    once: bool = False
    """Trained with seed 0 for all seeds."""


class Row(Strict):
    """A system: either ``system`` or ``train``."""

    name: str
    system: str | None = None
    """exact, tfidf or a model directory; {corpus} and {seed} are filled in."""
    train: list[Stage] = Field([])
    """The stages that make a model, each of which starts from the model of the one before."""
    start: str | None = None
    """The row whose model, of the same seed, the first stage starts from; ``before`` is the row in that key."""
    options: list[str] = Field([])
    """Options of ``genlink evaluate`` besides those of the plan, as words; {corpus} and {seed} are filled in."""
    before: str | None = None
    """The row that this one is compared with."""
    corpora: list[str] = Field([])
    """Only these; all of the plan when empty."""
    seeds: list[int] = Field([])
    """Only these; all of the plan when empty."""

    @property
    def folder(self) -> str:
        """What the row is called on disk."""
        return re.sub(r"\W+", "-", self.name).strip("-")

    @property
    def has_seeds(self) -> bool:
        """Whether a seed makes a difference to it."""
        return "{seed}" in (self.system or "") or not all(stage.once for stage in self.train)

    @property
    def starts_from(self) -> str | None:
        return self.before if self.start == "before" else self.start

    @model_validator(mode="after")
    def _is_one_system(self) -> Row:
        if (self.system is None) == (not self.train):
            raise ValueError(f"row `{self.name}`: give either system or train, not both and not neither")
        if self.start == "before" and self.before is None:
            raise ValueError(f"row `{self.name}`: starts from the row before, and names none: give before")
        if taken := [word for word in self.options if word.split("=")[0] in _GIVEN]:
            raise ValueError(f"row `{self.name}`: the plan itself gives {taken[0]}, leave it out of options")
        if self.start and not self.train:
            raise ValueError(f"row `{self.name}`: start is for the stages of train")
        once = [stage.once for stage in self.train]
        if once != sorted(once, reverse=True):
            raise ValueError(f"row `{self.name}`: a stage that is trained once follows one of each seed")
        return self


class Plan(Strict):
    """What ``scripts/run_experiment.py`` runs."""

    results: str
    """The folder of the result files: one of each corpus, and pooled.json."""
    runs: str
    """The folder of models, predictions and logs."""
    seeds: list[int] = Field([0, 1, 2], min_length=1)
    corpora: dict[str, Corpus] = Field(min_length=1)
    rows: list[Row] = Field(min_length=1)

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def corpora_of(self, row: Row) -> list[str]:
        return [corpus for corpus in self.corpora if corpus in (row.corpora or self.corpora)]

    def seeds_of(self, row: Row) -> list[int | None]:
        """[None] where a seed makes no difference."""
        return list(dict.fromkeys(row.seeds or self.seeds)) if row.has_seeds else [None]

    @model_validator(mode="after")
    def _rows_know_each_other(self) -> Plan:
        for corpus in self.corpora:
            if not re.fullmatch(r"\w[\w.+-]*", corpus) or corpus in ("pooled", "shared"):
                raise ValueError(f"corpus `{corpus}`: cannot be the name of its files, choose another")
        earlier: dict[str, Row] = {}
        for row in self.rows:
            if row.folder.lower() in {other.folder.lower() for other in earlier.values()} or not row.folder:
                raise ValueError(f"row `{row.name}`: has the name of an earlier one, but for signs, or none")
            for name in filter(None, (row.before, row.starts_from)):
                if name not in earlier:
                    raise ValueError(f"row `{row.name}`: there is no row `{name}` above it")
            if unknown := set(row.corpora) - set(self.corpora):
                raise ValueError(f"row `{row.name}`: there is no corpus {', '.join(sorted(unknown))}")
            if row.starts_from:
                self._check_start(row, earlier[row.starts_from])
            earlier[row.name] = row
        return self

    def _check_start(self, row: Row, start: Row) -> None:
        if not start.train:
            raise ValueError(f"row `{row.name}`: starts from `{start.name}`, which trains no model")
        if start.has_seeds and row.train[0].once:
            raise ValueError(f"row `{row.name}`: a stage that is trained once starts from a row of several seeds")
        lacks: set[object] = set(self.corpora_of(row)) - set(self.corpora_of(start))
        if start.has_seeds:
            lacks |= set(self.seeds_of(row)) - set(self.seeds_of(start))
        if lacks:
            names = ", ".join(sorted(map(str, lacks)))
            raise ValueError(f"row `{row.name}`: `{start.name}`, which it starts from, was not trained for {names}")


def read_plan(path: Path) -> Plan:
    """Raises UsageError for what is no plan, in one line."""
    return read_strict(path, Plan)
