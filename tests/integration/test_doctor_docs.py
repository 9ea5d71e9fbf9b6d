"""The page about connecting installs shows what the doctor really prints, and settings that can be loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.__main__ import main
from orchestrator.a1111.client import A1111
from orchestrator.profile.shipped import find_profile, make_workspace
from orchestrator.sandbox import trainer_folder
from orchestrator.sandbox.server import RunningServer
from orchestrator.settings import ServerEntry, Settings, load_settings, settings_file

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-your-installs.md").read_text(encoding="utf-8")
TOML = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
StartServer = Callable[..., RunningServer]


def shown(name: str) -> str:
    found = re.search(rf"<!-- doctor: {name} -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def as_in_the_docs(printed: str, server: RunningServer, workspace: Path) -> str:
    """Paths and numbers of this machine replaced by those of the page."""
    for here, there in (
        (str(server.home), "/home/me/webui"),
        (server.url, "http://127.0.0.1:7860"),
        (str(trainer_folder()), "/home/me/kohya_ss/sd-scripts"),
        (str(workspace), "/home/me/my_lora"),
    ):
        printed = printed.replace(here, there)
    printed = re.sub(r"sd-scripts code-\w+, Python [\d.]+", "sd-scripts code-70e8c1b1d5aa, Python 3.11.7", printed)
    printed = re.sub(
        r"measured by mediapipe \w+|faces and persons are not measured\n.*", "measured by mediapipe FaceMesh", printed
    )
    return re.sub(r"[\d.]+ GB free", "83 GB free", printed)


@pytest.mark.parametrize("text", TOML)
def test_settings_shown_can_be_loaded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PASSWORD", "x")
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text, encoding="utf-8")
    assert load_settings().addresses()


def test_every_setting_is_shown() -> None:
    text = "\n".join(TOML)
    for key in {*Settings.model_fields, *ServerEntry.model_fields} - {"a1111_password", "more_urls"}:
        assert re.search(rf"^(\[\[)?{key}(\]\]| =)", text, re.MULTILINE), key


@pytest.fixture
def workspace(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_workspace(ugly_path / "my_lora", find_profile("demo"))
    monkeypatch.setenv("ORCHESTRATOR_KOHYA_FOLDER", str(trainer_folder()))
    monkeypatch.setenv("ORCHESTRATOR_KOHYA_PYTHON", sys.executable)
    return ugly_path / "my_lora"


def test_the_doctor_where_all_is_well(
    sandbox_server: RunningServer, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "-w", str(workspace), "--url", sandbox_server.url]) == 0
    assert as_in_the_docs(capsys.readouterr().out, sandbox_server, workspace) == shown("well")


def test_the_doctor_with_trouble(
    start_server: StartServer, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server(webui=False, tagger="none")
    with A1111(server.url) as client:
        client.set_options({"eta_noise_seed_delta": 31337})
    profile = workspace / "lora.toml"
    text = profile.read_text(encoding="utf-8").replace('sampler = "DPM++ 2M"', 'sampler = "euler"')
    profile.write_text(text, encoding="utf-8")
    monkeypatch.delenv("ORCHESTRATOR_KOHYA_FOLDER")
    other = server.home / "loras"
    other.mkdir()
    arguments = ["doctor", "-w", str(workspace), "--url", server.url, "--lora-folder", str(other)]
    assert main(arguments) == 4
    assert as_in_the_docs(capsys.readouterr().out, server, workspace) == shown("trouble")
