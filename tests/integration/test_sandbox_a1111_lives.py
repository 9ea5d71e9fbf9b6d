"""How the simulated server starts, leaks, is stopped and started anew."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.sandbox import server
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.home import make_home

SMALL: dict[str, Any] = {"prompt": "x", "width": 64, "height": 64, "steps": 2}
WINDOW = 1.5


def _start(home: Path, ready: bool = True, **settings: Any) -> server.RunningServer:
    return server.start(make_home(home), settings=Settings(**settings), ready=ready)


def _until(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.05)
    return False


def _status(url: str, path: str = "/sdapi/v1/samplers") -> int:
    try:
        return httpx.get(url + path).status_code
    except httpx.TransportError:
        return 0


def _log(running: server.RunningServer) -> str:
    return running.log.read_text(encoding="utf-8")


def test_a_request_before_the_api_is_there_ends_a1111(tmp_path: Path) -> None:
    with _start(tmp_path / "h", ready=False, startup_seconds=WINDOW) as running:
        assert httpx.get(f"{running.url}/sdapi/v1/options").json() == {"detail": "Not Found"}
        assert _until(lambda: not running.running())
        assert running._process.returncode == 1
        assert "RuntimeError: Cannot add middleware after an application has started" in _log(running)


def test_waiting_for_its_line_or_a_bare_connection_is_safe(tmp_path: Path) -> None:
    with _start(tmp_path / "h", ready=False, startup_seconds=WINDOW) as running:
        host, port = running.url.removeprefix("http://").split(":")
        socket.create_connection((host, int(port))).close()
        assert "Startup time:" not in _log(running)
        assert _until(lambda: "Startup time: " in _log(running))
        assert _status(running.url) == 200


def test_reforge_stays_deaf_and_forge_survives(tmp_path: Path) -> None:
    for dialect in ("reforge", "forge"):
        with _start(tmp_path / dialect, ready=False, startup_seconds=WINDOW, dialect=dialect) as running:
            assert _status(running.url) == 404
            assert _status(running.url, "/internal/ping") == 200
            if dialect == "forge":
                assert _until(lambda running=running: _status(running.url) == 200)  # type: ignore[misc]
                assert _until(lambda running=running: _status(running.url, "/sdapi/v1/loras") == 200)  # type: ignore[misc]
            else:
                assert _until(lambda running=running: "RuntimeError" in _log(running))  # type: ignore[misc]
                assert (_status(running.url), _status(running.url, "/internal/ping")) == (404, 200)
                assert "Startup time:" not in _log(running)
            assert running.running()


def test_without_the_web_page_the_port_opens_when_all_is_there(tmp_path: Path) -> None:
    with _start(tmp_path / "h", webui=False, startup_seconds=0.5) as running:
        assert (_status(running.url), _status(running.url, "/internal/ping")) == (200, 404)


def test_there_are_no_routes_to_stop_it_unless_asked_for(tmp_path: Path) -> None:
    with _start(tmp_path / "h") as running:
        assert httpx.post(f"{running.url}/sdapi/v1/server-kill").status_code == 404


def test_kill_drops_the_connection_and_ends_it(tmp_path: Path) -> None:
    with _start(tmp_path / "h", server_stop=True) as running:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{running.url}/sdapi/v1/server-kill")
        assert _until(lambda: not running.running()) and running._process.returncode == 0


@pytest.mark.parametrize("webui", [True, False])
def test_stop_answers_and_ends_it_only_with_the_web_page_on(tmp_path: Path, webui: bool) -> None:
    with _start(tmp_path / "h", server_stop=True, webui=webui) as running:
        answer = httpx.post(f"{running.url}/sdapi/v1/server-stop")
        assert (answer.status_code, answer.text) == (200, "Stopping.")
        if webui:
            assert _until(lambda: not running.running()) and running._process.returncode == 0
        else:
            time.sleep(0.4)
            assert _status(running.url) == 200


def test_a_restart_gives_leaked_memory_back(tmp_path: Path) -> None:
    with _start(tmp_path / "h", server_stop=True, leak_mb=60, restart_seconds=0.3) as running:

        def used() -> float:
            return float(httpx.get(f"{running.url}/sdapi/v1/memory").json()["ram"]["used"]) / 2**20

        httpx.post(f"{running.url}/sdapi/v1/txt2img", json=SMALL)
        before = used()
        for _ in range(3):
            httpx.post(f"{running.url}/sdapi/v1/txt2img", json=SMALL)
        assert 150 < used() - before < 260
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{running.url}/sdapi/v1/server-restart")
        assert _until(lambda: _status(running.url) == 0) and _until(lambda: _status(running.url) == 200)
        assert used() < before
        assert running.running()


def test_a_restart_without_a_script_to_do_it_is_refused(tmp_path: Path) -> None:
    with _start(tmp_path / "h", server_stop=True, restartable=False) as running:
        assert httpx.post(f"{running.url}/sdapi/v1/server-restart").status_code == 501
        assert running.running()
