"""Many callers, one worker: what they ask at about the same time is worked on together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

__all__ = ["Batcher", "QueueClosedError", "QueueFullError"]

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class QueueFullError(Exception):
    """There is no room for so much more; some will be free when a batch has been worked on."""


class QueueClosedError(Exception):
    """Nothing more is taken."""


@dataclass(slots=True, eq=False)
class _Job(Generic[Key, Item, Answer]):
    key: Key
    items: Sequence[Item]
    future: Future[list[Answer]] = field(default_factory=Future)


class Batcher(Generic[Key, Item, Answer]):
    """A bounded queue and one thread, in which ``work(key, items)`` gives an answer for each item.

    The oldest job is always the next one. Jobs of the same key that wait behind it go along, as long as there are no
    more than ``batch`` items; a job is never split. Where fewer wait, it gives others ``wait_s`` seconds to come.
    ``capacity`` counts the items that wait. What is cancelled while it waits is never worked on. Where work fails on
    several jobs each is tried alone, so that none pays for another.
    """

    def __init__(
        self, work: Callable[[Key, list[Item]], list[Answer]], *, capacity: int, batch: int, wait_s: float
    ) -> None:
        self._work = work
        self._capacity, self._batch, self._wait_s = capacity, batch, wait_s
        self._jobs: deque[_Job[Key, Item, Answer]] = deque()
        self._waiting = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="genlink-worker", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._waiting

    def submit(self, key: Key, items: Sequence[Item]) -> Future[list[Answer]]:
        """The answers to some items, in order, when they are there.

        Raises QueueFullError where they do not fit into the queue (a job of more items than it holds is taken when it
        is empty) and QueueClosedError after ``close``.
        """
        job = _Job[Key, Item, Answer](key, items)
        with self._changed:
            if self._is_closed:
                raise QueueClosedError
            if self._waiting + len(items) > self._capacity:
                self._forget_cancelled()
                if self._waiting and self._waiting + len(items) > self._capacity:
                    raise QueueFullError
            self._jobs.append(job)
            self._waiting += len(items)
            self._changed.notify_all()
        return job.future

    def close(self) -> None:
        """Take nothing more, answer all that waits, and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _forget_cancelled(self) -> None:
        """Make the room free that jobs held whose callers have gone; the lock is held."""
        self._jobs = deque(job for job in self._jobs if not job.future.cancelled())
        self._waiting = sum(len(job.items) for job in self._jobs)

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            live = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if live:
                self._answer(live)

    def _next(self) -> list[_Job[Key, Item, Answer]] | None:
        """The jobs of the next batch, or none if they were all cancelled; None when all is done."""
        with self._changed:
            while not self._jobs and not self._is_closed:
                self._changed.wait()
            if not self._jobs:
                return None
            deadline = monotonic() + self._wait_s
            while not self._is_closed and self._waiting < self._batch and (left := deadline - monotonic()) > 0:
                self._changed.wait(left)
            self._forget_cancelled()
            taken: list[_Job[Key, Item, Answer]] = []
            kept: deque[_Job[Key, Item, Answer]] = deque()
            n = 0
            for job in self._jobs:
                goes_along = not taken or (job.key == taken[0].key and n + len(job.items) <= self._batch)
                (taken if goes_along else kept).append(job)
                n += len(job.items) if goes_along else 0
            self._jobs = kept
            self._waiting -= n
            return taken

    def _answer(self, jobs: list[_Job[Key, Item, Answer]]) -> None:
        try:
            answers = self._work(jobs[0].key, [item for job in jobs for item in job.items])
        except Exception as error:  # whatever it is, it belongs to the callers, and the thread has others
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            else:
                for job in jobs:
                    self._answer([job])
            return
        end = 0
        for job in jobs:
            end += len(job.items)
            job.future.set_result(answers[end - len(job.items) : end])
