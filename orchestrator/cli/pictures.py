"""`orchestrator pictures …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Urls, json_option, open_workspace, server_option, workspace_option
from orchestrator.cli.pictures_draw import ramp, vary

if TYPE_CHECKING:
    from orchestrator.profile.model import Corners


@click.group("pictures")
def command() -> None:
    """Make, vary, ramp, pick and straighten pictures."""


@command.command("make")
@click.argument("sets", nargs=-1)
@workspace_option
@server_option
@json_option
def make(sets: tuple[str, ...], folder: Path, url: Urls, as_json: bool) -> None:
    """Make the picture sets SETS of the profile; without names, all of them.

    A set with a `source` is made from that set's pictures: straightened, varied by img2img, or both. A set that is
    there already is left alone, and pictures deleted from it stay deleted. What it costs is said first.

    \b
    Example:  orchestrator pictures make "close-up" "close-up varied"
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, leave_failed, note, progress
    from orchestrator.cli.servers import open_servers
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        unmade, price = pipeline.price_pictures(profile, workspace, renderer, only=sets)
        if unmade:
            note(f"{unmade} {'set' if unmade == 1 else 'sets'} to make: {price}")
        made = pipeline.make_pictures(profile, workspace, renderer, only=sets, on_progress=on_progress)
    if as_json:
        answer_json([one.to_dict() for one in made])
    for one in () if as_json else made:
        answer(f"{one.name}: {len(one.pictures)} pictures in {one.folder}")
        for sentence in (*one.notes, *one.failed):
            note(f"  {sentence}")
    leave_failed(sum(len(one.failed) for one in made))


command.add_command(vary)
command.add_command(ramp)


@command.command("sheet")
@click.argument("name", metavar="SET")
@workspace_option
@click.option("--columns", type=click.IntRange(1, 60), help="Pictures side by side; default: as it looks best.")
def sheet(name: str, folder: Path, columns: int | None) -> None:
    """Draw the contact sheet of SET: every picture with the number it is picked by.

    It is kept in a folder of its own beside the pictures, so that it is never varied or trained on. The sheet of a ramp
    shows settings and seeds.

    \b
    Example:  orchestrator pictures sheet "close-up"
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer
    from orchestrator.workspace import find_workspace

    answer(str(pipeline.picture_sheet(find_workspace(folder), name, columns=columns or 0)))


@command.command("pick")
@click.argument("name", metavar="SET")
@click.argument("numbers", nargs=-1, required=True)
@click.option("--into", metavar="NAME", required=True, help="The set of picks; made if it is not there, else added to.")
@workspace_option
@json_option
def pick(name: str, numbers: tuple[str, ...], into: str, folder: Path, as_json: bool) -> None:
    """Keep the pictures NUMBERS of SET in a set of their own, with all that is known of where they came from.

    Numbers are those of the sheet: 3 7-9. Nothing is written over, and a picture that is there is not added twice. To
    vary picks or train on them, name the set in lora.toml: [[pictures]] with `name` and `picked = true`.

    \b
    Example:  orchestrator pictures pick "ramp looking up" 3 7-9 --into "looking up"
    """
    from orchestrator.cli.console import answer, answer_json
    from orchestrator.errors import InputError
    from orchestrator.pictures import picks

    workspace, profile = open_workspace(folder)
    planned = profile.picture_set(into)
    if planned is not None and not planned.picked:
        raise InputError(
            f"{into!r} is a picture set that the profile draws.",
            fix="Name another with --into, or say `picked = true`.",
        )
    done = picks.pick(workspace, name, numbers, into)
    if as_json:
        answer_json(done.to_dict())
        return
    for old, new in done.added:
        answer(f"{old} -> {done.folder / new}")
    for old, new in done.there:
        answer(f"{old} is there already as {new}")


@command.command("straighten")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--angle", type=float, help="Lean of the head in degrees, + = clockwise on screen; default: measured.")
@click.option(
    "--corners",
    type=click.Choice(["crop", "reflect"]),
    default="crop",
    show_default=True,
    help="What the turn leaves empty is cropped away, or filled with the mirrored picture (outpaint: by a set).",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("straight"),
    show_default=True,
    help="Where to write.",
)
def straighten(files: tuple[Path, ...], angle: float | None, corners: Corners, into: Path) -> None:
    """Turn FILES until the faces are upright, without black corners. The files themselves are not changed.

    Before and after stand side by side in the sheet INTO/sheet/sheet.png; INTO/manifest.json says what each was made
    of. `orchestrator dataset import INTO --instead` puts them in the place of the imported ones.

    \b
    Example:  orchestrator pictures straighten leaning.png --into straight
    """
    from orchestrator.cli.console import answer
    from orchestrator.grid.before_after import write_before_after
    from orchestrator.pictures.straighten import refuse_overwriting, straighten_file, straighten_files
    from orchestrator.pictures.straightened_record import record

    pairs = [(file, into / f"{file.stem}.png") for file in files]
    refuse_overwriting(pairs)
    if angle is None:
        done = straighten_files(pairs, corners=corners)
    else:
        done = [straighten_file(source, target, angle, corners=corners) for source, target in pairs]
    for (source, target), one in zip(pairs, done, strict=True):
        if one.angle is None:
            answer(f"{source}: left as it is, no face was found")
        elif not one.angle:
            answer(f"{source}: left as it is, the face is upright")
        else:
            answer(f"{target}: turned by {-one.angle:+.1f}°")
    record(into, [(source, one) for (source, _), one in zip(pairs, done, strict=True)])
    turned = [(source, one) for (source, _), one in zip(pairs, done, strict=True) if one.angle]
    if turned:
        answer(str(write_before_after(into, turned)))
