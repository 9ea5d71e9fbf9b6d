"""Every fault as a client meets it, over raw sockets, and what the ledger says was really drawn."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from orchestrator.sandbox import server
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.home import make_home

LORA = "<lora:ai_model_v2-000040:0.8>"


def _body(fault: str, **changes: Any) -> dict[str, Any]:
    return {"prompt": f"{fault} {LORA}", "width": 64, "height": 64, "steps": 2, "seed": 7, **changes}


class Raw:
    """One request on a socket of its own: all bytes the server sends, and how the connection ended."""

    def __init__(self, url: str, body: dict[str, Any], patience: float = 10.0) -> None:
        host, port = url.removeprefix("http://").split(":")
        content = json.dumps(body).encode()
        head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        self.received, self.end = b"", "open"
        with socket.create_connection((host, int(port)), timeout=patience) as sock:
            sock.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            try:
                while chunk := sock.recv(65536):
                    self.received += chunk
                    if self.whole():
                        return
                self.end = "closed"
            except ConnectionResetError:
                self.end = "reset"
            except TimeoutError:
                self.end = "silent"

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1]) if self.received else 0

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    def length(self) -> int:
        head = self.received.partition(b"\r\n\r\n")[0].decode().lower()
        return int(head.partition("content-length: ")[2].partition("\r\n")[0] or -1)

    def whole(self) -> bool:
        return len(self.body) == self.length()

    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "it's a 'home' é")


@pytest.fixture
def start(home: Path) -> Iterator[Any]:
    running: list[server.RunningServer] = []

    def begin(faults: str, **more: Any) -> str:
        running.append(server.start(home, settings=Settings(faults=faults, **more)))
        return running[-1].url

    yield begin
    for one in running:
        one.stop()


def _ledger(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()]


def _picture(answer: Raw) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0]))).convert("RGB")


@pytest.mark.parametrize(
    ("fault", "end", "pictures"),
    [("drop", "closed", 0), ("reset", "reset", 1), ("hang", "silent", 0), ("mute", "silent", 1)],
)
def test_connections_end_as_the_fault_says(start: Any, home: Path, fault: str, end: str, pictures: int) -> None:
    url = start(f"{fault}x1")
    struck = Raw(url, _body(fault, force_task_id="mine"), patience=0.5 if end == "silent" else 10)
    assert (struck.end, struck.received) == (end, b"")
    again = Raw(url, _body(fault))
    assert again.status == 200
    first, second = _ledger(home)
    assert (first["fault"], first["pictures"], first["answered"], first["status"]) == (
        fault,
        pictures,
        False,
        200 if pictures else None,
    )
    assert (first["task"], first["seed"], first["kind"], first["width"]) == ("mine", 7, "txt2img", 64)
    assert (second["fault"], second["pictures"], second["answered"], second["status"]) == (None, 1, True, 200)


@pytest.mark.parametrize(
    ("fault", "status", "error", "pictures"),
    [
        ("500", 500, "RuntimeError", 0),
        ("oom", 500, "OutOfMemoryError", 0),
        ("nan", 500, "NansException", 0),
        ("disk-full", 500, "OSError", 1),
    ],
)
def test_errors_have_the_real_shape(start: Any, home: Path, fault: str, status: int, error: str, pictures: int) -> None:
    url = start(f"{fault}x1")
    struck = Raw(url, _body(fault))
    assert (struck.status, struck.json()["error"]) == (status, error)
    assert (_ledger(home)[0]["pictures"], _ledger(home)[0]["answered"]) == (pictures, True)
    assert Raw(url, _body(fault)).status == 200


def test_a_truncated_body_promises_more_than_it_holds(start: Any, home: Path) -> None:
    struck = Raw(start("truncated"), _body("x"))
    assert struck.status == 200 and struck.end == "closed"
    assert len(struck.body) == struck.length() // 2
    assert _ledger(home)[0]["answered"] is False


def test_a_proxy_answers_with_a_page(start: Any) -> None:
    struck = Raw(start("proxy"), _body("x"))
    assert struck.status == 502 and b"text/html" in struck.received and b"<h1>502 Bad Gateway" in struck.body


def test_wrong_pictures_come_with_a_200(start: Any) -> None:
    url = start("black=1x1", gpu_seconds_per_picture=0.01)
    black, good = Raw(url, _body("x")), Raw(url, _body("x"))
    infos = [json.loads(one.json()["info"]) for one in (black, good)]
    assert _picture(black).getextrema() == ((0, 0),) * 3
    assert infos[0]["infotexts"] == infos[1]["infotexts"]
    assert _picture(good).getextrema() != ((0, 0),) * 3


@pytest.mark.parametrize("fault", ["wrong-lora", "unknown-checkpoint", "interrupted"])
def test_other_pictures_come_with_a_200(start: Any, fault: str) -> None:
    url = start(f"{fault}x1")
    struck, good = Raw(url, _body("x")), Raw(url, _body("x"))
    infos = [json.loads(one.json()["info"]) for one in (struck, good)]
    assert struck.status == good.status == 200
    assert _picture(struck).tobytes() != _picture(good).tobytes()
    hashes = ["Lora hashes" in one["extra_generation_params"] for one in infos]
    assert hashes == [fault != "wrong-lora", True]
    names = [one["sd_model_name"] for one in infos]
    assert names == ["sandbox-other" if fault == "unknown-checkpoint" else "sandbox-v1-5", "sandbox-v1-5"]
    interrupted = httpx.get(f"{url}/sdapi/v1/progress").json()["state"]["interrupted"]
    assert interrupted is False


def test_a_slow_answer_is_the_whole_answer(start: Any) -> None:
    url = start("slow", slow_seconds=0.6)
    began = time.monotonic()
    assert Raw(url, _body("x")).whole()
    assert time.monotonic() - began > 0.6


def test_a_restart_forgets_queue_and_tasks_and_comes_back_on_its_port(start: Any, home: Path) -> None:
    url = start("restart=1x1", gpu_seconds_per_picture=0.3, restart_seconds=0.5)
    other = httpx.Client(base_url=url)
    other.post("/sdapi/v1/options", json={"jpeg_quality": 77, "sd_model_checkpoint": "sandbox-other"})
    ends: list[Raw] = []
    waiting = threading.Thread(target=lambda: ends.append(Raw(url, _body("queued", seed=2))))
    running = threading.Thread(target=lambda: ends.append(Raw(url, _body("x", force_task_id="mine"))))
    running.start()
    time.sleep(0.05)
    waiting.start()
    running.join()
    waiting.join()
    assert [(one.end, one.received) for one in ends] == [("reset", b"")] * 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/internal/ping")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            httpx.get(f"{url}/internal/ping")
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    told = httpx.post(f"{url}/internal/progress", json={"id_task": "mine", "live_preview": False}).json()
    assert (told["active"], told["queued"], told["completed"]) == (False, False, False)
    assert httpx.get(f"{url}/internal/pending-tasks").json()["size"] == 0
    assert httpx.get(f"{url}/sdapi/v1/options").json()["jpeg_quality"] == 77
    assert Raw(url, _body("x")).status == 200
    assert [(one["pictures"], one["answered"]) for one in _ledger(home)] == [(0, False), (0, False), (1, True)]
    other.close()


def test_faults_strike_drawing_only(start: Any) -> None:
    url = start("drop")
    for path in ("options", "progress", "loras", "sd-models"):
        assert httpx.get(f"{url}/sdapi/v1/{path}").status_code == 200


def test_a_server_with_silent_connections_still_stops(home: Path) -> None:
    with server.start(home, settings=Settings(faults="hang")) as running:
        silent = threading.Thread(target=Raw, args=(running.url, _body("x")))
        silent.start()
        until = time.monotonic() + 10
        while not (home / "drawn.jsonl").exists() and time.monotonic() < until:
            time.sleep(0.02)
    assert not running.running()
    silent.join(60)
    assert not silent.is_alive()
