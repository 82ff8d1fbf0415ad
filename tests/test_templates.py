"""What the encoder and the decoder are given to read."""

from __future__ import annotations

import pytest

from genlink.templates import Template


def test_the_decoder_starts_with_the_mention_and_a_verb():
    assert Template().decoder_prefix("breast cancer") == "breast cancer is"
    assert Template(prefix="the name of {mention} is").decoder_prefix("gout") == "the name of gout is"
    assert Template(prefix="").decoder_prefix("gout") == ""


def test_braces_in_a_mention_are_ordinary_characters():
    assert Template().decoder_prefix("{mention} {0}") == "{mention} {0} is"


def test_a_prefix_without_the_mention_is_refused():
    with pytest.raises(ValueError, match="does not hold"):
        Template(prefix="is")
