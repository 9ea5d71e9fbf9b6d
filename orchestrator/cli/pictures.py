"""`orchestrator pictures …`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_client, open_workspace, server_option, workspace_option


@click.group("pictures")
def command() -> None:
    """Make, vary and straighten picture sets."""


@command.command("make")
@click.argument("sets", nargs=-1)
@workspace_option
@server_option
def make(sets: tuple[str, ...], folder: Path, url: str | None) -> None:
    """Make the picture sets SETS of the profile; without names, all of them.

    A set with a `source` is made from that set's pictures: straightened, varied by img2img, or both. A set that is
    there already is left alone, and pictures deleted from it stay deleted.

    \b
    Example:  orchestrator pictures make "close-up" "close-up varied"
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, note, progress
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    with open_client(load_settings(a1111_url=url)) as client, progress() as on_progress:
        renderer = pipeline.open_renderer(profile, workspace, client)
        made = pipeline.make_pictures(profile, workspace, renderer, only=sets, on_progress=on_progress)
    for one in made:
        answer(f"{one.name}: {len(one.pictures)} pictures in {one.folder}")
        for sentence in (*one.notes, *one.failed):
            note(f"  {sentence}")


@command.command("straighten")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--angle", type=float, help="Lean of the head in degrees, + = clockwise on screen; default: measured.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("straight"),
    show_default=True,
    help="Where to write.",
)
def straighten(files: tuple[Path, ...], angle: float | None, into: Path) -> None:
    """Turn FILES until the faces are upright and crop what the turn leaves black. The files themselves are not changed.

    \b
    Example:  orchestrator pictures straighten leaning.png --into straight
    """
    from orchestrator.cli.console import answer
    from orchestrator.pictures.straighten import refuse_overwriting, straighten_file, straighten_files

    pairs = [(file, into / f"{file.stem}.png") for file in files]
    refuse_overwriting(pairs)
    if angle is None:
        done = straighten_files(pairs)
    else:
        done = [straighten_file(source, target, angle) for source, target in pairs]
    for (source, target), one in zip(pairs, done, strict=True):
        if one.angle is None:
            answer(f"{source}: left as it is, no face was found")
        elif not one.angle:
            answer(f"{source}: left as it is, the face is upright")
        else:
            answer(f"{target}: turned by {-one.angle:+.1f}°")
