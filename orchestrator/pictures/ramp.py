"""Drawing a ramp: every setting with the same seeds, kept as a picture set that can be picked from."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import picture_files, read_json, write_json
from orchestrator.pictures import keeping
from orchestrator.pictures.making import OnDone, Planned, draw, drawn_with
from orchestrator.pictures.prompt_ramps import Setting, ramp_name
from orchestrator.pictures.recipes import find_loras, make_recipe
from orchestrator.pictures.sources import Source
from orchestrator.profile.model import Profile
from orchestrator.render.engine import Picture, Renderer
from orchestrator.workspace import Workspace

#: What `made_by` says in the manifest of a ramp.
MADE_BY = "ramp"
#: A1111's own random seeds lie below this.
_RANDOM_BELOW = 2**32 - 2


@dataclass(frozen=True)
class Ramp:
    """What to draw: `settings` × `sources` (none = from nothing) × `seeds`, the seeds changing fastest."""

    name: str
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    sources: tuple[Source, ...] = ()

    @property
    def ramps_denoise(self) -> bool:
        """Whether pictures are redrawn with several strengths: the face may become another one on the way."""
        return bool(self.sources) and len({setting.denoise for setting in self.settings}) > 1

    @property
    def places(self) -> list[tuple[int, int | None, int]]:
        """Number of the setting, number of the source (None = from nothing) and seed of every picture, in their
        order.
        """
        starts = range(len(self.sources)) if self.sources else (None,)
        return [
            (setting, source, seed) for setting in range(len(self.settings)) for source in starts for seed in self.seeds
        ]


@dataclass(frozen=True)
class DrawnRamp:
    """A ramp that was drawn. `pictures` are in the order of `ramp.places`; picture n is file n+1 of the set.

    `alone`: for each of them what its prompt and seed draw without a source; empty where no denoise is ramped. They are
    no part of the set.
    """

    ramp: Ramp
    folder: Path
    pictures: tuple[Picture, ...]
    alone: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


def plan_ramp(
    profile: Profile,
    workspace: Workspace,
    settings: Sequence[Setting],
    sources: Sequence[Source],
    *,
    seeds: int,
    first_seed: int | None = None,
    name: str = "",
) -> Ramp:
    """Where the ramp is kept and which seeds it has.

    Without a `first_seed` it is the one the same ramp was drawn with before, or a random one; the others follow it.
    Without a `name` it is called after what is ramped. Raises `InputError` for a name that something else has, or seeds
    beyond what A1111 takes.
    """
    settings = [replace(setting, prompt=profile.fill(setting.prompt)) for setting in settings]
    plan = _fingerprint(profile, settings, sources)
    if name:
        problem = _occupied(profile, workspace, name, plan)
        if problem:
            raise InputError(problem, fix="Give the ramp another --name.")
    else:
        base = ramp_name(settings)
        names = (base if number == 1 else f"{base} {number}" for number in range(1, 10_000))
        name = next(each for each in names if not _occupied(profile, workspace, each, plan))
    recorded = _manifest(workspace.picture_set(name)).get("first_seed")
    if first_seed is None:
        first_seed = recorded if isinstance(recorded, int) else secrets.randbelow(_RANDOM_BELOW - seeds)
    if first_seed + seeds > 2**63:
        raise InputError("The last seed would be larger than A1111 takes.", fix="Give a smaller --first-seed.")
    return Ramp(name, tuple(settings), tuple(range(first_seed, first_seed + seeds)), tuple(sources))


def plan_pictures(profile: Profile, renderer: Renderer, ramp: Ramp) -> list[Planned]:
    """Every picture of the ramp, in the order of `Ramp.places`. Raises `InputError` for a LoRA that A1111 has not."""
    listed = renderer.server.client.loras() if any(setting.loras for setting in ramp.settings) else []
    loras = [find_loras(setting.loras, listed) for setting in ramp.settings]
    sizes = [source.size(profile.generation) for source in ramp.sources]
    planned = []
    for number, start, seed in ramp.places:
        setting = ramp.settings[number]
        recipe = make_recipe(profile, renderer.server, setting.prompt, seed, loras[number])
        source = None if start is None else ramp.sources[start]
        if source is not None and start is not None:
            recipe = recipe.evolve(
                init_sha256=source.sha256,
                init_path=source.path,
                denoising_strength=setting.denoise,
                width=sizes[start][0],
                height=sizes[start][1],
            )
        planned.append(Planned(recipe, source, {"setting": setting.label, "values": dict(setting.values)}))
    return planned


def plan_alone(ramp: Ramp, planned: Sequence[Planned]) -> list[Planned]:
    """For each picture of a denoise ramp the one of its prompt and seed without a source; equal ones are drawn once."""
    if not ramp.ramps_denoise:
        return []
    bare = {"init_sha256": "", "init_path": None, "denoising_strength": None}
    return [Planned(one.recipe.evolve(**bare), None) for one in planned if one.recipe is not None]


def draw_ramp(
    profile: Profile, workspace: Workspace, renderer: Renderer, ramp: Ramp, on_done: OnDone | None = None
) -> DrawnRamp:
    """Draw what the cache does not have, and keep everything as the picture set `ramp.name`.

    The seeds are written down before anything is drawn, so that the same command goes on with them. Raises what
    `Renderer.render` raises.
    """
    folder = workspace.picture_set(ramp.name)
    before = keeping.read_before(folder)
    planned = plan_pictures(profile, renderer, ramp)
    every_lora = {lora.name: lora for setting in ramp.settings for lora in setting.loras}
    head: dict[str, Any] = {
        "set": ramp.name,
        "made_by": MADE_BY,
        "plan": _fingerprint(profile, ramp.settings, ramp.sources),
        "first_seed": ramp.seeds[0],
        "seeds": len(ramp.seeds),
        "drawn_with": drawn_with(list(every_lora.values()), renderer, before),
        "complete": False,
        "notes": [],
    }
    recorded = _manifest(folder)
    same_plan = all(recorded.get(key) == head[key] for key in ("plan", "first_seed", "seeds", "drawn_with"))
    if not recorded:
        write_json(folder / keeping.MANIFEST, {**head, "pictures": []})
    pictures = draw(renderer, [one.recipe for one in planned if one.recipe is not None], on_done)
    alone = renderer.render([one.recipe for one in plan_alone(ramp, planned) if one.recipe is not None])
    entries = [one.entry for one in planned]
    stands = keeping.standing(folder, before, entries, same_plan=same_plan)
    made: list[tuple[keeping.Entry | None, Path | None]] = [
        (stays, None) if stays is not None else (None, None) if picture.error else (entry, picture.path)
        for picture, entry, stays in zip(pictures, entries, stands, strict=True)
    ]
    complete = not any(picture.error for picture in pictures)
    notes = keeping.write_set(folder, before, made, {**head, "complete": complete})
    return DrawnRamp(ramp, folder, tuple(pictures), tuple(alone), notes)


def refuse_drawn_over(profile: Profile, workspace: Workspace, name: str, made_by: str) -> None:
    """Raise `InputError` where a set `name` made by this command would take the place of something else."""
    if profile.picture_set(name) is not None:
        raise InputError(
            f"{name!r} is a picture set of the profile.",
            fix="`orchestrator pictures make` makes it; name another set here.",
        )
    folder = workspace.picture_set(name)
    manifest = _manifest(folder)
    if manifest.get("made_by", made_by) != made_by or (not manifest and picture_files(folder)):
        raise InputError(f"There are other pictures in {folder}.", fix="Name another set.")


def _occupied(profile: Profile, workspace: Workspace, name: str, plan: str) -> str:
    """Why a ramp of this plan cannot be kept as `name`; empty = it can."""
    try:
        refuse_drawn_over(profile, workspace, name, MADE_BY)
    except InputError as error:
        return error.what
    manifest = _manifest(workspace.picture_set(name))
    return f"The set {name!r} holds another ramp." if manifest and manifest.get("plan") != plan else ""


def _manifest(folder: Path) -> dict[str, Any]:
    found = read_json(folder / keeping.MANIFEST)
    return found if isinstance(found, dict) else {}


def _fingerprint(profile: Profile, settings: Sequence[Setting], sources: Sequence[Source]) -> str:
    """Everything but the seeds and the server that decides the ramp, as one hash."""
    if not settings:
        raise WorkspaceError("A ramp needs at least one setting.")
    decides = [
        [[setting.prompt, [lora.model_dump() for lora in setting.loras], setting.denoise] for setting in settings],
        profile.generation.model_dump(mode="json"),
        profile.base.model_dump(mode="json"),
        [source.sha256 for source in sources],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()
