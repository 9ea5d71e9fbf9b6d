"""profile → pictures: sets, variations, ramps, their sheets."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.pipeline.progress import OnProgress, counter, named, quiet

if TYPE_CHECKING:
    from orchestrator.evaluation.ramp import RampResult
    from orchestrator.pictures.making import MadeSet
    from orchestrator.pictures.price import Price
    from orchestrator.pictures.ramp import Ramp
    from orchestrator.pictures.sources import Source
    from orchestrator.profile.model import Expectation, PictureSet, Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.workspace import Workspace


def make_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    *,
    only: Iterable[str] = (),
    on_progress: OnProgress = quiet,
) -> list[MadeSet]:
    """profile → pictures: make the picture sets (all, or those named), in the profile's order."""
    from orchestrator.pictures.sets import make_set

    wanted = named([s.name for s in profile.pictures], only, "picture set")
    made = []
    for picture_set in profile.pictures:
        if picture_set.name in wanted:
            what = f"pictures: {picture_set.name}"
            done = functools.partial(on_progress, what)
            made.append(_refused_shown(make_set(profile, picture_set, workspace, renderer, done)))
    return made


def _refused_shown(made: MadeSet) -> MadeSet:
    """Draw the sheet of what was set aside, and say where it is."""
    if not made.refused:
        return made
    from orchestrator.grid.before_after import write_refused

    sheet = write_refused(made.folder, made.name, made.refused)
    return dataclasses.replace(made, notes=(*made.notes, f"they stand beside their sources on {sheet}"))


def price_pictures(
    profile: Profile, workspace: Workspace, renderer: Renderer, *, only: Iterable[str] = ()
) -> tuple[int, Price]:
    """How many of the profile's picture sets (all, or those named) are not made yet, and what they cost together.

    Pictures of sets whose source is not made yet count as not made.
    """
    from orchestrator.pictures.price import price_set, together
    from orchestrator.pictures.sets import planned_pictures

    wanted = named([s.name for s in profile.pictures], only, "picture set")
    planned: dict[str, int] = {}
    prices = []
    for picture_set in profile.pictures:
        of_source = planned.get(picture_set.source, 0)
        planned[picture_set.name] = planned_pictures(picture_set, of_source)
        if picture_set.name in wanted:
            prices.append(price_set(profile, picture_set, workspace, renderer, of_source))
    return sum(bool(one.to_draw) for one in prices), together(prices)


def vary_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    picture_set: PictureSet,
    sources: Sequence[Source],
    *,
    on_progress: OnProgress = quiet,
) -> MadeSet:
    """pictures → pictures: `sources` × changes × seeds as the set that `picture_set` describes, which is not in the
    profile.
    """
    from orchestrator.pictures.ramp import refuse_drawn_over
    from orchestrator.pictures.sets import make_set

    refuse_drawn_over(profile, workspace, picture_set.name, "vary")
    what = f"pictures: {picture_set.name}"
    done = functools.partial(on_progress, what)
    return _refused_shown(make_set(profile, picture_set, workspace, renderer, done, given=sources, made_by="vary"))


def ramp_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    ramp: Ramp,
    *,
    expects: Expectation | None = None,
    on_progress: OnProgress = quiet,
) -> tuple[RampResult, Path]:
    """Draw a ramp, count its hits, mark where img2img loses the person, and draw its contact sheet."""
    from orchestrator.evaluation.evaluate import workspace_eyes
    from orchestrator.evaluation.ramp import look_at_ramp
    from orchestrator.evaluation.ramp_sheet import write_ramp_sheet
    from orchestrator.files import picture_files
    from orchestrator.pictures.ramp import draw_ramp

    drawn = draw_ramp(profile, workspace, renderer, ramp, functools.partial(on_progress, f"pictures: {ramp.name}"))
    # The other pictures of the set a source lies in show the same person.
    folders = dict.fromkeys(source.path.parent for source in ramp.sources)
    sets = workspace.picture_set(ramp.name).parent
    siblings = [path for folder in folders if folder.parent == sets for path in picture_files(folder)]
    given = {source.path for source in ramp.sources}
    looked_at = sum(not picture.error for picture in drawn.pictures)
    result = look_at_ramp(
        drawn,
        workspace_eyes(workspace, renderer.server.client),
        expects=expects,
        same_person=[path for path in siblings if path not in given],
        simulated=renderer.server.simulated,
        on_looked=counter(on_progress, f"look for {expects}", looked_at) if expects else None,
    )
    return result, write_ramp_sheet(result, workspace)


def picture_sheet(workspace: Workspace, name: str, *, columns: int = 0) -> Path:
    """Draw the contact sheet of a picture set; of a ramp, with its settings and what was seen. Returns the PNG."""
    from orchestrator.evaluation.ramp import read_ramp
    from orchestrator.evaluation.ramp_sheet import write_ramp_sheet
    from orchestrator.grid.set_sheet import write_set_sheet

    folder = workspace.picture_set(name)
    ramp = read_ramp(folder)
    return write_set_sheet(folder, columns=columns) if ramp is None else write_ramp_sheet(ramp, workspace)
