"""training → lora: deploy and publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import InputError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.lora.catalog import LoraFile
    from orchestrator.lora.deploy import Deployed
    from orchestrator.lora.publish import Published
    from orchestrator.profile.model import Profile
    from orchestrator.workspace import Workspace


def deploy_run(
    workspace: Workspace,
    run_name: str,
    client: A1111,
    lora_folder: str = "",
    others: Iterable[tuple[A1111, str]] = (),
    say: Callable[[str], object] = str,
) -> list[Deployed]:
    """training → lora: put every LoRA file of a run where A1111 finds it, under stems that were never used.

    `others` are further servers with their folders; one that cannot be given the files is told to `say`.
    """
    from orchestrator.lora.deploy import deploy, find_lora_folder

    files = lora_files(workspace, run_name, say)
    placed = deploy(files, find_lora_folder(client, lora_folder or None), client)
    for other, folder in others:
        try:
            deploy(files, find_lora_folder(other, folder or None), other)
        except OrchestratorError as error:
            say(f"{other.url} does not get the LoRA files: {error.what}")
    return placed


def lora_files(workspace: Workspace, run_name: str, say: Callable[[str], object] = str) -> list[LoraFile]:
    """The usable LoRA files of a version's current run. Raises `WorkspaceError` when there are none; a run that ended
    early is told to `say`.
    """
    from orchestrator.lora.catalog import catalog
    from orchestrator.training.runs import current_run

    run = current_run(workspace, run_name)
    if run.status != "finished":
        last = max(file.epoch for file in run.files)
        say(f"{run.name} ended early ({run.status}): its files up to epoch {last} of {run.epochs} are used.")
    return catalog(workspace.run(run.name) / "lora")


def publish_epoch(
    profile: Profile,
    workspace: Workspace,
    epoch: int,
    name: str,
    folder: Path,
    *,
    run_name: str = "",
    weight: float = 0,
) -> Published:
    """training → lora: one epoch of a run (the profile's when not named) as `<name>.safetensors` in `folder`, with the
    card A1111 shows for it. Raises `InputError` for an epoch that was not saved and a name that is taken.
    """
    from orchestrator.lora.publish import card, publish
    from orchestrator.training.runs import current_run

    run = current_run(workspace, run_name or profile.run_name)
    files = {file.epoch: file for file in lora_files(workspace, run.name)}
    if epoch not in files:
        raise InputError(
            f"{run.name} has no LoRA file of epoch {epoch}.", fix=f"There are: {', '.join(map(str, files)) or 'none'}."
        )
    own = run.values.get("output_name") == workspace.run(profile.run_name).name
    described = card(
        files[epoch],
        run=run.name,
        family=run.base.get("family", ""),
        # The trigger of another version may have been another one.
        trigger=profile.trigger if own else "",
        weight=weight,
        base_sha256=run.base.get("sha256", ""),
    )
    return publish(files[epoch], folder, name, card=described)
