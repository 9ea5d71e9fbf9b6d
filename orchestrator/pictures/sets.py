"""Making one picture set and its manifest.

A set is a folder `pictures/<name>/` with 0001.png … and manifest.json, which says where each picture came from. A
complete set whose plan has not changed is left alone; of any other, only what is missing or asked for differently is
made, and what a person deleted or retouched stays so (see `keeping`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, MissingExtra, WorkspaceError
from orchestrator.files import picture_files, sha256_file
from orchestrator.pictures import keeping
from orchestrator.pictures.recipes import find_loras, make_recipe
from orchestrator.profile.model import PictureSet, Profile
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.workspace import Workspace

OnDone = Callable[[int, int], None]


@dataclass(frozen=True)
class MadeSet:
    """A picture set on disk. `failed` holds one sentence per picture that could not be made; `notes` what else to
    know.
    """

    name: str
    folder: Path
    pictures: tuple[Path, ...]
    drawn: int
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """A picture to start from, and how it was turned upright. `sha256` is of `path`, `original_sha256` of the source
    set's own file.
    """

    path: Path
    sha256: str
    original_sha256: str
    origin: str
    straightened_deg: float | None


def make_set(
    profile: Profile,
    picture_set: PictureSet,
    workspace: Workspace,
    renderer: Renderer | None,
    on_done: OnDone | None = None,
) -> MadeSet:
    """Make `picture_set`, or leave it alone when it is complete and its plan is the same.

    `renderer` may be None for a set that draws nothing. Raises `WorkspaceError` when its source set is not made yet,
    and what `Renderer.render` raises.
    """
    folder = workspace.picture_set(picture_set.name)
    sources = _sources(picture_set, workspace)
    before = keeping.read_before(folder)
    drawn_with = _drawn_with(picture_set, renderer, before)
    plan = _fingerprint(profile, picture_set, sources)
    same_plan = before.plan == plan and before.drawn_with == drawn_with
    if same_plan and before.complete:
        return MadeSet(picture_set.name, folder, tuple(picture_files(folder)), drawn=0, notes=before.notes)
    notes: list[str] = []
    # Without the extra the set is made all the same, and tried again each time until it can be straightened.
    could_straighten = True
    if picture_set.straighten:
        sources, could_straighten = _straightened(sources, workspace.cache, notes)
    made: list[tuple[keeping.Entry | None, Path | None]]
    failed: tuple[str, ...] = ()
    drawn = 0
    if picture_set.prompt:
        if renderer is None:
            raise WorkspaceError(
                f"The picture set {picture_set.name!r} must be drawn, and there is no server to draw it."
            )
        recipes, origins = _recipes(profile, picture_set, renderer, sources)
        planned = [_entry(recipe, origin) for recipe, origin in zip(recipes, origins, strict=True)]
        stands = keeping.standing(folder, before, planned, same_plan=same_plan)
        wanted = [recipe for recipe, entry in zip(recipes, stands, strict=True) if entry is None]
        pictures = _draw(renderer, wanted, on_done)
        failed = tuple(f"seed {picture.recipe.seed}: {picture.error}" for picture in pictures if picture.error)
        drawn = sum(not picture.cached and not picture.error for picture in pictures)
        by_seed = {picture.recipe.seed: picture.path for picture in pictures if not picture.error}
        made = [
            (stays, None) if stays else (entry, path) if (path := by_seed.get(entry["seed"])) else (None, None)
            for stays, entry in zip(stands, planned, strict=True)
        ]
    else:
        planned = [_entry(None, source) for source in sources]
        stands = keeping.standing(folder, before, planned, same_plan=same_plan)
        made = [
            (stays, None) if stays else (entry, source.path)
            for stays, entry, source in zip(stands, planned, sources, strict=True)
        ]
    head = {
        "set": picture_set.name,
        "plan": plan,
        "drawn_with": drawn_with,
        "complete": could_straighten and not failed,
        "notes": notes,
    }
    notes += keeping.write_set(folder, before, made, head)
    return MadeSet(picture_set.name, folder, tuple(picture_files(folder)), drawn, failed, tuple(notes))


def _sources(picture_set: PictureSet, workspace: Workspace) -> list[_Source]:
    if not picture_set.source:
        return []
    folder = workspace.picture_set(picture_set.source)
    found = [
        _Source(path, digest, digest, f"{picture_set.source}/{path.name}", None)
        for path, digest in ((path, sha256_file(path)) for path in picture_files(folder))
    ]
    if not found:
        raise WorkspaceError(
            f"The picture set {picture_set.name!r} starts from {picture_set.source!r}, which has no pictures yet.",
            fix=f"Make it first: orchestrator pictures make {json.dumps(picture_set.source, ensure_ascii=False)}",
        )
    return found


def _drawn_with(picture_set: PictureSet, renderer: Renderer | None, before: keeping.Before) -> Mapping[str, Any]:
    """What else decides the pictures of a set that is drawn: checkpoint, VAE and LoRA files, by their content.

    What cannot be known now (no server; a LoRA that A1111 no longer has) is taken to be as it was. If the set then
    turns out to need drawing, that is when it is refused.
    """
    if not picture_set.prompt:
        return {}
    if renderer is None:
        return before.drawn_with
    server = renderer.server
    loras: list[str] | None = before.drawn_with.get("loras")
    with contextlib.suppress(InputError):
        found = find_loras(picture_set.loras, server.client.loras() if picture_set.loras else [])
        loras = [use.sha256 for use in found]
    return {
        "checkpoint_hash": server.checkpoint_hash,
        "vae": server.vae,
        "vae_hash": server.vae_hash,
        "loras": loras,
    }


def _fingerprint(profile: Profile, picture_set: PictureSet, sources: Sequence[_Source]) -> str:
    """Everything in the profile and the sources that decides the set, as one hash.

    The trigger counts only as far as it stands in the prompt.
    """
    decides = [
        picture_set.model_dump(mode="json"),
        profile.fill(picture_set.prompt),
        profile.generation.model_dump(mode="json"),
        profile.base.model_dump(mode="json"),
        [source.sha256 for source in sources],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()


def _straightened(sources: Sequence[_Source], cache: Path, notes: list[str]) -> tuple[list[_Source], bool]:
    """The sources turned upright, and whether that can be done here; when not, as they are."""
    from orchestrator.pictures.straighten import straighten_files

    targets = [cache / "straightened" / f"{source.sha256}.png" for source in sources]
    try:
        done = straighten_files([(s.path, t) for s, t in zip(sources, targets, strict=True)], cache)
    except MissingExtra as error:
        notes.append(f"not straightened: {error.fix}")
        return list(sources), False
    unknown = sum(one.angle is None for one in done)
    if unknown:
        notes.append(f"{unknown} of {len(done)} not straightened: no face was found in them")
    upright = [
        _Source(one.path, sha256_file(one.path), source.sha256, source.origin, one.angle) if one.angle else source
        for source, one in zip(sources, done, strict=True)
    ]
    return upright, True


def _recipes(
    profile: Profile, picture_set: PictureSet, renderer: Renderer, sources: Sequence[_Source]
) -> tuple[list[Recipe], list[_Source | None]]:
    listed = renderer.server.client.loras() if picture_set.loras else []
    loras = find_loras(picture_set.loras, listed)
    recipes: list[Recipe] = []
    origins: list[_Source | None] = []
    for index in range(picture_set.count or len(sources)):
        change = picture_set.changes[index % len(picture_set.changes)] if picture_set.changes else ""
        prompt = f"{picture_set.prompt}, {change}" if change else picture_set.prompt
        recipe = make_recipe(profile, renderer.server, prompt, picture_set.first_seed + index, loras)
        origin = sources[index % len(sources)] if sources else None
        if origin:
            recipe = recipe.evolve(
                init_sha256=origin.sha256, init_path=origin.path, denoising_strength=picture_set.denoising_strength
            )
        recipes.append(recipe)
        origins.append(origin)
    return recipes, origins


def _draw(renderer: Renderer, recipes: Sequence[Recipe], on_done: OnDone | None) -> list[Picture]:
    done = 0

    def count(picture: Picture) -> None:
        nonlocal done
        done += 1
        if on_done:
            on_done(done, len(recipes))

    return renderer.render(recipes, count)


def _entry(recipe: Recipe | None, origin: _Source | None) -> dict[str, Any]:
    """What the manifest says of a picture of the plan, but for its file."""
    return {
        "recipe_key": recipe.key if recipe else None,
        "recipe": recipe.to_dict() if recipe else None,
        "seed": recipe.seed if recipe else None,
        "source": origin.origin if origin else None,
        "source_sha256": origin.original_sha256 if origin else None,
        "straightened_deg": origin.straightened_deg if origin else None,
    }
