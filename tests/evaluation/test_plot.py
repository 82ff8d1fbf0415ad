"""Reliability diagrams: the same numbers are the same bytes."""

from __future__ import annotations

import re
import sys

import matplotlib
import pytest

from genlink.errors import UsageError
from genlink.evaluation.plot import draw_reliability
from genlink.metrics import reliability_bins

DIAGRAMS = {
    "before": reliability_bins([0.2, 0.5, 0.9, 0.95], [0, 1, 1, 1]),
    "after": reliability_bins([0.3, 0.6, 0.8, 0.9], [0, 1, 1, 1]),
}


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_numbers_are_the_same_bytes_whatever_the_users_settings(suffix, tmp_path):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(3)]
    draw_reliability(paths[0], DIAGRAMS)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True}):
        draw_reliability(paths[1], DIAGRAMS)
    assert paths[1].read_bytes() == paths[0].read_bytes()
    draw_reliability(paths[2], {**DIAGRAMS, "after": DIAGRAMS["before"]})
    assert paths[2].read_bytes() != paths[0].read_bytes()


def test_a_drawing_has_its_titles_as_text_and_no_date(tmp_path):
    draw_reliability(tmp_path / "reliability.svg", DIAGRAMS)
    text = (tmp_path / "reliability.svg").read_text(encoding="utf-8")
    assert re.findall(r">(before|after)<", text) == ["before", "after"]
    assert "dc:date" not in text and "matplotlib v" not in text.lower()


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"reliability\.pdf: a plot is an SVG or PNG file"):
        draw_reliability(tmp_path / "reliability.pdf", DIAGRAMS)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'genlink\[plot\]'"):
        draw_reliability(tmp_path / "reliability.svg", DIAGRAMS)
    assert list(tmp_path.iterdir()) == []
