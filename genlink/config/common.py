"""What every stage's recipe has: data, optimiser, dev set, and what may change when a run is resumed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, model_validator

from genlink.strict import Strict

__all__ = ["CorpusConfig", "DevConfig", "FoldConfig", "OptimiserConfig", "Recipe"]


class FoldConfig(Strict):
    """One of several parts that the mentions of a corpus are cut into; mentions of equal text are in one part."""

    fold: int = Field(ge=0)
    of: int = Field(ge=2)

    @model_validator(mode="after")
    def _is_a_fold(self) -> FoldConfig:
        if self.fold >= self.of:
            raise ValueError(f"fold {self.fold} of {self.of}: folds count from 0 to {self.of - 1}")
        return self


class CorpusConfig(Strict):
    """The labelled mentions to learn from."""

    train: list[str] = Field(min_length=1)
    leave_out: FoldConfig | None = None
    """Mentions not to learn from: those of one fold."""
    types: list[str] = Field([])
    """Only mentions of these types; all when empty."""
    abbreviations: bool = True
    """Expand abbreviations that the document defines."""
    as_written: bool = True
    """Learn expanded mentions in their short form too: other documents use it without defining it."""
    composites: bool = True
    """Split composite mentions where the number of parts agrees with the number of gold concepts."""


class OptimiserConfig(Strict):
    """AdamW with linear warm-up and linear decay to a floor."""

    steps: int | None = Field(None, ge=1)
    """Preference: those of each round. Preference, sapbert, biosyn: as many as read everything epochs times when left
    out."""
    batch_size: int = Field(192, ge=1)
    """Examples of one optimiser step, over all processes: in a preference stage lists, in sapbert pairs of names."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Examples that one process reads at once; the rest of its share is accumulated. All at once when empty."""
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(50, ge=0)
    floor: float = Field(0.05, ge=0, le=1)
    """The learning rate at the end, as a share of the highest."""
    weight_decay: float = Field(0.01, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.98, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class DevConfig(Strict):
    """Scoring by real linking while training."""

    corpus: str
    types: list[str] = Field([])
    every: int = Field(250, ge=1)
    """Steps between two scorings; the last step is always scored. A preference stage is scored after each round."""
    limit: int | None = Field(None, ge=1)
    """Score only so many mentions, evenly spread."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many scorings without a better one."""
    keep: Literal["best", "last"] = "best"
    """Which model is saved: that with the best Acc@1, or that of the last step, where few mentions are scored."""


class Recipe(Strict):
    """One training stage, whatever it trains."""

    stage: str
    output: str
    """Directory for the model, the metrics and the checkpoint."""
    knowledge_base: list[str] = Field(min_length=1)
    """The dictionary that the model links to: files or saved knowledge bases, merged."""
    optimiser: OptimiserConfig
    corpus: CorpusConfig | None = None
    dev: DevConfig | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware computes in it, else fp32."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between two checkpoints to resume from."""
    seed: int = 0

    @property
    def files(self) -> list[str]:
        """Everything that is read, each once: knowledge bases and corpora."""
        corpora = [*(self.corpus.train if self.corpus else ()), *([self.dev.corpus] if self.dev else ())]
        return list(dict.fromkeys([*self.knowledge_base, *self._sources(), *corpora]))

    @property
    def models(self) -> list[str]:
        """The checkpoints that it begins with."""
        return []

    def first_difference(self, other: Recipe) -> tuple[str, Any, Any] | None:
        """The first key by which ``other`` would learn something else, with the values of both; None if it would not.

        Where a run writes, how it cuts its batches, what it keeps in memory and how it is scored may differ: none of
        these decides what is learnt.
        """
        one, two = self._learning(), other._learning()
        keys = sorted(one.keys() | two.keys())
        return next(((key, one.get(key), two.get(key)) for key in keys if one.get(key) != two.get(key)), None)

    def _sources(self) -> Collection[str]:
        """The knowledge bases that pairs are drawn from, if not the dictionary."""
        return ()

    def _learning(self) -> dict[str, Any]:
        """The keys that decide what is learnt, each with its section."""
        others = {"output", "checkpoint_every", "dev", "optimiser.micro_batch_size", "model.gradient_checkpointing"}
        others.update(self._not_learnt())
        kept = {}
        for key, value in self.model_dump(exclude=others).items():
            section = {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
            kept.update({name: v for name, v in section.items() if name not in others})
        return kept

    def _not_learnt(self) -> Collection[str]:
        """Further keys that decide nothing of what is learnt."""
        return ()
