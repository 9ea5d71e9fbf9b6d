"""`orchestrator pictures vary` and `orchestrator pictures ramp`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.options import Urls, json_option, open_workspace, server_option, workspace_option

if TYPE_CHECKING:
    from orchestrator.evaluation.ramp import RampResult
    from orchestrator.profile.model import Corners

#: As the profile's rounds may expect; spelt out because the profile's models cost a fifth of a second to import. A test
#: holds them together.
EXPECTATIONS = (
    "hand raised",
    "arms crossed",
    "hand on hip",
    "smile",
    "looking up",
    "close-up",
    "upper body",
    "full body",
)
_yes = click.option("--yes", is_flag=True, help="Draw even what takes more than an hour.")
_SEED = click.IntRange(0, 2**63 - 1)


@click.command("vary")
@click.argument("sources", nargs=-1, required=True, metavar="SET|FOLDER|FILE…")
@click.option("--prompt", default="", help="{trigger} and <lora:NAME:WEIGHT> may stand in it. [default: the set's own]")
@click.option("--change", "changes", multiple=True, metavar="WORDS", help="Added to the prompt; give it several times.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="For each picture and change."
)
@click.option("--first-seed", type=_SEED, default=1, show_default=True, help="The others follow.")
@click.option(
    "--denoise",
    type=click.FloatRange(0, 1),
    default=0.45,
    show_default=True,
    help="How far a variation may leave its source.",
)
@click.option("--mask", type=click.Path(path_type=Path, dir_okay=False), help="Only its white part is drawn anew.")
@click.option("--straighten", is_flag=True, help="Turn the faces upright first.")
@click.option(
    "--corners",
    type=click.Choice(["crop", "reflect", "outpaint"]),
    default="crop",
    show_default=True,
    help="With --straighten: cropped away, filled with the mirrored picture, or drawn anew.",
)
@click.option(
    "--floor", metavar="LIKENESS", help="Set aside who is less like its source: 0 to 1, or own. [default: nobody]"
)
@click.option("--into", "name", metavar="NAME", default="", help="The new set. [default: SET varied]")
@workspace_option
@server_option
@_yes
@json_option
def vary(
    sources: tuple[str, ...],
    prompt: str,
    changes: tuple[str, ...],
    seeds: int,
    first_seed: int,
    denoise: float,
    mask: Path | None,
    straighten: bool,
    corners: Corners,
    floor: str | None,
    name: str,
    folder: Path,
    url: Urls,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a picture set from pictures by img2img: every picture × every change × every seed.

    In lora.toml the same is a [[pictures]] with `source`, `changes` and `seeds_each`, which `pictures make` remakes.

    \b
    Example:  orchestrator pictures vary "close-up" --change smile --change "red sweater" --seeds 2
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, leave_failed, many, note, progress
    from orchestrator.cli.servers import open_servers
    from orchestrator.pictures import sources as starting
    from orchestrator.pictures.price import price, refuse_dear
    from orchestrator.pictures.sets import plan_pictures
    from orchestrator.pictures.varying import variation_set
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    given = starting.given(sources, workspace)
    asked = variation_set(
        profile,
        sources,
        prompt=prompt,
        changes=changes,
        seeds=seeds,
        first_seed=first_seed,
        denoise=denoise,
        mask=mask,
        straighten=straighten,
        corners=corners,
        identity_floor=_floor(floor),
        name=name,
    )
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        if asked.prompt:
            planned = plan_pictures(profile, asked, workspace, renderer, given)
            cost = price(planned, workspace.picture_set(asked.name), renderer.cache)
            what = " × ".join((many(len(given), "picture"), many(len(changes) or 1, "change"), many(seeds, "seed")))
            if not yes:
                refuse_dear(cost, what)
            note(f"{what} = {cost}")
        made = pipeline.vary_pictures(profile, workspace, renderer, asked, given, on_progress=on_progress)
    if as_json:
        answer_json(made.to_dict())
    else:
        answer(f"{made.name}: {len(made.pictures)} pictures in {made.folder}")
        for sentence in (*made.notes, *made.failed):
            note(f"  {sentence}")
    leave_failed(len(made.failed))


def _floor(text: str | None) -> float | Literal["own"] | None:
    if text is None:
        return None
    if text.strip().lower() == "own":
        return "own"
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter("a number from 0 to 1, or own", param_hint="--floor") from None


@click.command("ramp")
@click.option("--prompt", required=True, help="With ranges: (looking up:1.1…2.4), <lora:NAME:0.4…1.0>. [.. will do]")
@click.option("--step", metavar="NUMBER", help="Between two values of a range. [default: about eight round values]")
@click.option("--count", type=click.IntRange(2, 1000), help="Values of a range, instead of --step.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=8, show_default=True, help="The same for all settings.")
@click.option("--first-seed", type=_SEED, help="The others follow. [default: random, and written down]")
@click.option("--source", "sources", multiple=True, metavar="SET|FOLDER|FILE", help="Start from pictures (img2img).")
@click.option("--denoise", metavar="RANGE", help="With --source: how far to leave it, as 0.2…0.8. [default: 0.45]")
@click.option("--expects", type=click.Choice(EXPECTATIONS), help="Count the pictures that show this.")
@click.option("--name", default="", help="The picture set it becomes. [default: ramp and what is ramped]")
@workspace_option
@server_option
@_yes
@json_option
def ramp(
    prompt: str,
    step: str | None,
    count: int | None,
    seeds: int,
    first_seed: int | None,
    sources: tuple[str, ...],
    denoise: str | None,
    expects: str | None,
    name: str,
    folder: Path,
    url: Urls,
    yes: bool,
    as_json: bool,
) -> None:
    """Compare weights in a prompt, or denoising strengths, on the same seeds.

    Several ranges are combined. With --expects each setting gets the share of its pictures that show it, and how sure
    that is; ramped denoise is marked where the face becomes another one. The pictures become a set to pick from, with a
    contact sheet. The same command goes on with, and keeps to, the seeds of the first time.

    \b
    Example:  orchestrator pictures ramp --prompt "<lora:ai_model_v2-000040:1>, ai_model_v2, (looking up:1.1…2.4)"
              --seeds 12 --expects "looking up"
    Example:  orchestrator pictures ramp --source "close-up" --prompt "{trigger}, close-up" --denoise 0.2…0.8 --seeds 1
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, leave_failed, many, note, progress
    from orchestrator.cli.servers import open_servers
    from orchestrator.pictures import sources as starting
    from orchestrator.pictures.price import price, refuse_dear
    from orchestrator.pictures.prompt_ramps import parse_prompt, parse_range, parse_step
    from orchestrator.pictures.ramp import plan_alone, plan_pictures, plan_ramp
    from orchestrator.settings import load_settings

    if step and count:
        raise click.UsageError("Give --step or --count, not both.")
    if denoise and not sources:
        raise click.UsageError("--denoise needs a --source to start from.")
    workspace, profile = open_workspace(folder)
    given = starting.given(sources, workspace) if sources else []
    strength = parse_range(denoise or "0.45", what="--denoise", low=0, high=1) if given else None
    settings = parse_prompt(prompt).settings(denoise=strength, step=parse_step(step) if step else None, count=count)
    asked = plan_ramp(profile, workspace, settings, given, seeds=seeds, first_seed=first_seed, name=name)
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        renderer = servers.renderer(profile, workspace)
        planned = plan_pictures(profile, renderer, asked)
        cost = price([*planned, *plan_alone(asked, planned)], workspace.picture_set(asked.name), renderer.cache)
        what = f"{many(len(settings), 'setting')} × {many(seeds, 'seed')}"
        what += f" × {many(len(given), 'source')}" if given else ""
        if not yes:
            refuse_dear(cost, what)
        note(f"{what} = {cost}")
        result, sheet = pipeline.ramp_pictures(
            profile,
            workspace,
            renderer,
            asked,
            expects=expects,  # type: ignore[arg-type]  # click has checked it
            on_progress=on_progress,
        )
    if as_json:
        answer_json(result.to_dict() | {"sheet": str(sheet)})
    else:
        _tell(result)
        span = f"Seed {asked.seeds[0]}" if seeds == 1 else f"Seeds {asked.seeds[0]} to {asked.seeds[-1]}"
        answer(f"{span}; the same elsewhere: --first-seed {asked.seeds[0]}")
        answer(f"Sheet: {sheet}")
    leave_failed(result.failed)


def _tell(result: RampResult) -> None:
    from orchestrator.cli.console import answer, note, table
    from orchestrator.evaluation.ramp import grouped

    columns = ["setting", "drawn"]
    if result.expects:
        columns += [f"show {result.expects}", "rate", "lies between"]
    rows = []
    for setting in result.settings:
        row = [setting.label, str(setting.drawn) + (f", {setting.failed} failed" if setting.failed else "")]
        hits = setting.hits
        if hits is not None and hits.low is not None and hits.high is not None:
            row += [
                f"{hits.hits} of {hits.measured}",
                f"{hits.hits / hits.measured:.0%}",
                f"{hits.low:.0%} and {hits.high:.0%}",
            ]
        elif hits is not None:
            row += ["not measured", "", ""]
        rows.append(row)
    table(columns, rows)
    for sources, sentence in grouped(result.losses):
        answer(f"{sources}: {sentence}")
    for sentence in result.notes:
        note(sentence)
    for shot in result.shots:
        if shot.error:
            note(f"{shot.file} (seed {shot.seed}): {shot.error}")
