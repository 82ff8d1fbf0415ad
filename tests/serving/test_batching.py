"""The queue of a server: who waits together is worked on together, and nobody pays for another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from genlink.serving.batching import Batcher, QueueClosedError, QueueFullError


class Work:
    """Doubles numbers while its gate is open, and remembers every call."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, key: str, items: list[int]) -> list[int]:
        self.calls.append((key, items))
        self.begun.release()
        assert self.gate.wait(30)
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def batcher(work) -> Iterator[Batcher[str, int, int]]:
    made = Batcher[str, int, int](work, capacity=10, batch=4, wait_s=0.0001)
    yield made
    work.gate.set()
    made.close()


def occupy(batcher, work) -> None:
    """Have the worker begin with something, so that what comes next has to wait."""
    batcher.submit("busy", [0])
    assert work.begun.acquire(timeout=30)


def test_what_waits_with_the_same_key_is_worked_on_together_up_to_the_size_of_a_batch(batcher, work) -> None:
    occupy(batcher, work)
    futures = [
        batcher.submit("a", [1, 2]),
        batcher.submit("b", [3]),
        batcher.submit("a", [4]),
        batcher.submit("a", [5]),
    ]
    futures.append(batcher.submit("a", [6]))
    work.gate.set()
    assert [future.result(30) for future in futures] == [[2, 4], [6], [8], [10], [12]]
    assert work.calls[1:] == [("a", [1, 2, 4, 5]), ("b", [3]), ("a", [6])]


def test_a_job_that_is_larger_than_a_batch_is_one_batch(batcher, work) -> None:
    work.gate.set()
    assert batcher.submit("a", list(range(9))).result(30) == list(range(0, 18, 2))
    assert work.calls == [("a", list(range(9)))]


def test_those_that_come_a_moment_later_go_along(work) -> None:
    batcher = Batcher[str, int, int](work, capacity=10, batch=2, wait_s=30)
    work.gate.set()
    first, second = batcher.submit("a", [1]), batcher.submit("a", [2])
    assert (first.result(30), second.result(30)) == ([2], [4])
    assert work.calls == [("a", [1, 2])]
    batcher.close()


def test_more_than_may_wait_is_refused_until_there_is_room(batcher, work) -> None:
    occupy(batcher, work)
    waiting = [batcher.submit("a", [1] * 6), batcher.submit("a", [2] * 4)]
    assert batcher.waiting == 10
    with pytest.raises(QueueFullError):
        batcher.submit("a", [3])
    work.gate.set()
    assert [future.result(30) for future in waiting] == [[2] * 6, [4] * 4]
    assert batcher.submit("a", [3]).result(30) == [6]
    assert batcher.waiting == 0


def test_a_job_that_never_fits_is_taken_when_nothing_waits(batcher, work) -> None:
    work.gate.set()
    assert batcher.submit("a", [1] * 11).result(30) == [2] * 11


def test_what_is_given_up_while_it_waits_is_never_worked_on(batcher, work) -> None:
    occupy(batcher, work)
    given_up, kept = batcher.submit("a", [1]), batcher.submit("a", [2])
    assert given_up.cancel()
    work.gate.set()
    assert kept.result(30) == [4]
    assert work.calls[1:] == [("a", [2])]


def test_what_is_given_up_while_it_waits_makes_room_for_others_in_the_queue_and_in_a_batch(batcher, work) -> None:
    occupy(batcher, work)
    kept = batcher.submit("a", [1])
    given_up = [batcher.submit("a", [2] * 3) for _ in range(3)]
    assert all(future.cancel() for future in given_up)
    others = [batcher.submit("a", [3] * 2), batcher.submit("a", [4])]  # 1 + 9 were the whole queue
    work.gate.set()
    assert [future.result(30) for future in (kept, *others)] == [[2], [6, 6], [8]]
    assert work.calls[1:] == [("a", [1, 3, 3, 4])]
    assert batcher.waiting == 0


def test_the_worker_outlives_a_moment_when_all_that_waited_is_given_up(batcher, work) -> None:
    occupy(batcher, work)
    assert batcher.submit("a", [1]).cancel()
    work.gate.set()
    assert batcher.submit("a", [2]).result(30) == [4]
    assert batcher.submit("a", [3]).result(30) == [6]


def test_a_job_that_fails_takes_no_other_with_it(batcher, work) -> None:
    occupy(batcher, work)
    futures = [batcher.submit("a", [1]), batcher.submit("a", [13]), batcher.submit("a", [3])]
    work.gate.set()
    assert (futures[0].result(30), futures[2].result(30)) == ([2], [6])
    with pytest.raises(ValueError, match="thirteen"):
        futures[1].result(30)
    assert batcher.submit("a", [4]).result(30) == [8]


def test_closing_answers_what_waits_and_takes_nothing_more(batcher, work) -> None:
    occupy(batcher, work)
    waiting = [batcher.submit(key, [1]) for key in "abab"]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(QueueClosedError):
        while True:  # until the thread has got so far
            waiting.append(batcher.submit("a", []))
    work.gate.set()
    closing.join(30)
    assert [future.result(0) for future in waiting[:4]] == [[2]] * 4


def test_many_callers_get_their_own_answers(work) -> None:
    batcher = Batcher[str, int, int](work, capacity=10_000, batch=8, wait_s=0.001)
    work.gate.set()
    with ThreadPoolExecutor(16) as callers:
        numbers = [[i, 1000 + i] for i in range(200) if i != 13]
        futures = list(callers.map(lambda items: batcher.submit(str(items[0] % 3), items), numbers))
        assert [future.result(30) for future in futures] == [[2 * a, 2 * b] for a, b in numbers]
    batcher.close()
    assert all(len({item % 1000 % 3 for item in items}) == 1 for _, items in work.calls)
    assert len(work.calls) < 199
