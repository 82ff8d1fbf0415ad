"""genlink commands in children of one process, which can be killed; none of them may reach another computer.

    python commands.py < tasks

A line is a JSON list: seconds after which the child is killed by SIGKILL, or null, then the arguments of ``genlink``.
The answer is a line: the exit code, negative for a signal; 99 for an attempt to reach another computer; and seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

REACHED = 99
HERE = (None, "", "localhost", "127.0.0.1", "::1")


def stay_here(event: str, arguments: Any) -> None:
    """An audit hook that ends the process at the first attempt to reach another computer."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path is a socket of this computer
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in HERE:
        os.write(2, f"{event}: {host}\n".encode())
        os._exit(REACHED)


def child(arguments: list[str]) -> None:
    from genlink.bulk import sources
    from genlink.cli.app import main

    sources._CHUNK_DOCUMENTS = 8  # many parts of a small file
    sys.argv = ["genlink", *arguments]
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    finally:
        os._exit(70)


def carry_out(after: float | None, arguments: list[str]) -> tuple[int, float]:
    """Exit code and seconds of a command; killed after some seconds unless it is done."""
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.dup2(2, 1)
        child(arguments)
    if after is None:
        _, status = os.waitpid(pid, 0)
    else:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - started


if __name__ == "__main__":
    sys.addaudithook(stay_here)
    import torch
    import transformers.models.bart.modeling_bart  # noqa: F401 - what takes long to load is loaded once

    import genlink.linkers.dense_opening
    import genlink.linkers.generative
    import genlink.serving.app
    import genlink.training.stages  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        seconds, *words = json.loads(line)
        print(json.dumps(carry_out(seconds, words)), flush=True)
