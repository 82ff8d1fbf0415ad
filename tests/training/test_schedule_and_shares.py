"""The learning rate of each step, and who reads which of its examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.encoding import Example
from genlink.errors import UsageError
from genlink.training.loop import learning_rate, shares


def examples(n: int) -> list[Example]:
    return [Example([i], [0], [0]) for i in range(n)]


@pytest.mark.parametrize(
    ("step", "rate"),
    # Four steps up to 3, then down by a sixth of it each, but never below a fifth.
    [(0, 0.75), (1, 1.5), (3, 3.0), (4, 3.0), (5, 2.5), (7, 1.5), (8, 1.0), (9, 0.6)],
)
def test_the_rate_rises_falls_and_stays_above_the_floor(optimiser_config, step, rate):
    config = optimiser_config(steps=10, learning_rate=3.0, warmup_steps=4, floor=0.2)
    assert learning_rate(step, 10, config) == pytest.approx(rate)


def test_without_warm_up_the_first_step_has_the_full_rate(optimiser_config):
    config = optimiser_config(learning_rate=1.0, warmup_steps=0, floor=0.0)
    assert [learning_rate(step, 4, config) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_a_run_shorter_than_its_warm_up_only_rises(optimiser_config):
    config = optimiser_config(learning_rate=1.0, warmup_steps=4)
    assert [learning_rate(step, 2, config) for step in range(2)] == [0.25, 0.5]


@given(st.integers(1, 40), st.integers(1, 5), st.none() | st.integers(1, 9))
def test_shares_cut_a_step_without_loss_or_repetition_into_equally_many_parts(n, processes, micro_batch_size):
    if n < processes:
        with pytest.raises(UsageError, match="smaller than the number of processes"):
            shares(examples(n), processes, 0, micro_batch_size)
        return
    cut = [shares(examples(n), processes, process, micro_batch_size) for process in range(processes)]
    assert [e for parts in cut for part in parts for e in part] == examples(n)
    assert len({len(parts) for parts in cut}) == 1
    sizes = [len(part) for parts in cut for part in parts]
    assert max(sizes) - min(sizes) <= 1
    # One more where no process could have as many parts as the limit asks for.
    assert max(sizes) <= (micro_batch_size or n) or min(len(parts) for parts in cut) == n // processes


def test_shares_by_hand():
    def sizes(n: int, processes: int, micro_batch_size: int | None) -> list[list[int]]:
        cut = [shares(examples(n), processes, process, micro_batch_size) for process in range(processes)]
        return [[len(part) for part in parts] for parts in cut]

    assert sizes(8, 1, None) == [[8]]
    assert sizes(8, 2, None) == [[4], [4]]
    assert sizes(8, 2, 2) == [[2, 2], [2, 2]]
    assert sizes(7, 2, 2) == [[2, 2], [1, 2]]
    assert sizes(8, 1, 1) == [[1] * 8]
    assert sizes(5, 2, 1) == [[1, 1], [2, 1]]  # each as often as the other


def test_too_few_examples_for_the_processes_are_refused():
    with pytest.raises(UsageError, match="batch_size 3 is smaller than the number of processes, 4"):
        shares(examples(3), 4, 0, None)
