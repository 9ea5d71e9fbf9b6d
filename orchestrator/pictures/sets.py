"""Making one picture set and its manifest.

A set is a folder `pictures/<name>/` with 0001.png … and manifest.json, which says where each picture came from. A
complete set whose plan has not changed is left alone; of any other, only what is missing or asked for differently is
made, and what a person deleted or retouched stays so (see `keeping`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import WorkspaceError
from orchestrator.files import picture_files
from orchestrator.pictures import keeping, sources
from orchestrator.pictures.identity_floor import refuse_strangers
from orchestrator.pictures.making import MadeSet, OnDone, Planned, drawn_with, make_planned
from orchestrator.pictures.recipes import find_loras, make_recipe
from orchestrator.pictures.sources import Source
from orchestrator.profile.model import PictureSet, Profile
from orchestrator.render.engine import Renderer
from orchestrator.workspace import Workspace

#: Fields of a set that profiles did not have once. While they say nothing, sets made before them have the same plan.
_LATER = ("seeds_each", "mask", "mask_blur", "batch_size", "alwayson_scripts", "picked", "corners", "identity_floor")


def make_set(
    profile: Profile,
    picture_set: PictureSet,
    workspace: Workspace,
    renderer: Renderer | None,
    on_done: OnDone | None = None,
    *,
    given: Sequence[Source] | None = None,
    made_by: str = "make",
) -> MadeSet:
    """Make `picture_set`, or leave it alone when it is complete and its plan is the same.

    `renderer` may be None for a set that draws nothing. `given` replaces the pictures of its source set; `made_by` is
    the command that asks. Raises `WorkspaceError` when its source set is not made yet or nothing was picked into it,
    and what `Renderer.render` raises.
    """
    folder = workspace.picture_set(picture_set.name)
    if picture_set.picked:
        return _picked(picture_set, folder)
    start = sources.of_set(picture_set, workspace) if given is None else list(given)
    before = keeping.read_before(folder)
    with_these = drawn_with(picture_set.loras, renderer, before) if picture_set.prompt else {}
    plan = _fingerprint(profile, picture_set, start, _mask(picture_set, workspace))
    same_plan = before.plan == plan and before.drawn_with == with_these
    if same_plan and before.complete:
        return MadeSet(picture_set.name, folder, tuple(picture_files(folder)), drawn=0, notes=before.notes)
    notes: list[str] = []
    # Without the extra the set is made all the same, and tried again each time until it can be straightened.
    could_straighten = True
    if picture_set.straighten:
        start, could_straighten = sources.straightened(start, workspace.cache, notes, picture_set.corners)
    if not picture_set.prompt:
        planned = [Planned(None, source) for source in start]
    elif renderer is None:
        raise WorkspaceError(f"The picture set {picture_set.name!r} must be drawn, and there is no server to draw it.")
    else:
        planned = plan_pictures(profile, picture_set, workspace, renderer, start)
    if picture_set.corners == "outpaint":
        # What was upright already has no corners to draw, and goes on as it is.
        planned = [one if one.source and one.source.mask else Planned(None, one.source, one.about) for one in planned]
    head = {"set": picture_set.name, "made_by": made_by, "plan": plan, "drawn_with": with_these, "notes": notes}
    made = make_planned(
        picture_set.name,
        folder,
        planned,
        head,
        renderer,
        on_done,
        before=before,
        same_plan=same_plan,
        whole=could_straighten,
    )
    return made if picture_set.identity_floor is None else _without_strangers(picture_set, made, planned, workspace)


def _without_strangers(
    picture_set: PictureSet, made: MadeSet, planned: Sequence[Planned], workspace: Workspace
) -> MadeSet:
    there = {path.name: path for path in made.pictures}
    pairs = [
        (one.source.path, there[keeping.file_name(index)])
        for index, one in enumerate(planned)
        if one.recipe is not None and one.source is not None and keeping.file_name(index) in there
    ]
    refused, notes = refuse_strangers(made.folder, picture_set.identity_floor or 0.0, pairs, workspace.cache)
    pictures = tuple(picture_files(made.folder))
    return replace(made, pictures=pictures, notes=(*made.notes, *notes), refused=tuple(refused))


def plan_pictures(
    profile: Profile,
    picture_set: PictureSet,
    workspace: Workspace,
    renderer: Renderer,
    start: Sequence[Source],
) -> list[Planned]:
    """Every picture of a set that is drawn, in its order."""
    loras = find_loras(picture_set.loras, renderer.server.client.loras() if picture_set.loras else [])
    mask = _mask(picture_set, workspace)
    scripts = scripts_text(picture_set)
    sizes = [source.size(profile.generation) for source in start]
    planned = []
    for place in _places(picture_set, len(start)):
        prompt = f"{picture_set.prompt}, {place.change}" if place.change else picture_set.prompt
        recipe = make_recipe(profile, renderer.server, prompt, place.seed, loras).evolve(
            batch_size=place.batch_size, batch_position=place.batch_position, alwayson_scripts=scripts
        )
        source = start[place.source] if start else None
        if source:
            width, height = sizes[place.source]
            recipe = recipe.evolve(
                init_sha256=source.sha256,
                init_path=source.path,
                denoising_strength=picture_set.denoising_strength,
                width=width,
                height=height,
            )
        own_mask = (source.mask, sources.mask_hash(source.mask)) if source and source.mask else mask
        if own_mask:
            recipe = recipe.evolve(mask_sha256=own_mask[1], mask_path=own_mask[0], mask_blur=picture_set.mask_blur)
        planned.append(Planned(recipe, source, {"change": place.change or None}))
    return planned


def scripts_text(picture_set: PictureSet) -> str:
    """What goes to the webui's extensions, as a recipe holds it."""
    return json.dumps(picture_set.alwayson_scripts, sort_keys=True) if picture_set.alwayson_scripts else ""


def planned_pictures(picture_set: PictureSet, sources: int) -> int:
    """How many pictures a set has that starts from so many; 0 for one that is picked by hand."""
    if picture_set.picked or not (sources or (picture_set.prompt and not picture_set.source)):
        return 0
    if not picture_set.prompt:
        return sources
    return sum(1 for _ in _places(picture_set, sources))


@dataclass(frozen=True)
class _Place:
    """One picture: number of its source, words added, seed, and where it stands in its batch."""

    source: int
    change: str
    seed: int
    batch_size: int
    batch_position: int


def _places(picture_set: PictureSet, sources: int) -> Iterator[_Place]:
    first, changes = picture_set.first_seed, picture_set.changes or ("",)
    if picture_set.seeds_each:
        for source in range(max(1, sources)):
            for change in changes:
                for index in range(picture_set.seeds_each):
                    batch = _batch(index, picture_set.seeds_each, picture_set.batch_size)
                    yield _Place(source, change, first + index, *batch)
        return
    count = picture_set.count or sources
    for index in range(count):
        batch = _batch(index, count, picture_set.batch_size)
        yield _Place(index % max(1, sources), changes[index % len(changes)], first + index, *batch)


def _batch(index: int, count: int, size: int) -> tuple[int, int]:
    """Size and place of the batch that holds picture `index` of `count`; the last batch may be smaller."""
    start = index - index % size
    return min(size, count - start), index - start


def _mask(picture_set: PictureSet, workspace: Workspace) -> tuple[Path, str] | None:
    if not picture_set.mask:
        return None
    path = workspace.root / Path(picture_set.mask).expanduser()
    return path, sources.mask_hash(path)


def _picked(picture_set: PictureSet, folder: Path) -> MadeSet:
    pictures = tuple(picture_files(folder))
    if not pictures:
        name = json.dumps(picture_set.name, ensure_ascii=False)
        raise WorkspaceError(
            f"Nothing was picked into the picture set {picture_set.name!r} yet.",
            fix=f"Pick: orchestrator pictures pick SET 3 7-9 --into {name}",
        )
    return MadeSet(picture_set.name, folder, pictures, drawn=0)


def _fingerprint(
    profile: Profile, picture_set: PictureSet, start: Sequence[Source], mask: tuple[Path, str] | None
) -> str:
    """Everything in the profile and the sources that decides the set, as one hash.

    The trigger counts only as far as it stands in the prompt.
    """
    decides = [
        _said(picture_set),
        profile.fill(picture_set.prompt),
        profile.generation.model_dump(mode="json"),
        profile.base.model_dump(mode="json"),
        [source.sha256 for source in start],
        *([mask[1]] if mask else []),
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()


def _said(picture_set: PictureSet) -> Mapping[str, Any]:
    everything = picture_set.model_dump(mode="json")
    silent = PictureSet(name=picture_set.name, picked=True).model_dump(mode="json") | {"picked": False}
    return {name: value for name, value in everything.items() if name not in _LATER or value != silent[name]}
