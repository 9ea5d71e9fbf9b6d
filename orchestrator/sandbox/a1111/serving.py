"""uvicorn around the application: binds the loopback address only, announces itself, ends with its parent.

A process may have several lives: a restart closes the port, forgets the engine, and begins anew on the same port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import uvicorn

from . import disk
from .app import create_app
from .faults import Faults
from .life import Ending, Life, Uvicorn
from .painting import World
from .settings import Settings
from .startup import Window

_HOST = "127.0.0.1"
_PARENT_CHECK_SECONDS = 1.0
_REBIND_SECONDS = 5.0


def serve(
    home: Path, world: World, settings: Settings, port: int, *, token: str = "", parent: int | None = None
) -> int:
    """Serve until told to stop. Prints `Startup time: …` and the URL when ready, and writes home/server.json
    {url, pid, token, ready}: with `ready` false as soon as the port is open, true when the API is there.

    With `parent` set, the server also ends when that process does or when its own standard input closes.
    Returns the exit code: 0, 1 when the port is taken, or what the simulated process ended with.
    """
    try:
        listening = _listen(port)
    except OSError as taken:
        sys.stderr.write(
            f"Port {port} of {_HOST} cannot be used: {taken.strerror}. Choose another with --port, or 0.\n"
        )
        return 1
    port = listening.getsockname()[1]
    announcement = home / "server.json"
    stopping = threading.Event()
    lives = [Life()]
    if parent is not None:
        threading.Thread(target=_end_with_parent, args=(lives, stopping, parent), daemon=True).start()
        threading.Thread(target=_end_with_stdin, args=(lives, stopping), daemon=True).start()
    faults = Faults(settings.faults, settings.fault_seed)
    said: dict[str, object] = {"url": f"http://{_HOST}:{port}", "pid": os.getpid(), "token": token}
    try:
        while True:
            ending = _live(lives[-1], listening, (home, world, settings), faults, announcement, said)
            if not ending.again or stopping.wait(settings.restart_seconds):
                return ending.code
            lives.append(Life())
            listening = _listen(port, _REBIND_SECONDS)
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(OSError):
            announcement.unlink(missing_ok=True)
        listening.close()


def _listen(port: int, patience_seconds: float = 0.0) -> socket.socket:
    until = time.monotonic() + patience_seconds
    while True:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name != "nt":  # on Windows this option would let two servers share one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
            return listening
        except OSError:
            listening.close()
            if time.monotonic() >= until:
                raise
            time.sleep(0.05)


def _live(
    life: Life,
    listening: socket.socket,
    simulated: tuple[Path, World, Settings],
    faults: Faults,
    announcement: Path,
    said: dict[str, object],
) -> Ending:
    home, world, settings = simulated
    app = create_app(home, world, settings, life=life, faults=faults)
    window = Window(app.state.engine.dialect, settings.startup_seconds if settings.webui else 0.0)
    config = uvicorn.Config(
        window.around(app),
        http=life.connections.protocol(),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,  # the client's address names its connection
        timeout_keep_alive=round(settings.keep_alive_seconds),
        timeout_graceful_shutdown=2,
    )
    server = Uvicorn(config, life.connections)

    def announce(ready: bool) -> None:
        disk.write_whole(announcement, json.dumps({**said, "ready": ready}).encode())

    try:
        asyncio.run(_run(server, life, listening, settings, window, announce, str(said["url"])))
    finally:
        app.state.engine.close()
        app.state.threads.shutdown(wait=False, cancel_futures=True)
    return life.ending or Ending()


async def _run(
    server: uvicorn.Server,
    life: Life,
    listening: socket.socket,
    settings: Settings,
    window: Window,
    announce: Callable[[bool], None],
    url: str,
) -> None:
    began = time.monotonic()
    life.bind(server, asyncio.get_running_loop())
    if not settings.webui:
        await asyncio.sleep(settings.startup_seconds)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        await _become_ready(life, settings, window, announce, url, began)
    await serving


async def _become_ready(
    life: Life, settings: Settings, window: Window, announce: Callable[[bool], None], url: str, began: float
) -> None:
    if settings.webui:
        _say(f"Running on local URL:  {url}")
        if settings.startup_seconds > 0:
            announce(False)
            await asyncio.sleep(settings.startup_seconds)
        code = window.add_api()
        if code is not None:
            if code:
                life.die(Ending(code))
            return
        if window.comes_late:
            await asyncio.sleep(settings.startup_seconds)
    window.finish()
    spent = time.monotonic() - began
    _say(f"Startup time: {spent:.1f}s (initialize shared: 0.1s, load scripts: 0.1s, add APIs: {spent:.1f}s).")
    announce(True)
    _say(f"Simulated AUTOMATIC1111 server ready: {url}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _stop(lives: list[Life], stopping: threading.Event) -> None:
    stopping.set()
    lives[-1].stop()


def _end_with_stdin(lives: list[Life], stopping: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    _stop(lives, stopping)


def _end_with_parent(lives: list[Life], stopping: threading.Event, parent: int) -> None:
    """Standard input alone is not enough: a process the parent forked may hold its other end open."""
    try:
        watched = psutil.Process(parent)
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_PARENT_CHECK_SECONDS)
    except psutil.Error:
        pass
    _stop(lives, stopping)
