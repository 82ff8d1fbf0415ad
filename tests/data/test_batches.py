"""Batches: a function of seed and step, of like lengths, every mention once an epoch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from genlink.data.batches import IGNORED, POOLED_BATCHES, FinetuneBatches, PretrainBatches, collate
from genlink.data.encoding import Example
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.data.targets import MentionTargets, nearest_gold_names
from genlink.schema import Mention

PAD = 1


def test_collate_pads_on_the_right_and_shifts_the_labels_by_one():
    short = Example(source=[0, 5, 2], prefix=[2, 7], target=[8, 9, 2])
    long = Example(source=[0, 5, 6, 6, 2], prefix=[2], target=[8, 2])
    batch = collate([short, long], PAD)
    assert batch.source.tolist() == [[0, 5, 2, 1, 1], [0, 5, 6, 6, 2]]
    assert batch.source_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    # The decoder reads prefix and target but its end; behind each token of the target's way stands the next one.
    assert batch.decoder_input.tolist() == [[2, 7, 8, 9], [2, 8, 1, 1]]
    assert batch.labels.tolist() == [[-100, 8, 9, 2], [8, 2, -100, -100]]


def test_every_target_token_has_a_label_and_nothing_else_has(kb, encoding):
    examples = pretrain(kb, encoding).batch(0)
    batch = collate(examples, PAD)
    assert batch.source.shape == batch.source_mask.shape == (len(examples), max(len(e.source) for e in examples))
    assert batch.decoder_input.shape == batch.labels.shape
    assert int((batch.labels != IGNORED).sum()) == sum(len(e.target) for e in examples)
    assert {t.dtype for t in (batch.source, batch.source_mask, batch.decoder_input, batch.labels)} == {torch.int64}
    assert torch.equal(batch.to(torch.device("cpu")).labels, batch.labels)


def pretrain(kb, encoding, *, seed: int = 0, batch_size: int = 8) -> PretrainBatches:
    pairs = SynonymPairs(kb, SynonymMix(1, 1, 1, 0), 120)
    return PretrainBatches(pairs, encoding, batch_size=batch_size, target_tokens=32, seed=seed)


def finetune(
    kb, encoding, surfaces, *, batch_size: int, replay: float = 0.0, seed: int = 0, noise: float = 0.0
) -> FinetuneBatches:
    gold = (frozenset(["D4"]),)  # of one name
    mentions = [Mention(surface, ((0, len(surface)),), surface, gold=gold) for surface in surfaces]
    targets = MentionTargets(nearest_gold_names(mentions, kb), kb, encoding, repetition=1, noise=noise)
    pairs = SynonymPairs(kb, SynonymMix(0, 0, 1, 0), 120)
    return FinetuneBatches(targets, pairs, encoding, batch_size=batch_size, target_tokens=32, replay=replay, seed=seed)


@pytest.mark.parametrize(
    "make",
    [pretrain, lambda *a, **k: finetune(*a, ["x", "yy", "z z"], batch_size=8, replay=0.5, noise=0.5, **k)],
    ids=["pretrain", "finetune"],
)
def test_a_batch_depends_on_seed_and_step_alone(kb, encoding, make):
    batches = make(kb, encoding)
    first = {step: batches.batch(step) for step in (0, 3, 17)}
    for step in (40, 17, 3, 16, 0, 3):  # other calls, in another order, through other pools
        again = batches.batch(step)
        assert step not in first or again == first[step]
    assert make(kb, encoding).batch(17) == first[17]
    assert make(kb, encoding, seed=1).batch(17) != first[17]
    assert first[0] != first[3] != first[17]


def test_every_batch_is_full_and_holds_examples_of_like_length(kb, encoding):
    batches = pretrain(kb, encoding)
    pool = [batches.batch(step) for step in range(POOLED_BATCHES)]
    assert {len(batch) for batch in pool} == {8}
    # Laid side by side by length, no two batches overlap; drawn one after the other, they are in no such order.
    ranges = [(min(e.cost for e in batch), max(e.cost for e in batch)) for batch in pool]
    assert all(a[1] <= b[0] for a, b in zip(sorted(ranges), sorted(ranges)[1:], strict=False))
    assert ranges != sorted(ranges)


def sources(batches: FinetuneBatches, steps: range) -> Counter[tuple[int, ...]]:
    return Counter(tuple(e.source) for step in steps for e in batches.batch(step))


@pytest.mark.parametrize(("n", "batch_size"), [(16, 1), (20, 1), (7, 3), (5, 16), (100, 2)])
def test_every_mention_is_shown_once_an_epoch(kb, encoding, n, batch_size):
    surfaces = [f"mention {i}" for i in range(n)]
    batches = finetune(kb, encoding, surfaces, batch_size=batch_size)
    expected = {tuple(encoding.sources([encoding.prompt(Mention(s, ((0, len(s)),), s))])[0]) for s in surfaces}
    # n pools are 16 * batch_size epochs, neither more nor less of any mention.
    counts = sources(batches, range(n * POOLED_BATCHES))
    assert counts == dict.fromkeys(expected, POOLED_BATCHES * batch_size)
    # And within the first pool none comes a second time before all came once.
    first = sources(batches, range(POOLED_BATCHES))
    assert max(first.values()) - min(first[source] for source in expected) <= 1
    assert batches.epoch_steps() == max(1, round(n / batch_size))


def test_a_share_of_each_pool_replays_names_of_the_dictionary(kb, encoding):
    surfaces = [f"mention {i}" for i in range(12)]
    batches = finetune(kb, encoding, surfaces, batch_size=4, replay=0.25)
    drawn = [e for step in range(POOLED_BATCHES) for e in batches.batch(step)]
    assert len(drawn) == 64
    # Replayed are identities: what is asked for stands in the source. No mention is called "blue gout".
    replayed = [e for e in drawn if e.source[2:-2] == e.target[:-1]]
    assert len(replayed) == 16
    # 48 of 64 examples are mentions, so 12 of them take 4 steps.
    assert batches.epoch_steps() == 4


def test_replay_leaves_room_for_at_least_one_mention(kb, encoding):
    batches = finetune(kb, encoding, ["x"], batch_size=1, replay=0.99)
    drawn = [e for step in range(POOLED_BATCHES) for e in batches.batch(step)]
    assert sum(e.source[2:-2] != e.target[:-1] for e in drawn) == 1
    assert batches.epoch_steps() == POOLED_BATCHES


def test_without_pairs_nothing_is_replayed(kb, encoding):
    mention = Mention("x", ((0, 1),), "x", gold=(frozenset(["D4"]),))
    targets = MentionTargets(nearest_gold_names([mention], kb), kb, encoding, repetition=0, noise=0)
    batches = FinetuneBatches(targets, None, encoding, batch_size=2, target_tokens=32, replay=0.5, seed=0)
    assert len({tuple(e.source) for step in range(POOLED_BATCHES) for e in batches.batch(step)}) == 1
