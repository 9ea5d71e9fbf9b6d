"""What would be installed, on every platform, and what is run when the night is over."""

from __future__ import annotations

import plistlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pytest

from orchestrator.jobs.store import Store
from orchestrator.night import power, service

WORDS = ["/opt/my python/bin/python", "-m", "orchestrator", "queue", "work", "--ledger", '/data/a "b" %h $x/l.sqlite3']


def test_a_systemd_unit_keeps_its_words_apart(tmp_path: Path) -> None:
    ran: list[Sequence[str]] = []
    one = service.service(WORDS, platform="linux", home=tmp_path, environment={})
    outcome = service.install(one, lambda command: ran.append(command) or 0)  # type: ignore[func-returns-value]
    text = (tmp_path / ".config" / "systemd" / "user" / "orchestrator-queue.service").read_text(encoding="utf-8")
    assert '"/opt/my python/bin/python" "-m"' in text
    assert r'"/data/a \"b\" %%h $$x/l.sqlite3"' in text
    assert "KillMode=process" in text, "a restart of the worker would end the training"
    assert [command[:3] for command in ran] == [
        ("systemctl", "--user", "daemon-reload"),
        ("systemctl", "--user", "enable"),
    ]
    assert not outcome.failed
    service.remove(one, lambda command: 1)
    assert not one.file.exists()


def test_a_task_of_windows_is_xml_it_reads(tmp_path: Path) -> None:
    environment = {"LOCALAPPDATA": str(tmp_path), "USERDOMAIN": "PC", "USERNAME": "a & b"}
    one = service.service(WORDS, platform="win32", home=tmp_path, environment=environment)
    outcome = service.install(one, lambda command: 1)
    assert len(outcome.failed) == 2 and "schtasks" in outcome.failed[0]
    root = ET.fromstring(one.file.read_bytes().decode("utf-16").partition("?>")[2])
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert root.findtext(".//t:Command", namespaces=space) == WORDS[0]
    assert (root.findtext(".//t:Arguments", namespaces=space) or "").startswith("-m orchestrator queue work")
    assert root.findtext(".//t:Principal/t:UserId", namespaces=space) == "PC\\a & b"
    assert root.findtext(".//t:ExecutionTimeLimit", namespaces=space) == "PT0S", "the task would be ended after 3 days"


def test_a_launchd_agent(tmp_path: Path) -> None:
    one = service.service(WORDS, platform="darwin", home=tmp_path)
    content = plistlib.loads(one.content)
    assert content["ProgramArguments"] == WORDS
    assert content["KeepAlive"] and content["AbandonProcessGroup"]
    assert one.install[-1][:2] == ("launchctl", "bootstrap")


def test_windows_gets_the_python_without_a_window(tmp_path: Path) -> None:
    (tmp_path / "pythonw.exe").write_bytes(b"")
    assert PureWindowsPath(service.program("win32", str(tmp_path / "python.exe"))[0]).name == "pythonw.exe"
    assert service.program("linux", "/usr/bin/python3")[0] == "/usr/bin/python3"


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_every_platform_knows_how_to_sleep_and_shut_down(platform: str) -> None:
    assert power.words("nothing", platform) == []
    assert power.words("sleep", platform) != power.words("shutdown", platform)


def test_it_is_done_after_the_notice_and_not_when_it_is_called_off(tmp_path: Path) -> None:
    ran: list[Sequence[str]] = []
    said: list[str] = []
    with Store(tmp_path / "l.sqlite3") as store:
        assert power.wind_down("shutdown", store, said.append, notice_s=0.01, run=ran.append, platform="linux")
        assert ran == [["systemctl", "poweroff"]]
        assert "stay-awake" in said[0]
        assert not power.wind_down("nothing", store, said.append, run=ran.append)

        def calls_off(sentence: str) -> None:
            said.append(sentence)
            store.set_fact(power.CALLED_OFF, "yes")

        assert not power.wind_down("sleep", store, calls_off, notice_s=5, run=ran.append, platform="linux")
    assert len(ran) == 1 and "called off" in said[-1]


def test_a_program_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    def absent(command: Sequence[str]) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    said: list[str] = []
    with Store(tmp_path / "l.sqlite3") as store:
        assert not power.wind_down("sleep", store, said.append, notice_s=0.01, run=absent, platform="linux")
    assert "stays on" in said[-1]
