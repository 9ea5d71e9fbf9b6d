"""Making one picture set and its manifest.

A set is a folder `pictures/<name>/` with 0001.png … and manifest.json, which says where each picture came from. A
complete set whose plan has not changed is left alone, so that pictures a person has deleted from it stay deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import MissingExtra, WorkspaceError
from orchestrator.files import picture_files, read_json, sha256_file, write_bytes, write_json
from orchestrator.pictures.recipes import find_loras, make_recipe
from orchestrator.profile.model import PictureSet, Profile
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.workspace import Workspace

MANIFEST = "manifest.json"
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
    """A picture to start from, and how it was turned upright."""

    path: Path
    sha256: str
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
    plan = _fingerprint(profile, picture_set, sources)
    manifest = read_json(folder / MANIFEST)
    if isinstance(manifest, dict) and manifest.get("plan") == plan and manifest.get("complete"):
        return MadeSet(
            picture_set.name, folder, tuple(picture_files(folder)), drawn=0, notes=tuple(manifest.get("notes", ()))
        )
    notes: list[str] = []
    if picture_set.straighten:
        sources = _straightened(sources, workspace.cache, notes)
    if picture_set.prompt:
        if renderer is None:
            raise WorkspaceError(
                f"The picture set {picture_set.name!r} must be drawn, and there is no server to draw it."
            )
        recipes, origins = _recipes(profile, picture_set, renderer, sources)
        drawn = _draw(renderer, recipes, on_done)
        entries = [_entry(picture, origin) for picture, origin in zip(drawn, origins, strict=True) if not picture.error]
        failed = tuple(f"seed {picture.recipe.seed}: {picture.error}" for picture in drawn if picture.error)
        made = sum(not picture.cached and not picture.error for picture in drawn)
    else:
        entries = [_straight_entry(source) for source in sources]
        failed, made = (), 0
    paths = _write(folder, picture_set.name, plan, entries, notes, complete=not failed)
    return MadeSet(picture_set.name, folder, paths, made, failed, tuple(notes))


def _sources(picture_set: PictureSet, workspace: Workspace) -> list[_Source]:
    if not picture_set.source:
        return []
    folder = workspace.picture_set(picture_set.source)
    found = [
        _Source(path, sha256_file(path), f"{picture_set.source}/{path.name}", None) for path in picture_files(folder)
    ]
    if not found:
        raise WorkspaceError(
            f"The picture set {picture_set.name!r} starts from {picture_set.source!r}, which has no pictures yet.",
            fix=f"Make it first: orchestrator pictures make {json.dumps(picture_set.source, ensure_ascii=False)}",
        )
    return found


def _fingerprint(profile: Profile, picture_set: PictureSet, sources: Sequence[_Source]) -> str:
    """Everything that decides the set, as one hash. The trigger counts only as far as it stands in the prompt."""
    decides = [
        picture_set.model_dump(mode="json"),
        profile.fill(picture_set.prompt),
        profile.generation.model_dump(mode="json"),
        profile.base.model_dump(mode="json"),
        [source.sha256 for source in sources],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8")).hexdigest()


def _straightened(sources: Sequence[_Source], cache: Path, notes: list[str]) -> list[_Source]:
    from orchestrator.pictures.straighten import straighten_files

    targets = [cache / "straightened" / f"{source.sha256}.png" for source in sources]
    try:
        done = straighten_files([(s.path, t) for s, t in zip(sources, targets, strict=True)], cache)
    except MissingExtra as error:
        notes.append(f"not straightened: {error.fix}")
        return list(sources)
    unknown = sum(one.angle is None for one in done)
    if unknown:
        notes.append(f"{unknown} of {len(done)} not straightened: no face was found in them")
    return [
        _Source(one.path, sha256_file(one.path), source.origin, one.angle) if one.angle else source
        for source, one in zip(sources, done, strict=True)
    ]


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


def _entry(picture: Picture, origin: _Source | None) -> tuple[bytes, dict[str, Any]]:
    data = picture.path.read_bytes()
    return data, {
        "sha256": hashlib.sha256(data).hexdigest(),
        "recipe_key": picture.key,
        "recipe": picture.recipe.to_dict(),
        "seed": picture.recipe.seed,
        "source": origin.origin if origin else None,
        "straightened_deg": origin.straightened_deg if origin else None,
    }


def _straight_entry(source: _Source) -> tuple[bytes, dict[str, Any]]:
    return source.path.read_bytes(), {
        "sha256": source.sha256,
        "recipe_key": None,
        "recipe": None,
        "seed": None,
        "source": source.origin,
        "straightened_deg": source.straightened_deg,
    }


def _write(
    folder: Path,
    name: str,
    plan: str,
    entries: Sequence[tuple[bytes, dict[str, Any]]],
    notes: Sequence[str],
    *,
    complete: bool,
) -> tuple[Path, ...]:
    before = read_json(folder / MANIFEST)
    ours = {entry["file"]: entry["sha256"] for entry in before["pictures"]} if isinstance(before, dict) else {}
    paths: list[Path] = []
    listed: list[dict[str, Any]] = []
    for number, (data, entry) in enumerate(entries, start=1):
        path = folder / f"{number:04d}.png"
        # Its bytes lie in the cache as well.
        write_bytes(path, data, durable=False)
        paths.append(path)
        listed.append({"file": path.name, **entry})
    write_json(
        folder / MANIFEST, {"set": name, "plan": plan, "complete": complete, "notes": list(notes), "pictures": listed}
    )
    # What an earlier plan made and this one does not would silently get into the dataset. A person's own files stay.
    for file, sha256 in ours.items():
        path = folder / file
        if path not in paths and path.is_file() and sha256_file(path) == sha256:
            path.unlink()
    return tuple(paths)
