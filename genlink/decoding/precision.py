"""The precision that a model computes in: float32, bfloat16, or linear layers in int8 on a CPU.

``torch.ao.quantization`` is deprecated together with the quantised tensors that it makes, so int8 stands here, on plain
tensors: weights are rounded once, a scale for each output; inputs when they come, a scale for each row (symmetric,
"dynamic" quantisation). Sums are exact, in int32.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from genlink.decoding.bart import AnyBart
from genlink.errors import ModelError, UsageError

__all__ = ["Int8Linear", "Precision", "apply_precision", "precision_of", "quantise"]

Precision = Literal["fp32", "bf16", "int8"]

_LEVELS = 127
# Rows at a time: what is rounded, multiplied and scaled back stays in the processor's cache.
_ROWS = 256


def apply_precision(model: AnyBart, precision: Precision) -> AnyBart:
    """Let a model compute in another precision; it is changed in place and returned.

    ``int8`` replaces the linear layers of encoder and decoder, but not the head, which tells names apart: its scores
    stay in float32, as does everything between the layers. Such a model can neither be trained nor saved nor moved to
    a GPU; what was loaded is still on disk, in full.

    Raises UsageError for another precision, and for int8 on a GPU, on a processor whose int8 products are not exact
    (some old ones saturate), or of a model that is in int8 already.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision is {precision!r}, expected one of {', '.join(get_args(Precision))}.")
    if precision_of(model) == "int8":
        raise UsageError("a model in int8 cannot change its precision: the exact weights are gone. Load it again.")
    if precision == "bf16":
        model.bfloat16()
        return model
    model.float()
    if precision == "int8":
        if model.device.type != "cpu":
            raise UsageError(f"int8 is for the CPU, but the model is on {model.device}. Use bf16 there.")
        if not _int8_products_are_exact():
            raise UsageError("this processor or this PyTorch cannot multiply int8 exactly. Use fp32 or bf16.")
        for part in (model.model.encoder, model.model.decoder):
            _quantise_linear_layers(part)
    return model


def precision_of(model: AnyBart) -> str:
    """``int8`` for a model with quantised layers, else ``fp32``, ``bf16`` or the name of another dtype."""
    if any(isinstance(module, Int8Linear) for module in model.modules()):
        return "int8"
    names = {torch.float32: "fp32", torch.bfloat16: "bf16"}
    return names.get(model.dtype, str(model.dtype).removeprefix("torch."))


class Int8Linear(nn.Module):
    """A linear layer with weights in int8, for inputs of any leading dimensions in float32.

    ``levels`` is (outputs, inputs) in int8, ``scale`` (outputs,): a weight is a level times its output's scale.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        levels, scale = quantise(linear.weight.detach())
        # A parameter, so that the model counts as many parameters as before.
        self.levels = nn.Parameter(levels, requires_grad=False)
        self.scale = nn.Buffer(scale[:, 0])
        self.bias = linear.bias
        self.register_state_dict_pre_hook(_refuse_saving)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b, with both x and W rounded to 255 levels."""
        rows = x.reshape(-1, x.shape[-1])
        out = rows.new_empty(len(rows), len(self.levels))
        for part, result in zip(torch.split(rows, _ROWS), torch.split(out, _ROWS), strict=True):
            levels, scale = quantise(part)
            torch.mul(torch._int_mm(levels, self.levels.t()), scale, out=result)
            result.mul_(self.scale)
            if self.bias is not None:
                result.add_(self.bias)
        return out.view(*x.shape[:-1], -1)


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """The levels of a matrix in int8, and the scale of each of its rows, (rows, 1)."""
    scale = x.abs().amax(dim=1, keepdim=True).div_(_LEVELS).clamp_min_(torch.finfo(x.dtype).tiny)
    return (x / scale).round_().to(torch.int8), scale


def _quantise_linear_layers(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        else:
            _quantise_linear_layers(child)


def _int8_products_are_exact() -> bool:
    """Multiply the largest numbers: where sums of two products are held in 16 bits, they do not fit."""
    largest = torch.full((32, 64), _LEVELS, dtype=torch.int8)
    try:
        product = torch._int_mm(largest, largest.t())
    except RuntimeError:
        return False
    return bool((product == 64 * _LEVELS**2).all())


def _refuse_saving(module: nn.Module, prefix: str, keep_vars: bool, *_: Any) -> None:
    raise ModelError(
        "a model in int8 cannot be saved: its exact weights are gone. Copy the directory it came from, or load it in "
        "fp32 and save that."
    )
