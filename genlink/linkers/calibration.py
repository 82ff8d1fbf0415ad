"""From scores to probabilities: a temperature, a weight for what is not listed, and a threshold for NIL.

A score puts the candidates of one mention in order, and says nothing about being right. With the scores s_1, s_2, ...
of a mention's ranks, best first, the probability of rank j is

    p_j = exp(s_j / T) / (exp(s_1 / T) + exp(s_2 / T) + ... + exp(b)).

T is a temperature (Guo et al. 2017, section 4.2). b, the logit of the rest, stands for every answer that is not listed:
NIL, and concepts that the search did not find. Without it a mention with a single candidate would be certain of it,
however poor its score. One form holds for every linker: T takes up a factor of the scores and b an added constant, so
scores may be log-probabilities over all names, log-probabilities that do not sum to one, or cosines.

How both are fitted is in ``genlink.evaluation.calibration_fit``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genlink.errors import FormatError, UsageError
from genlink.files import MANIFEST, read_json, write_json
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linker
from genlink.schema import Candidate, Mention, Prediction

__all__ = [
    "BUNDLED_CALIBRATION",
    "Calibration",
    "FittedOn",
    "calibration_that_holds",
    "link_calibrated",
    "own_calibration",
    "rank_scores",
]

KIND, FORMAT_VERSION = "calibration", 1

BUNDLED_CALIBRATION = "calibration.json"
"""The file of a model directory that its calibration lies in, if it has one."""


@dataclass(frozen=True, slots=True)
class FittedOn:
    """The predictions that a calibration was fitted to: their file, its hash, and the labelled mentions in it."""

    path: str
    sha256: str
    n: int
    n_nil: int
    ambiguous: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns the scores of one linker into probabilities.

    ``temperature`` is in the units of the scores (nats for log-probabilities), ``rest_logit`` is b above, after the
    division by T. An answer whose probability is below ``nil_threshold`` is NIL; None if no mention was NIL to fit it.
    ``ranks`` is the length of the lists that it was fitted on: shorter lists would leave out a part of the sum, so link
    with as many ranks.
    """

    temperature: float
    rest_logit: float
    ranks: int
    nil_threshold: float | None = None
    fitted_on: FittedOn | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature is {self.temperature}, expected a number above 0")
        if not math.isfinite(self.rest_logit):
            raise ValueError(f"the rest_logit is {self.rest_logit}, expected a number")
        if self.nil_threshold is not None and not 0 <= self.nil_threshold <= 1:
            raise ValueError(f"the nil_threshold is {self.nil_threshold}, expected one in [0, 1]")
        if self.ranks < 1:
            raise ValueError(f"ranks is {self.ranks}, expected at least 1")

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The probability that each rank is right; what they lack to 1 is that of the rest.

        ``scores`` has shape (..., ranks), one score a rank (the concepts of an ambiguous name share theirs), best
        first, -inf where there is no candidate; the result has the same shape.
        """
        values = np.asarray(scores, dtype=np.float64) / self.temperature
        rest = np.full((*values.shape[:-1], 1), self.rest_logit)
        logits = np.concatenate([values, rest], axis=-1)
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float64] = powers[..., :-1] / powers.sum(axis=-1, keepdims=True)
        return probabilities

    def is_nil(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Whether the answer is NIL, shape (...): nothing is listed, or the first rank is below the threshold."""
        values = np.asarray(scores, dtype=np.float64)
        if not values.shape[-1]:
            return np.ones(values.shape[:-1], dtype=bool)
        return np.isneginf(values[..., 0]) | (self.probabilities(values)[..., 0] < (self.nil_threshold or 0))

    def apply(self, prediction: Prediction, k: int | None = None) -> Prediction:
        """The prediction with the probability of each candidate, whether its answer is NIL, and at most ``k`` ranks.

        Both are worked out over ``ranks`` ranks, so link with as many and cut here: a shorter list would make what is
        left of it too probable. Ranks after these were not in the lists of the fit; they count as not listed, and are
        left out. The concepts of an ambiguous name are one rank and share its probability.

        Raises UsageError if ``k`` is not positive.
        """
        if k is not None and k < 1:
            raise UsageError(f"k is {k}, expected at least 1: a prediction has to have a first rank.")
        of_ranks = list(rank_scores(prediction.candidates).items())[: self.ranks]
        scores = [score for _, score in of_ranks]
        listed = {rank: p for (rank, _), p in zip(of_ranks[:k], self.probabilities(scores).tolist(), strict=False)}
        return replace(
            prediction,
            candidates=tuple(replace(c, probability=listed[c.rank]) for c in prediction.candidates if c.rank in listed),
            is_nil=bool(self.is_nil(scores)),
        )

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON, atomically; the format is described in docs/formats.md."""
        write_json(path, {"kind": KIND, "format_version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """Read what ``save`` wrote. Raises FormatError for anything else."""
        value = read_json(path)
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise FormatError(path, "is no calibration.", advice="Write one with `genlink calibrate --output`.")
        if value.get("format_version") != FORMAT_VERSION:
            raise FormatError(
                path,
                f"a calibration of format version {value.get('format_version')}, this GenLink reads {FORMAT_VERSION}.",
                advice="Fit it again with `genlink calibrate`.",
            )
        try:
            return cls(
                temperature=_number(value["temperature"]),
                rest_logit=_number(value["rest_logit"]),
                ranks=_whole(value["ranks"]),
                nil_threshold=None if value["nil_threshold"] is None else _number(value["nil_threshold"]),
                fitted_on=None if value["fitted_on"] is None else _fitted_on(value["fitted_on"]),
            )
        except KeyError as error:
            raise FormatError(path, f"no {error} field.", advice="Fit it again with `genlink calibrate`.") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise FormatError(path, f"{error}.", advice="Fit it again with `genlink calibrate`.") from None


def own_calibration(place: str | Path) -> Path | None:
    """The calibration that a model was saved with; None where there is none, or no directory.

    One that somebody put beside the files of the manifest is no part of the model: it is neither checked nor pushed
    with it. A manifest of an older version, or of a union, lists no files; there the file has to do.
    """
    own = Path(place) / BUNDLED_CALIBRATION
    if not isinstance(place, Path) or not own.is_file() or not (place / MANIFEST).is_file():
        return None
    manifest = read_json(place / MANIFEST)
    listed = manifest.get("files") if isinstance(manifest, dict) else {}
    is_listed = isinstance(listed, dict) and BUNDLED_CALIBRATION in listed
    return own if listed is None or is_listed else None


def calibration_that_holds(
    place: str | Path,
    *,
    kb: KnowledgeBase | str | Path | None,
    search: str | None,
    beams: int | None,
    is_restricted: bool = False,
) -> Path | None:
    """``own_calibration``, where the model is asked as it was when that was fitted; else None.

    Another dictionary, search or number of beams, each None where it is the model's own, makes other scores or lists,
    and so does linking to a part of the dictionary.
    """
    is_changed = is_restricted or any(setting is not None for setting in (kb, search, beams))
    return None if is_changed else own_calibration(place)


def link_calibrated(
    linker: Linker, mentions: Sequence[Mention], k: int, calibration: Calibration | None
) -> list[Prediction]:
    """The predictions of a linker; with a calibration asked for as many ranks as that needs, and cut to ``k``."""
    if calibration is None:
        return linker.link(mentions, k)
    return [calibration.apply(prediction, k) for prediction in linker.link(mentions, calibration.ranks)]


def rank_scores(candidates: Iterable[Candidate]) -> dict[int, float]:
    """Rank -> score, by rising rank: the concepts of an ambiguous name share both."""
    return {candidate.rank: candidate.score for candidate in sorted(candidates, key=lambda c: c.rank)}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {value!r}")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, found {value!r}")
    return value


def _fitted_on(value: Any) -> FittedOn:
    if not isinstance(value, dict):
        raise TypeError(f"fitted_on is {value!r}, expected an object")
    facts = {field.name: value[field.name] for field in fields(FittedOn)}
    for name in ("path", "sha256", "ambiguous"):
        if not isinstance(facts[name], str):
            raise TypeError(f"{name} is {facts[name]!r}, expected a string")
    return FittedOn(**{**facts, "n": _whole(facts["n"]), "n_nil": _whole(facts["n_nil"])})
