"""From a plan of pictures to a set on disk: what stands stays, what is missing is drawn, the manifest is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.files import picture_files
from orchestrator.pictures import keeping
from orchestrator.pictures.identity_floor import Refused
from orchestrator.pictures.recipes import find_loras
from orchestrator.pictures.sources import Source
from orchestrator.profile.model import UsedLora
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe

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
    #: Varied pictures that were set aside because they show somebody else.
    refused: tuple[Refused, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "set": self.name,
            "folder": str(self.folder),
            "pictures": [str(path) for path in self.pictures],
            "drawn": self.drawn,
            "failed": list(self.failed),
            "notes": list(self.notes),
            "refused": [{"file": str(one.path), "why": one.why} for one in self.refused],
        }


@dataclass(frozen=True)
class Planned:
    """One picture of a plan: drawn by `recipe`, or copied from `source` when there is none. `about` goes into its
    manifest entry: what was changed, which setting it shows.
    """

    recipe: Recipe | None
    source: Source | None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says of it, but for its file."""
        recipe, source = self.recipe, self.source
        return {
            "recipe_key": recipe.key if recipe else None,
            "recipe": recipe.to_dict() if recipe else None,
            "seed": recipe.seed if recipe else None,
            "source": source.origin if source else None,
            "source_sha256": source.original_sha256 if source else None,
            "straightened_deg": source.straightened_deg if source else None,
            **self.about,
        }


def make_planned(
    name: str,
    folder: Path,
    planned: Sequence[Planned],
    head: Mapping[str, Any],
    renderer: Renderer | None,
    on_done: OnDone | None = None,
    *,
    before: keeping.Before,
    same_plan: bool,
    whole: bool = True,
) -> MadeSet:
    """Make the set `name` in `folder`: draw or copy what does not stand there already, and write its manifest.

    `head` is the manifest but for `complete` and `pictures`; `whole` False says that something besides failed pictures
    keeps the set from being complete. `renderer` may be None when nothing is drawn. Raises what `Renderer.render`
    raises, and `StorageError`.
    """
    entries = [one.entry for one in planned]
    stands = keeping.standing(folder, before, entries, same_plan=same_plan)
    wanted = [one for one, stays in zip(planned, stands, strict=True) if stays is None]
    recipes = [one.recipe for one in wanted if one.recipe is not None]
    pictures = iter(draw(renderer, recipes, on_done) if renderer is not None and recipes else [])
    failed: list[str] = []
    drawn = 0
    made: list[tuple[keeping.Entry | None, Path | None]] = []
    for one, entry, stays in zip(planned, entries, stands, strict=True):
        if stays is not None:
            made.append((stays, None))
        elif one.recipe is None:
            made.append((entry, one.source.path if one.source else None))
        else:
            picture = next(pictures)
            drawn += not picture.cached and not picture.error
            if picture.error:
                failed.append(f"seed {picture.recipe.seed}: {picture.error}")
            made.append((None, None) if picture.error else (entry, picture.path))
    full_head = {**head, "complete": whole and not failed}
    notes = [*head["notes"], *keeping.write_set(folder, before, made, full_head)]
    return MadeSet(name, folder, tuple(picture_files(folder)), drawn, tuple(failed), tuple(notes))


def draw(renderer: Renderer, recipes: Sequence[Recipe], on_done: OnDone | None) -> list[Picture]:
    """The pictures of the recipes, counted to `on_done`."""
    done = 0

    def count(picture: Picture) -> None:
        nonlocal done
        done += 1
        if on_done:
            on_done(done, len(recipes))

    return renderer.render(recipes, count)


def drawn_with(loras: Sequence[UsedLora], renderer: Renderer | None, before: keeping.Before) -> Mapping[str, Any]:
    """What else decides drawn pictures: checkpoint, VAE and LoRA files, by their content.

    What cannot be known now (no server; a LoRA that A1111 no longer has) is taken to be as it was. If the set then
    turns out to need drawing, that is when it is refused.
    """
    if renderer is None:
        return before.drawn_with
    server = renderer.server
    files: list[str] | None = before.drawn_with.get("loras")
    with contextlib.suppress(InputError):
        files = [use.sha256 for use in find_loras(loras, server.client.loras() if loras else [])]
    return {
        "checkpoint_hash": server.checkpoint_hash,
        "vae": server.vae,
        "vae_hash": server.vae_hash,
        "loras": files,
    }
