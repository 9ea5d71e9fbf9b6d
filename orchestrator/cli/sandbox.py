"""`orchestrator sandbox`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click


@click.command("sandbox", context_settings={"ignore_unknown_options": True})
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sandbox"),
    show_default=True,
    help="Its folder: models, outputs.",
)
@click.option("--port", default=7860, show_default=True, help="0 takes a free one.")
@click.option(
    "--world",
    type=click.Choice(["story", "equal", "spike"]),
    default="story",
    show_default=True,
    help="How simulated LoRAs behave.",
)
@click.option(
    "--dialect",
    type=click.Choice(["a1111", "forge", "reforge", "classic"]),
    default="a1111",
    show_default=True,
    help="Which program it plays: A1111 1.10.1, or a fork of it.",
)
@click.option(
    "--fault",
    "faults",
    metavar="KIND[=SHARE][xTIMES]",
    multiple=True,
    help="Spoil this share of the drawings (0 to 1, default 1; x1: only the first try of each). Repeatable.",
)
@click.option("--fault-seed", default=0, show_default=True, help="Which requests the faults strike.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def command(
    home: Path,
    port: int,
    world: str,
    dialect: str,
    faults: tuple[str, ...],
    fault_seed: int,
    more: tuple[str, ...],
) -> None:
    """Start the simulated A1111 and leave it running until Ctrl-C.

    It speaks A1111's API, silent failures included, and draws simulated portraits. Further options go to it as they
    are, written --NAME=VALUE; `python -m orchestrator.sandbox.server --help` lists them (GPU time per step, --api-auth,
    and so on).

    \b
    Faults: proxy, drop, hang, restart, oom, 500, nan, disk-full, black, interrupted, wrong-lora, unknown-checkpoint,
    reset, mute, truncated, slow. What was really drawn stands in drawn.jsonl in its folder.

    \b
    Examples:
      orchestrator sandbox --port 7861
      orchestrator sandbox --fault reset=0.05 --fault oom=0.02 --fault-seed 7
      orchestrator sandbox --dialect forge
      orchestrator sandbox --fault restart=0.01 --gpu-seconds-per-picture=0.5
      orchestrator sandbox --fault oom=1x1                        the first try of every picture fails
      orchestrator sandbox --startup-seconds=5 --server-stop --leak-mb=50
      orchestrator sandbox --painter=plain --gpu-seconds-per-picture=0.05
    """
    from orchestrator.cli.console import note
    from orchestrator.errors import InputError, InstallError
    from orchestrator.sandbox import trainer_folder
    from orchestrator.sandbox.a1111.faults import parse

    try:
        parse(",".join(faults))
    except ValueError as wrong:
        raise InputError(f"--fault: {wrong}.", fix="Choose from that list, for example --fault reset=0.05.") from None

    say = "set {}={}" if sys.platform == "win32" else "export {}='{}'"
    note(f"Simulated A1111 in {home.absolute()}. In the terminal you work in, paste first:")
    note()
    if port:
        note("  " + say.format("ORCHESTRATOR_A1111_URL", f"http://127.0.0.1:{port}"))
    note("  " + say.format("ORCHESTRATOR_KOHYA_FOLDER", trainer_folder()))
    note("  " + say.format("ORCHESTRATOR_KOHYA_PYTHON", sys.executable))
    note()
    arguments = [
        sys.executable,
        "-m",
        "orchestrator.sandbox.server",
        "--home",
        str(home),
        "--port",
        str(port),
        "--world",
        world,
        f"--dialect={dialect}",
        f"--faults={','.join(faults)}",
        f"--fault-seed={fault_seed}",
        # Ended from outside, this command must not leave the server behind.
        "--parent",
        str(os.getpid()),
        *more,
    ]
    # A pipe of ours as its standard input: when this command is gone, however it ended, the pipe closes and the server
    # ends too.
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as server:
        code = server.wait()
    if code not in {0, 130, -2}:
        raise InstallError(f"The simulated A1111 ended with exit code {code}.", cause="What it printed above says why.")
