"""The worker as a service of the system: a systemd user unit, an entry of the Task Scheduler, a launchd agent.

Each is a file of text, made here whatever the platform, and one or two commands that make it known.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from orchestrator.files import write_bytes

NAME = "orchestrator-queue"
_LABEL = "orchestrator.queue"
#: Runs a command; its exit code.
Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Service:
    """What is written, where, and what makes it known and forgotten again."""

    file: Path
    content: bytes
    install: tuple[tuple[str, ...], ...]
    remove: tuple[tuple[str, ...], ...]
    #: What else to know.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What was done: `ran` are the commands that went well, `failed` those that did not."""

    service: Service
    ran: tuple[str, ...]
    failed: tuple[str, ...]


def service(
    words: Sequence[str],
    *,
    platform: str = sys.platform,
    home: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    user: str = "",
) -> Service:
    """The service that runs `words` (program first) for this user."""
    home = home or Path.home()
    if platform == "win32":
        return _task(words, home, environment, user)
    if platform == "darwin":
        return _agent(words, home)
    return _unit(words, home, environment)


def install(one: Service, run: Run | None = None) -> Outcome:
    """Write the file and make it known. Raises `StorageError`."""
    write_bytes(one.file, one.content)
    return _outcome(one, one.install, run or _run)


def remove(one: Service, run: Run | None = None) -> Outcome:
    """Make it unknown and take the file away."""
    outcome = _outcome(one, one.remove, run or _run)
    one.file.unlink(missing_ok=True)
    return outcome


def _outcome(one: Service, commands: Sequence[Sequence[str]], run: Run) -> Outcome:
    ran: list[str] = []
    failed: list[str] = []
    for command in commands:
        (ran if run(command) == 0 else failed).append(" ".join(command))
    return Outcome(one, tuple(ran), tuple(failed))


def _run(command: Sequence[str]) -> int:
    try:
        return subprocess.run(list(command), check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode
    except OSError:
        return 127


def _unit(words: Sequence[str], home: Path, environment: Mapping[str, str]) -> Service:
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    # KillMode=process: a trainer that runs outlives a restart of the worker, which finds it again.
    text = f"""[Unit]
Description=The night queue of orchestrator
After=default.target

[Service]
ExecStart={" ".join(map(_systemd_word, words))}
Restart=always
RestartSec=2
KillMode=process
KillSignal=SIGTERM
TimeoutStopSec=20

[Install]
WantedBy=default.target
"""
    return Service(
        config / "systemd" / "user" / f"{NAME}.service",
        text.encode(),
        (("systemctl", "--user", "daemon-reload"), ("systemctl", "--user", "enable", "--now", f"{NAME}.service")),
        (("systemctl", "--user", "disable", "--now", f"{NAME}.service"), ("systemctl", "--user", "daemon-reload")),
        (
            "It runs while you are logged in; `loginctl enable-linger` lets it run without.",
            f"Its words: journalctl --user -u {NAME}",
        ),
    )


def _systemd_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _task(words: Sequence[str], home: Path, environment: Mapping[str, str], user: str) -> Service:
    folder = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "orchestrator"
    user = user or "\\".join(filter(None, (environment.get("USERDOMAIN", ""), environment.get("USERNAME", ""))))
    who = f"<UserId>{escape(user)}</UserId>" if user else ""
    arguments = escape(subprocess.list2cmdline(words[1:]))
    text = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>The night queue of orchestrator</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled>{who}</LogonTrigger></Triggers>
  <Principals>
    <Principal id="Author">{who}<LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
    <Hidden>true</Hidden>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>{escape(words[0])}</Command><Arguments>{arguments}</Arguments></Exec>
  </Actions>
</Task>
"""
    file = folder / f"{NAME}.xml"
    return Service(
        file,
        text.encode("utf-16"),
        (
            ("schtasks", "/Create", "/TN", NAME, "/XML", str(file), "/F"),
            ("schtasks", "/Run", "/TN", NAME),
        ),
        (("schtasks", "/End", "/TN", NAME), ("schtasks", "/Delete", "/TN", NAME, "/F")),
        ("It begins when you log in.",),
    )


def _agent(words: Sequence[str], home: Path) -> Service:
    file = home / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
    logs = home / "Library" / "Logs" / "orchestrator"
    content = plistlib.dumps(
        {
            "Label": _LABEL,
            "ProgramArguments": list(words),
            "RunAtLoad": True,
            "KeepAlive": True,
            # A trainer that runs outlives a restart of the worker.
            "AbandonProcessGroup": True,
            "StandardErrorPath": str(logs / "queue.log"),
        }
    )
    domain = f"gui/{os.getuid() if hasattr(os, 'getuid') else 501}"
    return Service(
        file,
        content,
        (("mkdir", "-p", str(logs)), ("launchctl", "bootstrap", domain, str(file))),
        (("launchctl", "bootout", f"{domain}/{_LABEL}"),),
        (f"Its words: {logs / 'queue.log'}",),
    )


def program(platform: str = sys.platform, executable: str = sys.executable) -> list[str]:
    """What starts the worker: on Windows by the Python that opens no console window."""
    path = Path(executable)
    if platform == "win32" and path.name.lower() == "python.exe":
        quiet = path.with_name("pythonw.exe")
        path = quiet if quiet.exists() else path
    return [str(path), "-m", "orchestrator", "queue", "work"]
