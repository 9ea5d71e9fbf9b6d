"""This machine: kohya, the vision extra, the disk, the webui we would start."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from orchestrator.a1111 import managed
from orchestrator.doctor.finding import DRAWING, Finding
from orchestrator.errors import InstallError, KohyaNotFound
from orchestrator.kohya import install
from orchestrator.profile.model import Profile
from orchestrator.settings import Settings
from orchestrator.workspace import Workspace

KOHYA = "kohya"
VISION = "Faces"
DISK = "Disk"
STARTED = "Webui of ours"
#: A night of 80 epochs with states, and a grid of some thousand pictures, take a few GB.
_LITTLE_GB = 5.0
#: A Python on a cold disk takes seconds to start.
_PYTHON_WITHIN_S = 20.0
_SAY_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"


def about_kohya(settings: Settings, profile: Profile | None) -> Iterator[Finding]:
    """The install and its Python."""
    trains = profile is not None and bool(profile.dataset.groups)
    if not settings.kohya_folder:
        yield Finding(
            KOHYA,
            "where it is has not been said",
            "blocker" if trains else "optional",
            ("training",) if trains else (),
            fix="Give --kohya FOLDER, or kohya_folder in settings.toml: the kohya_ss or sd-scripts folder.",
        )
        return
    try:
        found = install.find(settings.kohya_folder, settings.kohya_python or None)
    except KohyaNotFound as error:
        yield Finding(KOHYA, error.what.rstrip("."), "blocker", ("training",), error.cause, error.fix)
        return
    version, why = _python_version(found.python)
    if version:
        yield Finding(KOHYA, f"{found.root}, sd-scripts {found.version[:17]}, Python {version}")
    else:
        yield Finding(
            KOHYA,
            f"{found.python} does not run",
            "blocker",
            ("training",),
            why,
            "Run kohya's setup script again, or name a working Python with --kohya-python.",
        )


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


def _python_version(python: Path) -> tuple[str, str]:
    """Version, or an empty text and why there is none."""
    try:
        done = subprocess.run(
            [str(python), "-E", "-c", _SAY_VERSION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PYTHON_WITHIN_S,
            check=False,
        )
    except OSError as error:
        return "", f"It cannot be started ({error.strerror or error})."
    except subprocess.TimeoutExpired:
        return "", f"It said nothing within {_PYTHON_WITHIN_S:.0f} s."
    said = done.stdout.decode("utf-8", errors="replace").strip()
    wrong = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return (said, "") if done.returncode == 0 and said else ("", wrong[-1] if wrong else "It ended without a word.")
