"""The guard in front of the application, event by event, as a server would hand them over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from genlink.serving.guards import Guard, refusal
from genlink.serving.settings import ServeSettings

LIMIT = ServeSettings().body_bytes
GONE = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Caller:
    """Sends events and then nothing more, until it goes; keeps what it is answered."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = list(events)
        self.gone = asyncio.Event()
        self.answer: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self.events:
            return self.events.pop(0)
        await self.gone.wait()
        return GONE

    async def send(self, message: dict[str, Any]) -> None:
        self.answer.append(message)

    @property
    def status(self) -> int:
        return self.answer[0]["status"]

    @property
    def detail(self) -> str:
        return json.loads(self.answer[1]["body"])["detail"]


class Application:
    """Reads its request, and answers when its gate is open."""

    def __init__(self) -> None:
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.read: list[bytes] = []
        self.was_cancelled = False

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        self.read.append((await receive())["body"])
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer"})


def asked(guard: Guard, caller: Caller, headers: tuple[tuple[bytes, bytes], ...] = ()) -> asyncio.Task[None]:
    scope = {"type": "http", "method": "POST", "path": "/link", "headers": list(headers)}
    return asyncio.ensure_future(guard(scope, caller.receive, caller.send))


def run(scenario: Callable[[Application], Awaitable[None]]) -> None:
    async def begin() -> None:
        await asyncio.wait_for(scenario(Application()), 30)

    asyncio.run(begin())


def test_a_body_in_pieces_is_handed_on_whole_and_the_answer_comes_back() -> None:
    async def scenario(app: Application) -> None:
        caller = Caller(piece(b"one ", more=True), piece(b"two"))
        app.gate.set()
        await asked(Guard(app, ServeSettings()), caller)
        assert app.read == [b"one two"]
        assert caller.status == 200 and caller.answer[1]["body"] == b"answer"

    run(scenario)


def test_what_its_caller_no_longer_waits_for_is_cancelled_and_not_answered() -> None:
    async def scenario(app: Application) -> None:
        caller = Caller(piece(b"question"))
        asking = asked(Guard(app, ServeSettings()), caller)
        await app.begun.wait()
        caller.gone.set()
        await asking
        assert app.was_cancelled and caller.answer == []

    run(scenario)


def test_an_answer_that_has_begun_is_ended_whoever_has_gone() -> None:
    async def scenario(_: Application) -> None:
        caller, ends = Caller(piece(b"question")), asyncio.Event()

        async def in_two_steps(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            caller.gone.set()
            for _ in range(5):  # the guard has every chance to see that
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"answer"})
            ends.set()

        await asked(Guard(in_two_steps, ServeSettings()), caller)
        assert ends.is_set() and caller.answer[1]["body"] == b"answer"

    run(scenario)


def test_a_caller_that_goes_in_the_middle_of_its_body_asks_nothing() -> None:
    async def scenario(app: Application) -> None:
        caller = Caller(piece(b'{"text": "[[gout]]"}', more=True), GONE)
        await asked(Guard(app, ServeSettings()), caller)
        assert app.read == [] and caller.answer == []

    run(scenario)


def test_what_is_open_when_the_server_runs_out_of_patience_is_told_so_and_leaves_room() -> None:
    async def scenario(app: Application) -> None:
        guard, first, second = Guard(app, ServeSettings(requests=1)), Caller(piece(b"1")), Caller(piece(b"2"))
        asking = asked(guard, first)
        await app.begun.wait()
        asking.cancel()
        await asking
        await asyncio.sleep(0)
        assert (first.status, first.detail, app.was_cancelled) == (503, "the server is ending.", True)
        app.gate.set()
        await asked(guard, second)
        assert second.status == 200

    run(scenario)


def test_a_mistake_of_the_application_is_not_swallowed() -> None:
    async def scenario(_: Application) -> None:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            raise KeyError("mine")

        [error] = await asyncio.gather(
            asked(Guard(broken, ServeSettings()), Caller(piece(b""))), return_exceptions=True
        )
        assert isinstance(error, KeyError)

    run(scenario)


def test_a_body_that_is_somewhat_too_long_is_read_to_its_end_before_it_is_refused() -> None:
    async def scenario(app: Application) -> None:
        for headers in ((), ((b"content-length", str(LIMIT + 2).encode()),)):
            caller = Caller(piece(b"x" * LIMIT, more=True), piece(b"x", more=True), piece(b"x"))
            await asked(Guard(app, ServeSettings()), caller, headers)
            assert (caller.status, caller.events) == (413, [])
        assert app.read == []

    run(scenario)


def test_a_body_that_is_far_too_long_is_refused_at_once() -> None:
    async def scenario(app: Application) -> None:
        endless = Caller(*(piece(b"x" * LIMIT, more=True) for _ in range(20)))
        await asked(Guard(app, ServeSettings()), endless)
        assert endless.status == 413 and endless.events
        for headers in (
            ((b"content-length", b"9" * 5_000),),
            ((b"content-length", str(LIMIT + 1).encode()), (b"expect", b"100-continue")),  # it waits to be asked
        ):
            said = Caller(piece(b"x"))
            await asked(Guard(app, ServeSettings()), said, headers)
            assert said.status == 413 and said.events
        assert app.read == []

    run(scenario)


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def scenario(app: Application) -> None:
        caller = Caller(piece(b"x", more=True))
        await asked(Guard(app, ServeSettings(timeout_s=0.01)), caller)
        assert (caller.status, app.read) == (408, [])
        assert (b"connection", b"close") in caller.answer[0]["headers"]

    run(scenario)


def test_an_error_is_a_short_line_whatever_it_quotes() -> None:
    said = json.loads(bytes(refusal(422, "one\ntwo " + "x" * 10_000).body))["detail"]
    assert said.startswith("one two xxx") and said.endswith("x ...") and len(said) < 500
