"""Notifications against a receiver of our own on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator import notify


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; `/slow` never answers, `/no` refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, str]] = []
        self.slow = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "slow" in self.path:
            self.server.slow.wait(20)
        elif "no" not in self.path:
            self.server.got.append(json.loads(body))
        self.send_response(403 if "no" in self.path else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.slow.set()
        server.shutdown()


def test_a_message_arrives(receiver: Receiver) -> None:
    assert notify.send([f"json://{receiver.host}/hook"], "Night over", "3 trained, 1 failed 初音", "warning") == []
    (got,) = receiver.got
    assert (got["title"], got["message"], got["type"]) == ("Night over", "3 trained, 1 failed 初音", "warning")


def test_what_did_not_arrive_is_told_without_its_secret_and_stops_nothing(
    receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2"
    addresses = [
        f"json://me:{secret}@{receiver.host}/no",
        f"json://me:{secret}@127.0.0.1:9/",
        f"nonsense://{secret}",
        f"discord://{secret}",
        f"json://{receiver.host}/yes",
    ]
    failed = notify.send(addresses, "title", "body")
    assert len(failed) == 4
    assert secret not in str(failed)
    assert [one["message"] for one in receiver.got] == ["body"]
    assert secret not in "".join(capfd.readouterr())


def test_a_dead_receiver_does_not_hold_the_night_up(receiver: Receiver) -> None:
    (failed,) = notify.send([f"json://{receiver.host}/slow"], "title", "body", within_s=0.3)
    assert "no answer" in failed.why, "it was waited for: in the end it answers"


def test_addresses_are_checked_without_sending(receiver: Receiver) -> None:
    wrong = notify.check(
        [f"json://{receiver.host}/", "ntfy://${TOPIC}", "ntfy://${NOT_SET}", "mailto://", "just words"],
        {"TOPIC": "mine"},
    )
    assert [(one.address.partition(" ")[0], one.why[:16]) for one in wrong] == [
        ("ntfy://…", "there is no envi"),
        ("mailto://…", "apprise does not"),
        ("the", "apprise does not"),
    ]
    assert receiver.got == []


def test_variables_are_filled_in_when_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HOST", receiver.host)
    assert notify.send(["json://${MY_HOST}/x"], "title", "body") == []
    assert len(receiver.got) == 1
