"""The embedded store's own process: MiniStack on a free port, ended when its parent is gone.

Run as a script by the interpreter of the store's own environment, so it imports nothing of
ours; what it is to do stands in its environment variables (`embedded.py` sets them).

- stdin is a pipe held by the parent. Its end, however it comes about, is the one order to end.
- stdout gets one line, the port, and goes to the log (stderr) from then on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

# Saving half a million rows takes less; beyond it the process is stuck.
SECONDS_TO_SAVE = 120


def end_with_parent() -> None:
    """Turns the end of stdin into SIGTERM, on which MiniStack saves its state and returns."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(1)


def main() -> None:
    """Serves until stdin ends."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    state = Path(os.environ["STATE_DIR"])
    # A killed service leaves a process that is still saving: its state is read after that.
    with (state / "state.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        serve()
    if os.environ["PERSIST_STATE"] == "0":
        shutil.rmtree(state, ignore_errors=True)


def serve() -> None:
    """Binds a port of the kernel's choice, tells it, and hands the listening socket over.

    Requests that come before MiniStack is up wait in the socket's backlog.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    print(port, flush=True)  # noqa: T201 the parent reads it
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    os.environ["GATEWAY_PORT"] = str(port)  # read while MiniStack is imported
    # These are in the store's environment alone.
    from hypercorn.asyncio import serve as hypercorn  # type: ignore[import-not-found]
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack.app import app  # type: ignore[import-not-found]

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    asyncio.run(hypercorn(app, config))


if __name__ == "__main__":
    main()
