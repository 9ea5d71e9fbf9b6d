"""`orchestrator demo`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from orchestrator.cli.options import (
    Urls,
    address_option,
    checked,
    find_kohya,
    kohya_options,
    lora_folder_option,
    open_client,
)

if TYPE_CHECKING:
    from orchestrator.sandbox.worlds import World
    from orchestrator.settings import Settings


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("orchestrator-demo"),
    show_default=True,
    help="Where to play it.",
)
@click.option("--profile", default="demo", show_default=True, help="A shipped profile's name, or a .toml file.")
@address_option
@kohya_options
@lora_folder_option
@click.option(
    "--world", type=click.Choice(["story", "equal", "spike"]), default="story", show_default=True,
    help="How the simulated LoRAs behave: with a best region, all truly equal, or one clearly best.",
)  # fmt: skip
def command(
    folder: Path,
    profile: str,
    url: Urls,
    kohya: str | None,
    kohya_python: str | None,
    lora_folder: str | None,
    world: str,
) -> None:
    """Play the whole story: a tilted dataset is noticed, trained, seen in the grid, mended, trained again, and judged.

    Without --url and --kohya it runs on simulations of both tools and needs no graphics card. With them, the same run
    drives yours; what is not named then comes from the settings. Run it again in the same folder, and everything comes
    from the cache.
    """
    from orchestrator import demo
    from orchestrator.cli.console import answer, note, progress
    from orchestrator.cli.dataset_shown import show_check
    from orchestrator.cli.train import show_events
    from orchestrator.profile.load import load_profile
    from orchestrator.profile.shipped import find_profile, make_workspace
    from orchestrator.settings import load_settings
    from orchestrator.workspace import Workspace

    started = time.monotonic()
    workspace = Workspace(folder.absolute())
    if not workspace.profile.exists():
        make_workspace(workspace.root, find_profile(profile))
    loaded = checked(load_profile(workspace.profile), workspace.profile)
    settings = load_settings(a1111_url=url, kohya_folder=kohya, kohya_python=kohya_python, lora_folder=lora_folder)
    real = url is not None or kohya is not None
    if real:
        find_kohya(settings)
    with (
        _installs(settings, workspace.root, world, real=real) as settings,
        open_client(settings) as client,
        progress() as bar,
    ):
        stage = demo.Stage(
            client=client,
            install=find_kohya(settings),
            lora_folder=settings.lora_folder,
            say=note,
            show_check=show_check,
            on_progress=bar,
            on_training=show_events(bar),
        )
        played = demo.play(loaded, workspace, stage)
    answer()
    if client.simulated:
        answer("simulated: pictures and LoRA files come from a sandbox; the measurements and the statistics are real.")
    for sentence in played.verdict.sentences:
        answer(sentence)
    for sentence in played.verdict.not_measured:
        answer(f"- {sentence}")
    answer(f"Report: {played.report}")
    note(f"({time.monotonic() - started:.0f} s)")


@contextlib.contextmanager
def _installs(settings: Settings, root: Path, world: str, *, real: bool) -> Iterator[Settings]:
    """The settings as they are, or with both tools simulated.

    Never one of each: a simulated trainer would put its files into a real models/Lora, and real sd-scripts cannot train
    on a simulated checkpoint.
    """
    from orchestrator import sandbox

    if real:
        yield settings
        return
    # The simulated trainer learns as the world says; it inherits our environment.
    os.environ["ORCHESTRATOR_SANDBOX_WORLD"] = world
    os.environ.setdefault("ORCHESTRATOR_SANDBOX_STEP_SECONDS", "0.0005")
    # Each world has a checkpoint of its own, so that pictures of one are never taken for another's.
    with running_sandbox(root / f"sandbox-{world}", world) as server_url:
        yield settings.model_copy(
            update={
                "a1111_url": server_url,
                "a1111_user": "",
                "lora_folder": "",
                "servers": (),
                "a1111_command": (),
                "kohya_folder": str(sandbox.trainer_folder()),
                "kohya_python": sys.executable,
            }
        )


@contextlib.contextmanager
def running_sandbox(home: Path, world: str) -> Iterator[str]:
    """The simulated A1111 over `home`; gives its URL. Raises `InstallError` with the end of its log when it does not
    start.
    """
    from orchestrator.errors import InstallError
    from orchestrator.sandbox import server

    home.mkdir(parents=True, exist_ok=True)
    try:
        running = server.start(home, cast("World", world))
    except server.SandboxError as error:
        raise InstallError("The simulated A1111 did not start.", cause=str(error)) from error
    with running:
        yield running.url
