"""What grids and pictures from elsewhere name, as it is called here: LoRA files, checkpoint and VAE by their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.errors import InputError
from orchestrator.grid.definition import Definition
from orchestrator.grid.from_a1111 import FromA1111, lora_names, renamed
from orchestrator.grid.materials import Deploys
from orchestrator.lora.catalog import LoraFile, catalog
from orchestrator.render.server import Server, connect
from orchestrator.workspace import Workspace


def checkpoint_here(server: Server, name: str, digits: str) -> tuple[str, str]:
    """(title here, what to tell) of a checkpoint known by name and hash; an empty title = the one that is loaded."""
    if not name and digits in {"", server.checkpoint_hash}:
        return "", ""
    listed = server.client.models()
    found = next((entry for entry in listed if digits and entry.hash == digits), None)
    found = found or next((entry for entry in listed if entry.answers_to(name)), None)
    if found is not None:
        return found.title, ""
    if not name:
        return "", ""
    wanted = name if not digits or digits in name else f"{name} [{digits}]"
    return "", f"The checkpoint {wanted} is not here: the pictures are drawn with {server.checkpoint}."


def files_here(workspace: Workspace) -> Iterator[LoraFile]:
    """The LoRA files of all runs here."""
    for folder in sorted(workspace.runs.glob("*/lora")):
        yield from catalog(folder)


def place_a1111(
    found: FromA1111, workspace: Workspace, server: Server, deploy: Deploys
) -> tuple[Definition, Server, list[str]]:
    """What a picture of A1111's asks for in the names of `server`, the server on its checkpoint, and what to tell."""
    notes = list(found.notes)
    names: dict[str, str] = {}
    for name in lora_names(found.definition):
        names[name], note = _lora_here(name, found.lora_hashes.get(name, ""), workspace, server, deploy)
        notes += [note] * bool(note)
    definition = renamed(found, names)
    title, note = checkpoint_here(server, definition.settings.checkpoint, found.checkpoint_hash)
    notes += [note] * bool(note)
    if title != server.checkpoint and title:
        server = connect(server.client, title, server.vae, memory=server.memory)
    settings = definition.settings
    if found.vae_hash and found.vae_hash != server.vae_hash:
        if settings.vae in {one.model_name for one in server.client.vaes()}:
            server = connect(server.client, server.checkpoint, settings.vae, memory=server.memory)
        if found.vae_hash != server.vae_hash:
            notes.append(f"VAE other: the picture was drawn with {settings.vae} [{found.vae_hash}], which is not here.")
    if not note and found.checkpoint_hash and found.checkpoint_hash != server.checkpoint_hash:
        notes.append(f"checkpoint other: was [{found.checkpoint_hash}], is {server.checkpoint}.")
    if found.version and found.version not in server.version:
        notes.append(f"A1111 version other: was {found.version}, is {server.version}.")
    definition = replace(definition, settings=replace(settings, checkpoint=server.checkpoint, vae=server.vae))
    return definition, server, notes


def _lora_here(name: str, shown: str, workspace: Workspace, server: Server, deploy: Deploys) -> tuple[str, str]:
    """(how the LoRA file `name` with the shown hash is called here, what to tell)."""
    listed = {entry.name: str(entry.metadata.get("sshs_model_hash") or "")[:12] for entry in server.client.loras()}
    if not shown or listed.get(name) == shown:
        return name, ""
    for other, digits in listed.items():
        if digits == shown:
            return other, f"The LoRA {name} is called {other} here."
    for file in files_here(workspace):
        if file.shown_hash == shown:
            return deploy(file), f"The LoRA {name} is {file.path.name} of a run here."
    if name in listed:
        was = f"was {shown}, is {listed[name] or 'not known'}"
        return name, f"LoRA other ({name}): {was}; the file of then is not here."
    raise InputError(
        f"LoRA missing: {name} ({shown}) is neither in the webui nor among this workspace's runs.",
        fix="Copy the file into models/Lora, under any name, and run the same command again.",
    )
