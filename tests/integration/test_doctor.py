"""The doctor against running servers: each finding once with what causes it, once without."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.doctor import examine, lora_folder, machine
from orchestrator.doctor.finding import Finding
from orchestrator.profile.load import load_profile
from orchestrator.profile.shipped import find_profile, make_workspace
from orchestrator.sandbox import trainer_folder
from orchestrator.sandbox.server import RunningServer
from orchestrator.settings import load_settings
from orchestrator.workspace import Workspace

StartServer = Callable[..., RunningServer]
Replies = Mapping[str, tuple[int, object]]


@contextlib.contextmanager
def distorted(url: str, replies: Replies) -> Iterator[str]:
    """A server in front of the one at `url` that answers the routes in `replies` itself; an empty `url` knows no other
    routes.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("content-length") or 0)))

        def _serve(self, body: bytes | None) -> None:
            route = self.path.partition("?")[0]
            status, said = replies.get(route, replies.get("*", (404, {"detail": "Not Found"})))
            answer = said if isinstance(said, bytes) else json.dumps(said).encode()
            if url and route not in replies:
                status, answer = self._forward(body)
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def _forward(self, body: bytes | None) -> tuple[int, bytes]:
            request = urllib.request.Request(url + self.path, body, {"content-type": "application/json"})
            try:
                with urllib.request.urlopen(request) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    made = Workspace(ugly_path / "my lora")
    make_workspace(made.root, find_profile("demo"))
    return made


@pytest.fixture
def _has_kohya(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_KOHYA_FOLDER", str(trainer_folder()))
    monkeypatch.setenv("ORCHESTRATOR_KOHYA_PYTHON", sys.executable)


def look(workspace: Workspace | None, *urls: str, **more: object) -> list[Finding]:
    profile = load_profile(workspace.profile) if workspace else None
    return list(examine.examine(load_settings(a1111_url=urls, **more), workspace, profile).findings)


def one(findings: list[Finding], area: str, level: str = "") -> Finding:
    found = [f for f in findings if f.area == area and (not level or f.level == level)]
    assert len(found) == 1, findings
    return found[0]


def edit(workspace: Workspace, old: str, new: str) -> None:
    text = workspace.profile.read_text(encoding="utf-8")
    assert old in text
    workspace.profile.write_text(text.replace(old, new), encoding="utf-8")


def closed_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def drawn(server: RunningServer) -> list[str]:
    ledger = server.home / "drawn.jsonl"
    return ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []


# --- the whole command ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_has_kohya")
def test_where_all_is_well(
    sandbox_server: RunningServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sandbox_server.home / "models" / "Lora"
    before = sorted(folder.iterdir())
    assert main(["doctor", "-w", str(workspace.root), "--url", sandbox_server.url]) == 0
    out = capsys.readouterr().out
    assert "[x]" not in out
    assert "[!]" not in out
    assert "simulated A1111" in out
    assert f"{folder}, writable and read by this server" in out
    assert out.endswith("Pictures: ready   Training: ready   Grids: ready   Evaluation: ready\n")
    assert sorted(folder.iterdir()) == before
    assert drawn(sandbox_server) == []
    with A1111(sandbox_server.url) as client:
        assert not [entry for entry in client.loras() if "canary" in entry.name]


def test_outside_a_workspace_in_json(
    sandbox_server: RunningServer, ugly_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "-w", str(ugly_path), "--json", "--url", sandbox_server.url]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["blockers"] == 0
    areas = {finding["area"]: finding for finding in answer["findings"]}
    assert areas["A1111"]["server"] == sandbox_server.url
    assert areas["kohya"]["level"] == "optional"
    assert "Names" not in areas
    assert "Disk" not in areas


def test_blockers_say_what_they_stop_and_give_exit_code_4(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    url = closed_url()
    assert main(["doctor", "-w", str(workspace.root), "--url", url]) == 4
    out = capsys.readouterr().out
    assert f"[x]  A1111  nothing listens at {url}\n     Stops:  pictures, grids, evaluation, training.\n" in out
    assert "     Fix:    Start the webui with --api" in out
    assert "2 blockers.   Pictures: blocked   Training: blocked   Grids: blocked   Evaluation: blocked" in out


def test_settings_that_cannot_be_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "-w", str(tmp_path), "--url", "http://me:hunter2@x"]) == 4
    out = capsys.readouterr().out
    assert "[x]  Settings" in out
    assert "hunter2" not in out


def test_a_profile_that_cannot_be_read_is_one_finding_among_others(
    sandbox_server: RunningServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(workspace, "steps = 28", 'steps = "many"')
    assert main(["doctor", "-w", str(workspace.root), "--url", sandbox_server.url]) == 4
    out = capsys.readouterr().out
    assert "[x]  Profile" in out
    assert "steps" in out
    assert "[ok] LoRA folder" in out


# --- reaching the server ----------------------------------------------------------------------------------------------


def test_training_goes_without_a_server_when_the_profile_names_the_file(workspace: Workspace) -> None:
    edit(workspace, 'path = ""', 'path = "/models/base.safetensors"')
    assert one(look(workspace, closed_url()), "A1111").stops == ("pictures", "grids", "evaluation")


def test_a_webui_without_an_api() -> None:
    with distorted("", {"*": (404, {"detail": "Not Found"})}) as url:
        found = one(look(None, url), "A1111")
    assert found.level == "blocker"
    assert "/sdapi/v1 gives 404" in found.what
    assert "--api" in found.fix


@pytest.mark.parametrize("said", [(404, b"<html>no such page"), (200, b"<html>ComfyUI"), (403, b"forbidden")])
def test_another_program_at_that_address(said: tuple[int, bytes]) -> None:
    with distorted("", {"*": said}) as url:
        found = one(look(None, url), "A1111")
    assert found.level == "blocker"
    assert "not A1111" in found.cause + found.what or "no A1111" in found.what


def test_a_server_whose_options_are_spoilt(start_server: StartServer) -> None:
    server = start_server()
    with A1111(server.url) as client:
        client.post("/sdapi/v1/options", {"samples_format": ["png"]})  # our own method refuses to
    found = one(look(None, server.url), "A1111")
    assert "samples_format" in found.what
    assert "wrong type" in found.cause


def test_credentials(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server(api_auth="me:pass:word")
    for user, password, level, says in (
        ("", "", "blocker", "asks for a user and a password"),
        ("me", "", "blocker", "refuses 'me'"),
        ("me", "wrong", "blocker", "refuses 'me' or the password"),
        ("me", "パス", "blocker", "password"),
        ("me", "pass:word", "ok", "'me' and the password are accepted"),
    ):
        monkeypatch.setenv("ORCHESTRATOR_A1111_USER", user)
        monkeypatch.setenv("ORCHESTRATOR_A1111_PASSWORD", password)
        findings = look(None, server.url)
        found = one(findings, "A1111 login")
        assert (found.level, says in found.what) == (level, True), found
        assert "pass:word" not in repr(findings)


def test_a_user_nobody_asked_for(sandbox_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_A1111_USER", "me")
    assert one(look(None, sandbox_server.url), "A1111 login").level == "optional"
    monkeypatch.delenv("ORCHESTRATOR_A1111_USER")
    assert "A1111 login" not in {f.area for f in look(None, sandbox_server.url)}


def test_the_version_comes_from_the_servers_own_report(sandbox_server: RunningServer) -> None:
    report = json.dumps({"Platform": "Linux", "Version": "v1.10.1"}).encode()
    with distorted(sandbox_server.url, {"/internal/sysinfo": (200, report)}) as url:
        assert "A1111, v1.10.1, idle" in one(look(None, url), "A1111").what


def test_a_fork_is_called_by_its_name(sandbox_server: RunningServer) -> None:
    with A1111(sandbox_server.url) as client:
        options = {**client.options(), "forge_preset": "sd"}
    # Its flags are an error whenever it was started with --port.
    replies: Replies = {
        "/sdapi/v1/options": (200, options),
        "/sdapi/v1/cmd-flags": (500, {"error": "ResponseValidationError", "message": "port"}),
        "/sdapi/v1/sd-vae": (404, {"detail": "Not Found"}),
        "/sdapi/v1/sd-modules": (200, []),
    }
    with distorted(sandbox_server.url, replies) as url:
        findings = look(None, url)
    assert ": Forge, " in one(findings, "A1111").what
    assert one(findings, "LoRA folder").level == "ok"


def test_a_check_that_crashes_is_named_and_the_others_go_on(
    sandbox_server: RunningServer, workspace: Workspace
) -> None:
    with distorted(sandbox_server.url, {"/sdapi/v1/samplers": (200, [{"title": "Euler"}])}) as url:
        findings = look(workspace, url)
    assert "not checked" in one(findings, "Names").what
    assert one(findings, "LoRA folder").level == "ok"


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('sampler = "DPM++ 2M"', 'sampler = "euler"', "Did you mean 'Euler'?"),
        ('sampler = "DPM++ 2M"', 'sampler = "k_euler_a"', "only as 'Euler a'"),
        ('scheduler = "Karras"', 'scheduler = "karas"', "Did you mean 'karras'?"),
        ('checkpoint = ""', 'checkpoint = "sandbox-v1-6"', "Did you mean 'sandbox-v1-5'?"),
        ('path = ""', 'path = ""\nvae = "anime.vae.pt"', "no VAE 'anime.vae.pt'"),
        ('name = "ai_model_v2-000040", weight = 1.0', 'name = "ai_model_v2", weight = 1.0', "is an alias"),
        ('name = "ai_model_v2-000040", weight = 1.0', 'name = "ai_model_v2-00040", weight = 1.0', "Did you mean"),
    ],
)
def test_names_a_server_would_silently_replace(
    sandbox_server: RunningServer, workspace: Workspace, old: str, new: str, says: str
) -> None:
    edit(workspace, old, new)
    found = one(look(workspace, sandbox_server.url), "Names")
    assert found.level == "blocker"
    assert says in found.what
    assert "pictures" in found.stops


def test_a_fresh_reforge_that_names_no_checkpoint_is_well(start_server: StartServer, workspace: Workspace) -> None:
    server = start_server(dialect="reforge")
    findings = look(workspace, server.url)
    assert ": simulated reForge, " in one(findings, "A1111").what
    assert "base.checkpoint" in one(findings, "Names", "optional").fix
    assert one(findings, "Names", "ok")


def test_old_sampler_names_are_understood(sandbox_server: RunningServer, workspace: Workspace) -> None:
    edit(workspace, 'sampler = "DPM++ 2M"', 'sampler = "DPM++ 2M Karras"')
    assert one(look(workspace, sandbox_server.url), "Names").level == "ok"


# --- options and extras -----------------------------------------------------------------------------------------------


def test_options_that_spoil_are_found_on_the_server(start_server: StartServer, workspace: Workspace) -> None:
    server = start_server(webui=False, tagger="none")
    with A1111(server.url) as client:
        client.set_options({"sd_lora": "ai_model_v2-000040", "CLIP_stop_at_last_layers": 2})
    findings = look(workspace, server.url)
    assert {f.level for f in findings if f.area == "A1111 options"} == {"blocker", "warning"}
    tagger, routes = [f for f in findings if f.area == "A1111 extras"]
    assert "WD14" in tagger.what
    assert "--nowebui" in routes.cause


def test_nothing_is_said_of_extras_that_are_there(sandbox_server: RunningServer) -> None:
    assert "A1111 extras" not in {f.area for f in look(None, sandbox_server.url)}


# --- the LoRA folder --------------------------------------------------------------------------------------------------


def test_a_folder_the_server_does_not_read(sandbox_server: RunningServer, ugly_path: Path) -> None:
    other = ugly_path / "ロラ"
    other.mkdir()
    found = one(look(None, sandbox_server.url, lora_folder=str(other)), "LoRA folder")
    assert found.level == "blocker"
    assert "not the folder this server reads" in found.what
    assert list(other.iterdir()) == []


def test_a_folder_that_is_not_there(sandbox_server: RunningServer, ugly_path: Path) -> None:
    found = one(look(None, sandbox_server.url, lora_folder=str(ugly_path / "gone")), "LoRA folder")
    assert (found.level, found.stops) == ("blocker", ("grids", "evaluation"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root may not write to")
def test_a_folder_that_may_not_be_written(sandbox_server: RunningServer) -> None:
    found = one(look(None, sandbox_server.url, lora_folder="/proc/self"), "LoRA folder")
    assert found.level == "blocker"
    assert "cannot be written" in found.what


def test_a_folder_the_server_knows_by_another_path(sandbox_server: RunningServer, ugly_path: Path) -> None:
    link = ugly_path / "share"
    try:
        link.symlink_to(sandbox_server.home / "models" / "Lora", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert one(look(None, sandbox_server.url, lora_folder=str(link)), "LoRA folder").level == "ok"


class _Stopped(A1111):
    def loras(self) -> Any:
        raise KeyboardInterrupt


def test_the_canary_never_stays_behind(sandbox_server: RunningServer) -> None:
    folder = sandbox_server.home / "models" / "Lora"
    before = sorted(folder.iterdir())
    with _Stopped(sandbox_server.url) as client, pytest.raises(KeyboardInterrupt):
        list(lora_folder.about_lora_folder(client, str(folder), busy=False))
    assert sorted(folder.iterdir()) == before
    with A1111(sandbox_server.url) as client:
        assert not [entry for entry in client.loras() if "canary" in entry.name]


def test_one_that_a_killed_doctor_left_is_taken_away(sandbox_server: RunningServer) -> None:
    import os

    folder = sandbox_server.home / "models" / "Lora"
    stale = folder / f"orchestrator-canary-{'0a' * 16}.safetensors"
    fresh = folder / f"orchestrator-canary-{'0b' * 16}.safetensors"
    theirs = folder / "orchestrator-canary-mine.safetensors"
    for path in (stale, fresh, theirs):
        path.write_bytes(lora_folder.canary(path.stem))
    for path in (stale, theirs):
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    look(None, sandbox_server.url)
    assert (stale.exists(), fresh.exists(), theirs.exists()) == (False, True, True)
    fresh.unlink()
    theirs.unlink()


def test_a_server_that_draws_is_not_disturbed(start_server: StartServer) -> None:
    server = start_server(gpu_seconds_per_picture=3.0)
    with A1111(server.url) as client:
        drawing = threading.Thread(target=lambda: client.txt2img({"prompt": "x", "steps": 1, "width": 64}))
        drawing.start()
        while not client.progress().state.job_count:
            time.sleep(0.02)
        refuses: Replies = {"/sdapi/v1/refresh-loras": (500, {"error": "refreshed", "errors": "while drawing"})}
        with distorted(server.url, refuses) as url:
            found = one(look(None, url), "LoRA folder")
        drawing.join()
    assert found.level == "warning"
    assert "drawing" in found.what
    assert not list((server.home / "models" / "Lora").glob("*canary*"))


# --- several servers --------------------------------------------------------------------------------------------------


def test_a_dead_server_among_several_is_a_warning(sandbox_server: RunningServer) -> None:
    dead = closed_url()
    findings = look(None, sandbox_server.url, dead)
    assert [(f.level, f.server) for f in findings if f.area == "A1111"] == [
        ("ok", sandbox_server.url),
        ("warning", dead),
    ]
    both = look(None, closed_url(), dead)
    assert [f.level for f in both if f.area == "A1111"] == ["blocker", "blocker"]


def test_servers_that_differ(sandbox_server: RunningServer, start_server: StartServer) -> None:
    other = start_server()
    assert one(look(None, sandbox_server.url, other.url), "Servers").level == "ok"
    report = json.dumps({"Version": "v1.9.4"}).encode()
    with distorted(other.url, {"/internal/sysinfo": (200, report)}) as url:
        found = one(look(None, sandbox_server.url, url), "Servers")
    assert found.level == "warning"
    assert "v1.9.4" in found.what


def test_each_server_has_its_own_folder_and_password(
    start_server: StartServer, sandbox_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.settings import settings_file

    farm = start_server(api_auth="me:one")
    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'[[servers]]\nurl = "{sandbox_server.url}"\n[[servers]]\nurl = "{farm.url}"\nuser = "me"\n'
        f'password_env = "FARM"\nlora_folder = "{(farm.home / "models" / "Lora").as_posix()}"\n',
        encoding="utf-8",
    )
    missing = one(look(None), "Settings")
    assert "FARM" in missing.what
    assert missing.level == "blocker"
    monkeypatch.setenv("FARM", "one")
    findings = look(None)
    assert {f.server for f in findings if f.level == "ok" and f.area == "LoRA folder"} == {sandbox_server.url, farm.url}
    assert not [f for f in findings if f.level == "blocker"]


# --- this machine -----------------------------------------------------------------------------------------------------


def test_a_webui_we_start_need_not_run(ugly_path: Path) -> None:
    words = (sys.executable, "-m", "orchestrator.sandbox.server")
    findings = look(None, closed_url(), a1111_command=words, a1111_folder=str(ugly_path))
    assert one(findings, "A1111").level == "optional"
    assert one(findings, "Webui of ours").level == "ok"
    gone = look(None, closed_url(), a1111_command=("no-such-webui.sh",))
    assert one(gone, "Webui of ours").level == "blocker"


@pytest.mark.parametrize(("free_gb", "level"), [(4.9, "warning"), (5.1, "ok")])
def test_the_disk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, free_gb: float, level: str) -> None:
    full = shutil_usage(free_gb)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: full)
    (found,) = machine.about_disk(workspace)
    assert found.level == level


def shutil_usage(free_gb: float) -> Any:
    import shutil

    return shutil.disk_usage(Path.cwd())._replace(free=int(free_gb * 1e9))


def test_faces_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.vision import backend

    monkeypatch.setattr(backend, "installed", lambda: None)
    (found,) = machine.about_vision()
    assert found.level == "optional"
    assert "pip install" in found.fix
