"""`orchestrator lora …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import (
    Urls,
    json_option,
    lora_folder_option,
    open_workspace,
    server_option,
    workspace_option,
)


@click.group("lora")
def command() -> None:
    """List, show and deploy LoRA files."""


@command.command("list")
@click.argument("run", required=False)
@workspace_option
@json_option
def list_(run: str | None, folder: Path, as_json: bool) -> None:
    """List the LoRA files of a run (default: the profile's newest finished one)."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer_json, table

    workspace, profile = open_workspace(folder)
    files = pipeline.lora_files(workspace, run or profile.run_name)
    if as_json:
        answer_json(
            [{"file": str(f.path), "epoch": f.epoch, "sha256": f.sha256, "session": f.session_id} for f in files]
        )
        return
    table(
        ("epoch", "file", "sha256", "hash A1111 shows"),
        [(f.epoch, f.path.name, f.sha256[:12], f.shown_hash) for f in files],
    )


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what a LoRA file says of itself: its training, without loading torch."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.lora.header import read_header

    header = read_header(file)
    if as_json:
        answer_json(dict(header.metadata))
        return
    table(("key", "value"), [(key, value) for key, value in sorted(header.metadata.items())])


@command.command("deploy")
@click.argument("run", required=False)
@workspace_option
@server_option
@lora_folder_option
def deploy(run: str | None, folder: Path, url: Urls, lora_folder: str | None) -> None:
    """Copy the LoRA files of a run into A1111's folder, under stems that were never used before."""
    from orchestrator.cli.console import table
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    settings = load_settings(a1111_url=url, lora_folder=lora_folder)
    with open_servers(settings) as servers:
        deployed = servers.deploy(workspace, run or profile.run_name)
    table(("epoch", "use in a prompt"), [(d.lora.epoch, f"<lora:{d.stem}:1>") for d in deployed])
