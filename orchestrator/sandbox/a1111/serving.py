"""uvicorn around the application: binds the loopback address only, announces itself, ends with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import uvicorn

from . import disk
from .app import create_app
from .painting import World
from .settings import Settings

_HOST = "127.0.0.1"
_PARENT_CHECK_SECONDS = 1.0


def serve(
    home: Path, world: World, settings: Settings, port: int, *, token: str = "", parent: int | None = None
) -> int:
    """Serve until told to stop. Prints one line with the URL when ready and writes home/server.json {url, pid, token}.

    With `parent` set, the server also ends when that process does or when its own standard input closes.
    Returns the exit code: 0, or 1 when the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # on Windows this option would let two servers share one port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError as taken:
        sys.stderr.write(
            f"Port {port} of {_HOST} cannot be used: {taken.strerror}. Choose another with --port, or 0.\n"
        )
        return 1
    url = f"http://{_HOST}:{listening.getsockname()[1]}"
    app = create_app(home, world, settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=round(settings.keep_alive_seconds),
            timeout_graceful_shutdown=2,
        )
    )
    if parent is not None:
        threading.Thread(target=_end_with_parent, args=(server, parent), daemon=True).start()
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    announcement = home / "server.json"
    try:
        asyncio.run(_run(server, listening, url, announcement, token))
    except KeyboardInterrupt:
        pass
    finally:
        app.state.engine.state.close()
        app.state.threads.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(OSError):
            announcement.unlink(missing_ok=True)
        listening.close()
    return 0


async def _run(server: uvicorn.Server, listening: socket.socket, url: str, announcement: Path, token: str) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        said = {"url": url, "pid": os.getpid(), "token": token}
        disk.write_whole(announcement, json.dumps(said).encode())
        sys.stdout.write(f"Simulated AUTOMATIC1111 server ready: {url}\n")
        sys.stdout.flush()
    await serving


def _end_with_stdin(server: uvicorn.Server) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    server.should_exit = True


def _end_with_parent(server: uvicorn.Server, parent: int) -> None:
    """Standard input alone is not enough: a process the parent forked may hold its other end open."""
    try:
        watched = psutil.Process(parent)
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_PARENT_CHECK_SECONDS)
    except psutil.Error:
        pass
    server.should_exit = True
