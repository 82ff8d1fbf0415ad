"""What counts as right: the rules of a score, always named and printed beside it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal, get_args

from genlink.errors import UsageError
from genlink.preprocessing import Preprocessing

__all__ = ["PRESETS", "Ambiguous", "Composite", "Dictionary", "Mentions", "Nil", "Policy", "choose_policy"]

Ambiguous = Literal["lenient", "std", "strict"]
Composite = Literal["any", "all"]
Nil = Literal["drop", "count"]
Dictionary = Literal["kb", "kb+train"]
Mentions = Literal["raw", "preprocessed"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The five rules of a score.

    ``ambiguous``: an answer by a name of several concepts is right if any of them is gold (lenient), if the one drawn
    for it is (std), or never (strict). The modes are those of BELB (Garda et al. 2023, Bioinformatics 39(11)).
    ``composite``: any part of a composite mention has to be hit, or all.
    ``nil``: mentions without a gold concept in the knowledge base are left out (drop); or they count, and then NIL is
    right where nothing is predicted, and a concept that the knowledge base lacks is wrong.
    ``dictionary``: the names of the knowledge base, or those and the mentions of the training set.
    ``mentions``: as annotated, or with abbreviations expanded and composites split.
    """

    ambiguous: Ambiguous = "lenient"
    composite: Composite = "any"
    nil: Nil = "drop"
    dictionary: Dictionary = "kb+train"
    mentions: Mentions = "preprocessed"

    def __str__(self) -> str:
        return f"{self.scoring} / {self.dictionary} / {self.mentions}"

    @property
    def scoring(self) -> str:
        """The three rules that a predictions file can still be scored by."""
        return f"{self.ambiguous} / {self.composite} / {self.nil}"

    @property
    def preprocessing(self) -> Preprocessing:
        """The steps that mentions go through before they are linked."""
        preprocessed = self.mentions == "preprocessed"
        return Preprocessing(abbreviations=preprocessed, composites=preprocessed)


# `angel` and `biosyn` score as the code of these papers does (docs/glossary.md). `strict` is `angel` but for the
# ambiguous names, so that the two stand side by side and differ in one thing.
PRESETS: dict[str, Policy] = {
    "angel": Policy(),
    "biosyn": Policy(composite="all"),
    "strict": Policy(ambiguous="strict"),
}

_CHOICES = {
    "ambiguous": Ambiguous,
    "composite": Composite,
    "nil": Nil,
    "dictionary": Dictionary,
    "mentions": Mentions,
}


def choose_policy(preset: str = "angel", **overrides: str | None) -> Policy:
    """A preset, with every rule that is given (not None) taken instead of the preset's.

    Raises UsageError for an unknown preset, rule or value.
    """
    if preset not in PRESETS:
        raise UsageError(f"Unknown preset `{preset}`. {_suggest(preset, list(PRESETS))}")
    chosen = {rule: value for rule, value in overrides.items() if value is not None}
    for rule, value in chosen.items():
        if rule not in _CHOICES:
            raise UsageError(f"Unknown rule `{rule}` of a policy. {_suggest(rule, list(_CHOICES))}")
        values = [str(v) for v in get_args(_CHOICES[rule])]
        if value not in values:
            raise UsageError(f"`{value}` is no value of the policy's `{rule}`. {_suggest(value, values)}")
    return replace(PRESETS[preset], **chosen)  # type: ignore[arg-type]


def _suggest(word: str, choices: list[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Choose from {', '.join(choices)}."
