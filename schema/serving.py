"""Serving the application: a socket that is bound before anything costly starts, and uvicorn."""

from __future__ import annotations

import signal
import socket
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from datasources.errors import ConfigurationError

GRACE = 20  # seconds that running requests are given when the service ends


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigurationError, naming the options, where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # At once: another could bind the port as long as nobody listens.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); "
            "choose another, e.g. --port 9000."
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether nobody but this machine can come."""
    return ip_address(listener.getsockname()[0]).is_loopback


async def serve_app(app: ASGIApp, listener: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, then ends what is running and returns."""
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    # uvicorn raises a signal again once it has stopped; what its caller holds closes first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    await uvicorn.Server(config).serve(sockets=[listener])
