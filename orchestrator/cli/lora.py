"""`orchestrator lora …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import (
    Urls,
    address_option,
    json_option,
    lora_folder_option,
    models_folder,
    open_workspace,
    workspace_option,
)


@click.group("lora")
def command() -> None:
    """List, show, deploy and publish LoRA files."""


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
@click.option("--as-profile", is_flag=True, help="Answer with a lora.toml that trains as the file was trained.")
def show(file: Path, as_json: bool, as_profile: bool) -> None:
    """Show what a LoRA file says of itself: its training, without loading torch.

    \b
    Example:  orchestrator lora show somebody.safetensors --as-profile > lora.toml
    """
    from orchestrator.cli.console import answer, answer_json, note, table
    from orchestrator.lora.header import read_header

    if as_json and as_profile:
        raise click.UsageError("--json and --as-profile are two different answers: give one.")
    header = read_header(file)
    if as_profile:
        from orchestrator.lora import as_profile as put_together

        text, notes = put_together.as_profile(header)
        for each in notes:
            note(str(each))
        answer(text)
        return
    if as_json:
        answer_json(dict(header.metadata))
        return
    table(("key", "value"), [(key, value) for key, value in sorted(header.metadata.items())])


@command.command("deploy")
@click.argument("run", required=False)
@workspace_option
@address_option
@lora_folder_option
def deploy(run: str | None, folder: Path, url: Urls, lora_folder: str | None) -> None:
    """Copy the LoRA files of a run into A1111's folder, under stems that were never used before."""
    from orchestrator.cli.console import table
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    settings = load_settings(a1111_url=url, lora_folder=lora_folder)
    with open_servers(settings, draws=False) as servers:
        deployed = servers.deploy(workspace, run or profile.run_name)
    table(("epoch", "use in a prompt"), [(d.lora.epoch, f"<lora:{d.stem}:1>") for d in deployed])


@command.command("publish")
@click.argument("epoch", type=click.IntRange(min=1))
@click.argument("name")
@workspace_option
@click.option("--run", default="", metavar="RUN", help="A run's name; default: the profile's newest.")
@click.option(
    "--to",
    "to",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder; default: A1111's models/Lora, from the settings or asked from A1111.",
)
@click.option(
    "--weight",
    type=click.FloatRange(0, 2),
    default=0.0,
    help="The weight A1111 puts into the tag; 0 = its own setting.",
)
@address_option
def publish(epoch: int, name: str, folder: Path, run: str, to: Path | None, weight: float, url: Urls) -> None:
    """Copy the chosen EPOCH to NAME.safetensors, with the card A1111 shows for it beside.

    Another file of that name is never replaced.

    \b
    Example:  orchestrator lora publish 40 my-model --weight 0.8
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, note

    workspace, profile = open_workspace(folder)
    if to is None:
        to = models_folder(url)
    published = pipeline.publish_epoch(profile, workspace, epoch, name, to, run_name=run, weight=weight)
    if published.card_kept:
        note(f"{published.card.name} was there already: what it says is kept.")
    answer(f"{published.path}{' (there already)' if published.reused else ''}")
    answer(f"Use it as <lora:{published.path.stem}:{weight or 1:g}>, once A1111's list is refreshed.")
