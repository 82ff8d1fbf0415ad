"""What stands in front of the routes: limits on requests before they are read, and the headers of every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.responses import Response

from genlink.serving.settings import ServeSettings

__all__ = ["HEADERS", "Guard", "refusal", "retry_after"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
"""The headers of every answer; what passes through a ``Guard`` is given them there."""
# The page and whoever else asks little is let through when there is no room for questions.
_QUESTIONS = ("POST", "PUT", "PATCH")
# So many times its limit a body is read before it is refused: most clients send all of it before they listen.
_READ_OVER = 8
_CHARACTERS_SAID = 400


def retry_after(settings: ServeSettings) -> dict[str, str]:
    """The header that says when to come again: a while in which a part of the queue has been worked on."""
    return {"Retry-After": str(max(1, round(settings.timeout_s / 30)))}


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The one form of an error: a short line of JSON, whatever of the request it quotes."""
    line = " ".join(detail.split())
    line = line if len(line) <= _CHARACTERS_SAID else f"{line[:_CHARACTERS_SAID]} ..."
    return Response(json.dumps({"detail": line}), status, headers, "application/json")


class Guard:
    """An ASGI application in front of another one.

    It reads a request's body whole, in limited time, before anything else sees it: 413 where it is too long, 408 where
    it does not come, 503 where too many requests are open. What its caller no longer waits for is cancelled.
    """

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._open = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection event, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        if scope["method"] not in _QUESTIONS:
            await self._app(scope, receive, send_with_headers)
        elif self._open >= self._settings.requests:
            await self._refuse(503, "too many requests are open: come again later.")(scope, receive, send_with_headers)
        else:
            self._open += 1
            try:
                await self._question(scope, receive, send_with_headers)
            finally:
                self._open -= 1

    async def _question(self, scope: Message, receive: Receive, send: Send) -> None:
        limit = self._settings.body_bytes
        try:
            body = await asyncio.wait_for(_read(scope, receive, limit), self._settings.timeout_s)
        except asyncio.TimeoutError:
            await self._refuse(408, "the body of the request did not come.")(scope, receive, send)
        except _TooLongError:
            await self._refuse(413, f"the body is longer than {limit} bytes.")(scope, receive, send)
        except _GoneError:
            pass
        else:
            await self._answer(body, scope, receive, send)

    async def _answer(self, body: bytes, scope: Message, receive: Receive, send: Send) -> None:
        """Have the application answer, unless the caller goes before it has begun to, or the server ends."""
        pending = [{"type": "http.request", "body": body, "more_body": False}]
        has_begun = False

        async def replay() -> Message:
            if pending:
                return pending.pop()
            await asyncio.shield(leaving)
            return {"type": "http.disconnect"}

        async def begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        answering = asyncio.ensure_future(self._app(scope, replay, begin))
        leaving = asyncio.ensure_future(_end(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not has_begun:
                answering.cancel()
            await asyncio.wait((answering,))
            if not answering.cancelled():
                answering.result()
        except asyncio.CancelledError:  # told to end, the server has waited long enough
            answering.cancel()
            if not has_begun:
                await self._refuse(503, "the server is ending.")(scope, receive, send)
        finally:
            leaving.cancel()

    def _refuse(self, status: int, detail: str) -> Response:
        # What is left of a body is not read, so the connection cannot go on.
        again = retry_after(self._settings) if status == 503 else {}
        return refusal(status, detail, {"Connection": "close", **again})


class _TooLongError(Exception):
    pass


class _GoneError(Exception):
    pass


async def _read(scope: Message, receive: Receive, limit: int) -> bytes:
    """The body. Raises _TooLongError where there is too much of it, _GoneError where the caller has gone."""
    headers = dict(scope["headers"])
    said = headers.get(b"content-length", b"0")
    is_asked_first = b"expect" in headers
    if said.isdigit() and (
        len(said) > len(str(limit)) + 2 or int(said) > (1 if is_asked_first else _READ_OVER) * limit
    ):
        raise _TooLongError
    body, length, is_more = bytearray(), 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        length += len(message.get("body", b""))
        if length <= limit:
            body += message.get("body", b"")
        if length > _READ_OVER * limit:
            break
        is_more = message.get("more_body", False)
    if length > limit:
        raise _TooLongError
    return bytes(body)


async def _end(receive: Receive) -> None:
    """Wait until the caller has gone, or the answer is sent."""
    while (await receive())["type"] != "http.disconnect":
        pass
