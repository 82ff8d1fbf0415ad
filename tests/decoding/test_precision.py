"""A model in another precision scores nearly alike, and int8 cannot be mistaken for the real weights."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from genlink.decoding import BartScorer
from genlink.decoding.precision import Int8Linear, apply_precision, precision_of
from genlink.errors import ModelError, UsageError

SOURCE = torch.randint(4, 100, (2, 8), generator=torch.Generator().manual_seed(1))
TOKENS = np.arange(100)


def scores(model) -> np.ndarray:
    session = BartScorer(model).begin(SOURCE, torch.ones_like(SOURCE), [[2, 5], [2, 6]])
    slots = session.extend(np.array([0, 1, 1]), np.array([1, 1, 2]), np.array([7, 8, 9]))
    rows = np.repeat(np.arange(3), 100)
    return session.log_probs(np.array([0, 1, 1]), slots, rows, np.tile(TOKENS, 3)).reshape(3, 100)


def test_int8_weights_and_inputs_are_at_most_half_a_level_off() -> None:
    linear = nn.Linear(40, 24)
    x = torch.randn(2, 3, 40)
    x[1, 2] = 0  # a row without a scale of its own
    quantised = Int8Linear(linear)
    w_scale, x_scale = linear.weight.abs().amax(1) / 127, x.abs().amax(-1) / 127
    with torch.no_grad():
        error = (quantised(x) - linear(x)).abs()
    # |xw - x'w'| <= |x||w - w'| + |w'||x - x'|, summed over 40 inputs
    weights = linear.weight.abs() + w_scale[:, None] / 2
    bound = x.abs().sum(-1, keepdim=True) * w_scale / 2 + weights.sum(1) * x_scale[..., None] / 2
    assert error.shape == (2, 3, 24)
    assert (error <= bound + 1e-5).all()
    assert error.max() > 0
    assert (error[1, 2] < 1e-6).all()


def test_int8_is_exact_for_numbers_that_are_levels() -> None:
    linear = nn.Linear(16, 8, bias=False)
    levels = torch.randint(-127, 128, (8, 16)).float()
    levels[:, 0] = 127
    x = torch.randint(-127, 128, (700, 16)).float()  # more rows than are multiplied at a time
    x[:, 1] = -127
    with torch.no_grad():
        linear.weight.copy_(levels / 64)
        np.testing.assert_allclose(Int8Linear(linear)(x).numpy(), linear(x).numpy(), rtol=1e-5, atol=1e-3)


def test_a_model_in_int8_scores_near_the_exact_one_and_keeps_its_head(tiny_bart) -> None:
    model = tiny_bart(init_std=0.1)
    rounded = apply_precision(copy.deepcopy(model), "int8")
    assert np.abs(scores(rounded) - scores(model)).max() < 0.2
    assert np.abs(scores(rounded) - scores(model)).max() > 0
    assert rounded.lm_head.weight.dtype == torch.float32
    left = [name for name, module in rounded.named_modules() if isinstance(module, nn.Linear)]
    assert left == ["lm_head"]
    # 2 layers of 6 in the encoder, 2 of 10 in the decoder
    assert sum(isinstance(module, Int8Linear) for module in rounded.modules()) == 32


def test_a_model_counts_as_many_parameters_in_int8_as_before(tiny_bart) -> None:
    model = tiny_bart()
    before = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in apply_precision(model, "int8").parameters()) == before


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_floating_precision_is_that_of_every_weight_and_can_change(tiny_bart, precision, dtype) -> None:
    model = tiny_bart()
    for chosen in ("bf16", "fp32", precision):
        assert apply_precision(model, chosen) is model
        assert precision_of(model) == chosen
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_an_int8_model_is_told_apart_and_stays_as_it_is(tiny_bart) -> None:
    model = apply_precision(tiny_bart(), "int8")
    assert precision_of(model) == "int8"
    for other in ("fp32", "bf16", "int8"):
        with pytest.raises(UsageError, match="Load it again"):
            apply_precision(model, other)


def test_an_int8_model_cannot_be_saved(tiny_bart, tmp_path) -> None:
    model = apply_precision(tiny_bart(), "int8")
    with pytest.raises(ModelError, match="cannot be saved"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_int8_is_refused_on_a_gpu(tiny_bart) -> None:
    with pytest.raises(UsageError, match="int8 is for the CPU, but the model is on meta"):
        apply_precision(tiny_bart().to("meta"), "int8")


def test_int8_is_refused_where_its_products_saturate(tiny_bart, monkeypatch) -> None:
    real = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: real(a, b).clamp(max=2**15 - 1))
    with pytest.raises(UsageError, match="cannot multiply int8 exactly"):
        apply_precision(tiny_bart(), "int8")


def test_an_unknown_precision_is_refused_with_those_there_are(tiny_bart) -> None:
    with pytest.raises(UsageError, match="'fp8', expected one of fp32, bf16, int8"):
        apply_precision(tiny_bart(), "fp8")
