"""A small encoder of random weights."""

from __future__ import annotations

import torch

from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece

NAMES = ["silver fever", "salt fever", "glass bone disease", "osteovitrosis", "tidal colic", "moth lung", "blue gout"]


def small_encoder(seed: int = 0, **settings) -> TextEncoder:
    tokenizer = train_wordpiece(NAMES, 90)
    model = fresh_bert(tokenizer, width=16, layers=2, heads=2, max_positions=32, seed=seed)
    with torch.no_grad():  # large enough that texts differ
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(12)
    return TextEncoder(model.eval(), tokenizer, **settings)
