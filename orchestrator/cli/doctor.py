"""`orchestrator doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    address_option,
    json_option,
    kohya_options,
    lora_folder_option,
    workspace_option,
)

if TYPE_CHECKING:
    from orchestrator.doctor.finding import Examination, Finding
    from orchestrator.profile.model import Profile
    from orchestrator.workspace import Workspace

_MARKS = {"ok": "[ok]", "blocker": "[x] ", "warning": "[!] ", "optional": "[-] "}


@click.command("doctor")
@workspace_option
@address_option
@kohya_options
@lora_folder_option
@json_option
def command(
    folder: Path,
    url: tuple[str, ...] | None,
    kohya: str | None,
    kohya_python: str | None,
    lora_folder: str | None,
    as_json: bool,
) -> None:
    """Look whether everything a night depends on is there: A1111 and its options, the LoRA folder, kohya, the disk.

    Nothing is drawn. One file of a few bytes is put into the LoRA folder and taken away again, to see that A1111 reads
    it. In a workspace the names in its profile are looked up too. Exit code 0 without blockers, else 4.
    """
    from orchestrator.cli.console import answer_json
    from orchestrator.doctor.examine import examine, unusable_settings
    from orchestrator.doctor.finding import Examination
    from orchestrator.errors import InputError, InstallError
    from orchestrator.settings import load_settings

    workspace, profile, unreadable = _open(folder)
    try:
        settings = load_settings(a1111_url=url, kohya_folder=kohya, kohya_python=kohya_python, lora_folder=lora_folder)
        examined = examine(settings, workspace, profile)
    except InputError as error:
        examined = Examination((unusable_settings(error),))
    examined = Examination((*unreadable, *examined.findings))
    if as_json:
        answer_json(examined.to_dict())
    else:
        show(examined)
    if examined.count("blocker"):
        raise click.exceptions.Exit(InstallError.exit_code)


def _open(folder: Path) -> tuple[Workspace | None, Profile | None, list[Finding]]:
    """The workspace and its profile, as far as they are there; a profile that cannot be read is a finding."""
    from orchestrator.cli.options import checked
    from orchestrator.doctor.finding import WORK, Finding
    from orchestrator.errors import ProfileError, WorkspaceError
    from orchestrator.profile.load import load_profile
    from orchestrator.workspace import find_workspace

    try:
        workspace = find_workspace(folder)
    except WorkspaceError:
        return None, None, []
    try:
        return workspace, checked(load_profile(workspace.profile), workspace.profile), []
    except ProfileError as error:
        problems = "; ".join(error.problems)
        what = f"{workspace.profile}: {problems}"
        return workspace, None, [Finding("Profile", what, "blocker", WORK, fix="Correct the lines named.")]


def show(examined: Examination) -> None:
    """One line for what is well, the details of what is not, and what follows."""
    from orchestrator.cli.console import answer, paragraph

    width = max(len(finding.area) for finding in examined.findings)
    several = len({finding.server for finding in examined.findings if finding.server}) > 1
    for finding in examined.findings:
        where = f"{finding.server}: " if several and finding.server and finding.server not in finding.what else ""
        paragraph(f"{_MARKS[finding.level]} {finding.area:<{width}}  ", where + finding.what)
        if finding.stops:
            paragraph("     Stops:  ", f"{', '.join(finding.stops)}.")
        if finding.cause:
            paragraph("     Cause:  ", finding.cause)
        if finding.fix:
            paragraph("     Fix:    ", finding.fix)
    counts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for word, count in (("blocker", examined.count("blocker")), ("warning", examined.count("warning")))
        if count
    ]
    state = "   ".join(
        f"{work.capitalize()}: {'blocked' if blocked else 'ready'}" for work, blocked in examined.blocked.items()
    )
    answer()
    answer(f"{', '.join(counts) or 'No blockers, no warnings'}.   {state}")
