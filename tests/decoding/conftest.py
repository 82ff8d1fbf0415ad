"""Tiny models and tries that the decoding tests share."""

from __future__ import annotations

import pytest
import torch
from toys import build
from transformers import BartConfig, BartForConditionalGeneration


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small are slower on several threads, far slower where the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_bart():
    """A function that makes a random BART of width 32; keywords change its configuration."""

    def make(seed: int = 0, **changes: object) -> BartForConditionalGeneration:
        torch.manual_seed(seed)
        settings = {
            "vocab_size": 100,
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 80,
            "init_std": 0.3,
        }
        model = BartForConditionalGeneration(BartConfig(**(settings | changes)))
        model.final_logits_bias.normal_()
        return model.eval()

    return make


@pytest.fixture(scope="session")
def build_trie():
    """A function that makes a trie of lists of tokens."""
    return build
