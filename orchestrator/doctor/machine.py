"""This machine: the vision extra, the disk, the webui we would start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator import notify
from orchestrator.a1111 import managed
from orchestrator.doctor.finding import DRAWING, Finding
from orchestrator.errors import InstallError
from orchestrator.settings import Settings
from orchestrator.workspace import Workspace

VISION = "Faces"
DISK = "Disk"
STARTED = "Webui of ours"
NOTIFY = "Notifications"
#: A night of 80 epochs with states, and a grid of some thousand pictures, take a few GB.
_LITTLE_GB = 5.0


def about_vision() -> Iterator[Finding]:
    """Whether faces and persons can be measured."""
    from orchestrator.vision import status

    now = status()
    if now.available and now.identity:
        yield Finding(VISION, f"measured by {now.backend}")
    else:
        missing = "faces and persons are" if not now.available else "which person it is, is"
        yield Finding(VISION, f"{missing} not measured", "optional", fix=now.advice)


def about_disk(workspace: Workspace) -> Iterator[Finding]:
    """Free space where the workspace lies."""
    free = shutil.disk_usage(workspace.root).free / 1e9
    if free >= _LITTLE_GB:
        yield Finding(DISK, f"{free:.0f} GB free")
    else:
        yield Finding(
            DISK,
            f"{free:.1f} GB free where {workspace.root} lies",
            "warning",
            cause=f"A night may need more than {_LITTLE_GB:.0f} GB.",
            fix=f"Free some space; {workspace.cache} may be deleted, what is in it is then drawn again.",
        )


def about_notifications(settings: Settings) -> Iterator[Finding]:
    """Whether the addresses that are told how the night went can be used; nothing is sent."""
    if not settings.notify:
        return
    wrong = notify.check([one.get_secret_value() for one in settings.notify])
    for one in wrong:
        yield Finding(NOTIFY, f"{one.address}: {one.why}", "warning", fix="Correct `notify` in settings.toml.")
    if not wrong:
        yield Finding(NOTIFY, "1 address" if len(settings.notify) == 1 else f"{len(settings.notify)} addresses")


def about_started(settings: Settings) -> Iterator[Finding]:
    """Whether the webui that we are to start can be started."""
    if not settings.a1111_command:
        return
    first = settings.addresses()[0]
    if not first.on_this_machine:
        yield Finding(
            STARTED,
            f"a1111_command starts a webui here, and {first.url} is another machine",
            "warning",
            fix="Name the address of the started one first (a1111_url, or the first --url).",
        )
    try:
        ours = managed.webui(first.url, settings.a1111_command, log=Path("webui.log"), folder=settings.a1111_folder)
    except InstallError as error:
        yield Finding(STARTED, error.what.rstrip("."), "blocker", DRAWING, error.cause, error.fix)
    else:
        yield Finding(STARTED, f"{ours.command[0]} in {ours.folder}")
