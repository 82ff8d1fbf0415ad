"""A socket, and an application that answers there until it is told to end."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Any

from genlink.errors import UsageError

__all__ = ["bind", "require_server", "serve_until_told"]


def require_server() -> None:
    """Raise UsageError unless FastAPI and uvicorn are installed, which the extra `serve` brings."""
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"a server needs {error.name}, which is not installed. Install the extra: pip install 'genlink[serve]'."
        ) from None


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 takes a free one.

    Raises UsageError where the port is taken or the address is not one of this computer.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        raise UsageError(
            f"cannot listen at {host}, port {port} ({reason}). Choose another --port, or 0 for any that is free."
        ) from None


def serve_until_told(app: Any, listening: socket.socket, *, timeout_s: float, started: Callable[[str], None]) -> None:
    """Answer requests by an ASGI application until the process is interrupted or terminated.

    Then nothing more is taken and what is open is answered. ``timeout_s`` is how long the application may take over a
    request; a second more is waited for it. ``started`` is called with the address when the application is about to
    answer.
    """
    import uvicorn

    host, port = listening.getsockname()[:2]
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(timeout_s) + 1,
    )
    uvicorn.Server(config).run(sockets=[listening])
