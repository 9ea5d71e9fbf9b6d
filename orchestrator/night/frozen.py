"""What a job was told when it was added, and what has changed under it since.

A payload holds the profile's text, the installs, and hashes of what is too large to be copied. It is all a job goes by:
what is edited after it was added means other jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import sha256_file
from orchestrator.jobs.model import PAYLOAD_FORMAT
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import Profile
from orchestrator.settings import Settings, load_settings
from orchestrator.workspace import Workspace

#: Of the settings, what is the queue's own or may hold a secret (`--api-auth user:password` among the webui's words):
#: read when the job runs.
NOT_FROZEN = {
    "a1111_password", "a1111_command", "a1111_folder", "notify", "notify_on", "night", "when_done", "card_in_use_gb",
}  # fmt: skip
_ANEW = "Add the job anew; `orchestrator queue cancel` takes this one out."


@dataclass(frozen=True)
class Frozen:
    """One payload, read back."""

    workspace: Workspace
    profile: Profile
    settings: Settings
    #: What the command line said: names, run, checkpoint, build, anyway.
    options: Mapping[str, Any]
    #: sha256 of the dataset's manifest when the job was added; empty = there was none, or it is built by the job.
    dataset_sha256: str = ""


def settings_part(settings: Settings) -> dict[str, Any]:
    """The part of the settings that is frozen: no passwords, no defaults."""
    return settings.model_dump(mode="json", exclude=NOT_FROZEN, exclude_unset=True, by_alias=True)


def manifest_sha256(workspace: Workspace, version: str) -> str:
    """What names the content of a version's dataset; empty where it is not built, or was not built by us."""
    manifest = workspace.dataset(version) / "manifest.json"
    return sha256_file(manifest) if manifest.is_file() else ""


def read(format_: int, content: Mapping[str, Any]) -> Frozen:
    """A payload as it can be worked with. Raises `InputError` for one of another version, or one whose workspace has
    moved.
    """
    if format_ != PAYLOAD_FORMAT:
        raise InputError(
            f"The job was added by another version of orchestrator (payload {format_}; this one reads "
            f"{PAYLOAD_FORMAT}).",
            fix=_ANEW,
        )
    try:
        root = Path(content["workspace"])
        profile = parse_profile(content["profile"], f"the lora.toml that was frozen from {root}")
        now = load_settings()
        written = {name: getattr(now, name) for name in NOT_FROZEN & now.model_fields_set}
        settings = Settings.model_validate({**content["settings"], **written})
        options = dict(content.get("options", {}))
        dataset = str(content.get("dataset_sha256", ""))
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"What was frozen when the job was added cannot be read ({type(error).__name__}).",
            cause="It was written by another version of orchestrator, or edited.",
            fix=_ANEW,
        ) from error
    if not root.is_dir():
        raise WorkspaceError(f"The workspace {root} is not there any more.", fix=f"Put it back; or: {_ANEW}")
    return Frozen(Workspace(root), profile, settings, options, dataset)


def refuse_changed_dataset(frozen: Frozen) -> None:
    """Raise `InputError` when the dataset is not the one the job was added for."""
    if not frozen.dataset_sha256:
        return
    version = frozen.profile.subject.version
    now = manifest_sha256(frozen.workspace, version)
    if now == frozen.dataset_sha256:
        return
    folder = frozen.workspace.dataset(version)
    raise InputError(
        f"The dataset {folder} {'was changed' if now else 'is gone'} since the job was added.",
        cause="A job trains what it was added for, and nothing else.",
        fix=f"Put the dataset back as it was, then `queue retry`. Or: {_ANEW}",
    )
