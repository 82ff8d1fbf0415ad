"""Policies have names, and are spelled out in print."""

from __future__ import annotations

from dataclasses import fields

import pytest

from genlink.errors import UsageError
from genlink.evaluation import PRESETS, Policy, choose_policy


def test_presets_are_those_of_the_glossary():
    assert str(PRESETS["angel"]) == "lenient / any / drop / kb+train / preprocessed"
    assert str(PRESETS["biosyn"]) == "lenient / all / drop / kb+train / preprocessed"
    assert str(PRESETS["strict"]) == "strict / any / drop / kb+train / preprocessed"


@pytest.mark.parametrize(("preset", "rule"), [("strict", "ambiguous"), ("biosyn", "composite")])
def test_a_preset_differs_from_angel_in_one_rule(preset, rule):
    angel, other = PRESETS["angel"], PRESETS[preset]
    assert [f.name for f in fields(Policy) if getattr(angel, f.name) != getattr(other, f.name)] == [rule]


def test_all_presets_agree_on_what_is_linked_so_that_one_run_serves_them_all():
    assert {(policy.dictionary, policy.mentions) for policy in PRESETS.values()} == {("kb+train", "preprocessed")}


def test_a_rule_overrides_the_preset():
    assert choose_policy("strict", composite="all", nil=None) == Policy(ambiguous="strict", composite="all")


def test_preprocessed_mentions_have_both_steps_and_raw_ones_none():
    steps = choose_policy("angel").preprocessing
    assert (steps.abbreviations, steps.composites) == (True, True)
    raw = choose_policy("angel", mentions="raw").preprocessing
    assert (raw.abbreviations, raw.composites) == (False, False)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: choose_policy("angle"), "Did you mean `angel`"),
        (lambda: choose_policy("angel", ambiguous="strct"), "Did you mean `strict`"),
        (lambda: choose_policy("angel", nil="xyz"), "Choose from drop, count"),
        (lambda: choose_policy("angel", ambigous="std"), "Did you mean `ambiguous`"),
    ],
)
def test_unknown_words_are_refused_with_advice(call, advice):
    with pytest.raises(UsageError, match=advice):
        call()
