"""The modules of a BART without transformers, and its encoder, against the model that they were made after."""

from __future__ import annotations

import pytest
import torch

from genlink.decoding import BartScorer
from genlink.decoding.bart import TIED, Bart, BartShape, encode

CONFIGURATIONS = [
    {},
    {"activation_function": "relu", "encoder_layers": 3},
    {"encoder_attention_heads": 2, "decoder_layers": 1, "encoder_ffn_dim": 40},
    {"d_model": 24, "init_std": 0.6},
]
SOURCE = torch.randint(4, 100, (4, 11), generator=torch.Generator().manual_seed(1))
LENGTHS = [11, 7, 1, 10]
MASK = torch.tensor([[1] * n + [0] * (11 - n) for n in LENGTHS])


def light(model) -> Bart:
    shape = BartShape.of(model.config.to_dict())
    assert shape is not None
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in TIED}
    return Bart(shape, model.config.to_dict()).with_weights(own)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("changes", CONFIGURATIONS)
def test_the_encoder_gives_what_the_encoder_of_transformers_gives(tiny_bart, changes, seed) -> None:
    model = tiny_bart(seed, **changes)
    with torch.no_grad():
        expected = model.model.encoder(input_ids=SOURCE, attention_mask=MASK).last_hidden_state
        hidden = torch.zeros(MASK.shape).masked_fill_(MASK == 0, -torch.inf)[:, None, None]
        found = encode(light(model), SOURCE, hidden)
        alone = [encode(light(model), SOURCE[i : i + 1, :n], None)[0] for i, n in enumerate(LENGTHS)]
    for i, n in enumerate(LENGTHS):  # what stands at padding is read by nobody
        torch.testing.assert_close(found[i, :n], expected[i, :n], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone[i], expected[i, :n], atol=1e-5, rtol=0)


def test_a_model_of_transformers_is_encoded_without_its_dropout(tiny_bart) -> None:
    model = tiny_bart(scale_embedding=True, dropout=0.5)
    with torch.no_grad():
        expected = model.model.encoder(input_ids=SOURCE).last_hidden_state
        torch.testing.assert_close(encode(model.train(), SOURCE, None), expected, atol=1e-5, rtol=0)


def test_names_and_shapes_of_the_weights_are_those_of_transformers(tiny_bart) -> None:
    model = tiny_bart()
    ours, theirs = light(model).state_dict(), model.state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: tensor.shape for n, tensor in theirs.items()}
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert sum(p.numel() for p in light(model).parameters()) == model.num_parameters()


def test_a_changed_embedding_is_changed_wherever_it_is_used(tiny_bart) -> None:
    model = light(tiny_bart())
    with torch.no_grad():
        model.lm_head.weight.fill_(0.5)
    assert {float(model.state_dict()[name].mean()) for name in TIED} == {0.5}
    model.bfloat16()
    assert model.lm_head.weight is model.model.shared.weight
    assert model.dtype == torch.bfloat16


def test_making_a_model_draws_no_random_numbers(tiny_bart) -> None:
    model, before = tiny_bart(), torch.get_rng_state()
    light(model)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "silu"},
        {"scale_embedding": True},
        {"tie_word_embeddings": False},
        {"model_type": "mbart"},
        {"quantization_config": {"bits": 8}},
        {"d_model": "32"},
        {"d_model": 33},
        {"encoder_attention_heads": 0},
        {"vocab_size": None},
        {"decoder_start_token_id": True},
    ],
)
def test_another_architecture_has_no_shape(tiny_bart, changes) -> None:
    entries = tiny_bart().config.to_dict()
    assert BartShape.of(entries) is not None
    assert BartShape.of(entries | changes) is None


@pytest.mark.parametrize("missing", ["d_model", "model_type", "activation_function"])
def test_nothing_that_the_shape_needs_is_guessed(tiny_bart, missing) -> None:
    entries = tiny_bart().config.to_dict()
    del entries[missing]
    assert BartShape.of(entries) is None


def test_weights_of_another_shape_are_refused(tiny_bart) -> None:
    shape = BartShape.of(tiny_bart().config.to_dict())
    assert shape is not None
    weights = light(tiny_bart(d_model=24)).own_weights()
    with pytest.raises(RuntimeError, match="size mismatch"):
        Bart(shape, {}).with_weights(weights)


def test_a_source_is_read_by_its_own_tokens_alone(tiny_bart) -> None:
    model = light(tiny_bart())
    sessions = [
        BartScorer(model).begin(SOURCE, MASK, [[2]] * 4),
        BartScorer(model).begin(SOURCE.where(MASK.bool(), 1), MASK, [[2]] * 4),
    ]
    hidden = [session._hidden[:, 0] for session in sessions]
    torch.testing.assert_close(*hidden, atol=1e-5, rtol=0)
