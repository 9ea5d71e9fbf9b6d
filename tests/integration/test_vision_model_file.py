"""Fetching the face model over a real socket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.errors import MissingExtra
from orchestrator.vision import model_file

MODEL = b"the face model " * 1000


class _Answers(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        if self.path == "/gone":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(MODEL if self.path == "/model" else b"a page of an hotel's network")

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(model_file, "model_path", lambda: tmp_path / "cache é" / "face_landmarker.task")
    monkeypatch.setattr(model_file, "SHA256", hashlib.sha256(MODEL).hexdigest())
    _Answers.requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_it_is_fetched_once_and_checked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "URL", f"{address}/model")
    assert model_file.fetch().read_bytes() == MODEL
    assert model_file.fetch() == model_file.model_path()
    assert _Answers.requests == 1


def test_a_damaged_one_is_fetched_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "URL", f"{address}/model")
    model_file.fetch().write_bytes(MODEL[:100])
    assert model_file.fetch().read_bytes() == MODEL


@pytest.mark.parametrize(("place", "cause"), [("hotel", "checksum differs"), ("gone", "could not be fetched")])
def test_anything_else_is_not_kept(address: str, monkeypatch: pytest.MonkeyPatch, place: str, cause: str) -> None:
    monkeypatch.setattr(model_file, "URL", f"{address}/{place}")
    with pytest.raises(MissingExtra) as raised:
        model_file.fetch()
    assert cause in raised.value.cause
    assert not model_file.model_path().exists()


def test_without_a_connection_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "URL", "http://127.0.0.1:9/model")
    monkeypatch.setattr(model_file, "model_path", lambda: tmp_path / "face_landmarker.task")
    with pytest.raises(MissingExtra) as raised:
        model_file.fetch()
    assert "name the file in ORCHESTRATOR_FACE_MODEL" in raised.value.fix
