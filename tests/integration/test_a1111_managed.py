"""A webui of ours: started, waited for without a word over HTTP, stopped with everything it started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator import processes
from orchestrator.a1111 import managed
from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import port_is_open
from orchestrator.cli.options import managed_webui
from orchestrator.errors import InstallError
from orchestrator.settings import load_settings

#: Opens its port at once and is ready half a second later. Like the real one it does not survive being asked before.
#: /sdapi/v1/server-restart ends it with code 99; `loop` starts it again then, as webui.sh does.
FRAGILE = """
import json, os, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

mode, port = sys.argv[1], int(sys.argv[2])
if mode == "loop":
    while subprocess.run([sys.executable, "-u", __file__, "serve", str(port), *sys.argv[3:]]).returncode == 99:
        time.sleep(0.3)
    sys.exit(0)
if mode == "wrapper":
    subprocess.run([sys.executable, "-u", __file__, "serve", str(port)])
    sys.exit(0)
if mode == "die":
    print("Traceback: no CUDA device 初音")
    sys.exit(7)
ready = threading.Event()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._serve()
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self._serve()
    def _serve(self):
        if not ready.is_set():
            print("RuntimeError: Cannot add middleware after an application has started", flush=True)
            os._exit(1)
        restart = self.path.endswith("server-restart")
        known = self.path == "/sdapi/v1/options" or self.path == "/sdapi/v1/scripts" or (restart and "stop" in sys.argv)
        if known and restart:
            os._exit(99)
        body = json.dumps({} if known else {"detail": "Not Found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("Running on local URL")
time.sleep(0.5)
ready.set()
if "silent" not in sys.argv:
    print("Startup time: 0.5s")
time.sleep(600)
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def fragile(ugly_path: Path) -> Path:
    script = ugly_path / "webui 初音.py"
    script.write_text(textwrap.dedent(FRAGILE), encoding="utf-8")
    return script


@pytest.fixture
def log(ugly_path: Path) -> Path:
    return ugly_path / "logs" / "webui.log"


@pytest.fixture
def _no_orphans(fragile: Path) -> Iterator[None]:
    yield
    for process in psutil.Process().children(recursive=True):
        try:
            left = str(fragile) in process.cmdline()
        except psutil.Error:  # ended meanwhile, or a zombie of another test
            continue
        if left:
            process.kill()
            pytest.fail(f"left behind: {process}")


def command(script: Path, mode: str, port: int, *more: str) -> list[str]:
    return [sys.executable, "-u", str(script), mode, str(port), *more]


def test_the_sandbox_is_started_used_and_stopped(ugly_path: Path, port: int, log: Path) -> None:
    url = f"http://127.0.0.1:{port}"
    words = [
        sys.executable,
        "-m",
        "orchestrator.sandbox.server",
        "--home",
        str(ugly_path / "home"),
        "--port",
        str(port),
    ]
    ours = managed.webui(url, words, log=log, folder=ugly_path)
    ours.quiet_s = 1.0
    with managed.running(ours), A1111(url) as client:
        assert ours.ours
        first = ours.child
        assert len(client.samplers()) > 10
        managed.restart(client, ours)
        assert ours.child is not first
        assert len(client.samplers()) > 10
        assert log.with_name("webui.before.log").is_file()
    assert not ours.ours
    with socket.socket() as one, pytest.raises(ConnectionRefusedError):
        one.connect(("127.0.0.1", port))


@pytest.mark.usefixtures("_no_orphans")
def test_it_is_never_asked_before_its_line(fragile: Path, port: int, log: Path) -> None:
    ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "serve", port), log=log)
    ours.quiet_s = 60.0
    with managed.running(ours), A1111(ours.url) as client:
        assert client.options() == {}
        assert "Startup time:" in ours.tail()


@pytest.mark.usefixtures("_no_orphans")
def test_without_the_line_an_open_port_and_a_pause(fragile: Path, port: int, log: Path) -> None:
    ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "serve", port, "silent"), log=log)
    ours.quiet_s = 1.5
    with managed.running(ours), A1111(ours.url) as client:
        assert client.options() == {}


def test_one_that_dies_shows_the_end_of_its_log(fragile: Path, port: int, log: Path) -> None:
    ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "die", port), log=log)
    with pytest.raises(InstallError) as caught:
        ours.ensure()
    assert "ended with exit code 7" in caught.value.what
    assert "no CUDA device 初音" in caught.value.cause
    assert not ours.ours


def test_one_that_never_gets_ready_is_ended(port: int, log: Path, ugly_path: Path) -> None:
    words = [sys.executable, "-c", "import time; print('downloading'); time.sleep(600)"]
    ours = managed.webui(f"http://127.0.0.1:{port}", words, log=log, folder=ugly_path)
    ours.ready_within_s = 0.5
    before = set(psutil.Process().children())
    with pytest.raises(InstallError, match="not ready at") as caught:
        ours.ensure()
    assert "downloading" in caught.value.cause
    assert {child for child in psutil.Process().children() if child.status() != "zombie"} <= before


@pytest.mark.usefixtures("_no_orphans")
@pytest.mark.parametrize("wrapper_dies_first", [False, True])
def test_the_whole_tree_is_stopped(fragile: Path, port: int, log: Path, wrapper_dies_first: bool) -> None:
    ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "wrapper", port), log=log)
    ours.ensure()
    assert ours.child is not None
    wrapper = psutil.Process(ours.child.identity.pid)
    (served,) = wrapper.children()
    if wrapper_dies_first:
        wrapper.kill()
        assert served.is_running()
    ours.stop()
    assert not served.is_running() or served.status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("_no_orphans")
def test_one_that_runs_already_is_adopted_and_left_alone(fragile: Path, port: int, log: Path) -> None:
    with subprocess.Popen(command(fragile, "serve", port), stdout=subprocess.DEVNULL) as theirs:
        while not port_is_open(f"http://127.0.0.1:{port}"):
            time.sleep(0.02)
        ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "die", port), log=log)
        ours.quiet_s = 1.5
        with managed.running(ours), A1111(ours.url) as client:
            assert not ours.ours
            assert client.options() == {}  # it was only just started: it is given its time, else this would end it
        assert theirs.poll() is None
        assert not log.exists()
        with pytest.raises(ValueError, match="not ours"):
            ours.restart()
        theirs.kill()


@pytest.mark.usefixtures("_no_orphans")
def test_any_other_is_asked_to_restart_itself(fragile: Path, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command(fragile, "loop", port, "stop"), stdout=subprocess.DEVNULL) as theirs:
        try:
            while not port_is_open(url):
                time.sleep(0.02)
            time.sleep(1.0)
            with A1111(url) as client:
                (before,) = psutil.Process(theirs.pid).children()
                managed.restart(client, quiet_s=1.5, within_s=30)
                (after,) = psutil.Process(theirs.pid).children()
                assert before.pid != after.pid
                assert client.options() == {}
        finally:
            processes.stop_tree(processes.ProcessId(theirs.pid, psutil.Process(theirs.pid).create_time()))


@pytest.mark.usefixtures("_no_orphans")
def test_one_without_that_route_says_what_to_add(fragile: Path, port: int, log: Path) -> None:
    ours = managed.webui(f"http://127.0.0.1:{port}", command(fragile, "serve", port), log=log)
    with managed.running(ours), A1111(ours.url) as client:
        with pytest.raises(InstallError) as caught:
            managed.restart(client, None)
        assert "--api-server-stop" in str(caught.value)
        assert client.options() == {}


def test_what_cannot_be_started_is_said_at_once(ugly_path: Path, log: Path) -> None:
    with pytest.raises(InstallError, match="no program"):
        managed.webui("http://127.0.0.1:1", ["webui-that-is-nowhere.sh"], log=log, folder=ugly_path)
    with pytest.raises(InstallError, match="no folder"):
        managed.webui("http://127.0.0.1:1", [sys.executable], log=log, folder=ugly_path / "gone")


def test_no_password_and_no_virtual_environment_reaches_it() -> None:
    base = {
        "PATH": "p",
        "VIRTUAL_ENV": "/ours",
        "ORCHESTRATOR_A1111_PASSWORD": "hunter2",
        "FARM": "hunter2",
        "HOME": "/home/初音",
    }
    given = managed.environment(frozenset({"FARM"}), base)
    assert given == {
        "PATH": "p",
        "HOME": "/home/初音",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:replace",
    }
    assert os.environ.get("PYTHONUNBUFFERED") is None or "PYTHONUNBUFFERED" in managed.environment()


def test_which_webui_the_settings_mean(ugly_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (sys.executable, "-m", "orchestrator.sandbox.server")
    assert managed_webui(load_settings(), log) is None
    assert managed_webui(load_settings(a1111_command=words, a1111_url="http://10.0.0.2:7860"), log) is None
    monkeypatch.setenv("FARM", "hunter2")
    servers = ({"url": "http://localhost:7861", "password_env": "FARM"},)
    meant = managed_webui(load_settings(a1111_command=words, a1111_folder=str(ugly_path), servers=servers), log)
    assert meant is not None
    assert (meant.url, meant.folder, meant.secrets) == ("http://localhost:7861", ugly_path, frozenset({"FARM"}))
