"""A grid drawn again: the very same pictures from its recipes, or the same question to what there is today.

**Exactly** takes the recipe of every cell as it was recorded. Pictures that are still here stay; the others are drawn
from the same LoRA files, checkpoint and settings, found by content. What is not here is not replaced by anything else.

**Today** plans the grid's definition anew: the run as it is trained now, the checkpoint of that name, the server as it
is. Cells whose recipe came out the same stay; what differs is named and drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.grid.cells import Cell, DeployedLora, Grid
from orchestrator.grid.changes import Changes, changes
from orchestrator.grid.definition import Definition
from orchestrator.grid.embedded import recipe_of
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.materials import Materials
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import Reading, read
from orchestrator.grid.stock import take_stock
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import LoraUse, Recipe


@dataclass(frozen=True)
class Again:
    """A grid to be drawn again, held against what it was. `problems` says by key which cells cannot be drawn, and
    why.
    """

    grid: Grid
    changes: Changes
    problems: Mapping[str, str]


@dataclass(frozen=True)
class _File:
    """The LoRA file behind `_OfRun`."""

    epoch: int
    sha256: str


@dataclass(frozen=True)
class _OfRun:
    """A file of a run that is not here, known from the recipes (a `DeployedLora`)."""

    lora: _File
    stem: str
    shown_hash: str


def exactly(old: Manifest, materials: Materials, is_made: Callable[[Recipe], bool]) -> Again:
    """The grid of `old` from the recipes of its cells. `is_made` tells whether the picture of a recipe is here."""
    problems: dict[str, str] = {}
    bound: dict[str, Recipe] = {}
    cells = []
    for entry in old.cells:
        recipe = recipe_of(old, entry)
        if recipe is None or is_made(recipe):
            cells.append(Cell(entry.at, entry.label, recipe, entry.reason if recipe is None else ""))
            continue
        if recipe.key not in bound:
            here, problem = materials.bind(recipe)
            bound[recipe.key] = recipe if problem else here
            if problem:
                problems[recipe.key] = problem
        cells.append(Cell(entry.at, entry.label, bound[recipe.key]))
    grid = Grid(old.name, old.definition, old.axes, old.x, old.y, old.baseline, tuple(cells))
    return Again(grid, changes(old, grid, is_made, problems), problems)


def today(
    old: Manifest,
    definition: Definition,
    materials: Materials,
    runs: Mapping[str, Sequence[DeployedLora]],
    is_made: Callable[[Recipe], bool],
    root: Path = Path(),
) -> Again:
    """The grid of `definition` with what is here now. `runs` has the deployed files of the versions trained here.

    What no run here has (another machine, a file deleted since) is looked for by the content that the recipes of `old`
    name. Raises one `InputError` for everything in the definition that nothing here answers to.
    """
    missing: dict[str, str] = {}
    reading = read(definition)
    recorded = _recorded(old)
    files = {version: _files(version, reading, runs, recorded, materials, missing) for version in reading.versions}
    stock = take_stock(reading, materials.server, files, root, known=_further(reading, old, materials, missing))
    grid = plan(reading, stock)
    problems = {
        cell.recipe.key: problem
        for cell in grid.cells
        if cell.recipe is not None
        for problem in [next((missing[use.sha256] for use in cell.recipe.loras if use.sha256 in missing), "")]
        if problem and not is_made(cell.recipe)
    }
    return Again(grid, changes(old, grid, is_made, problems), problems)


def _files(
    version: str,
    reading: Reading,
    runs: Mapping[str, Sequence[DeployedLora]],
    recorded: Mapping[str, Mapping[int, LoraUse]],
    materials: Materials,
    missing: dict[str, str],
) -> list[DeployedLora]:
    """The files of a version: those of its run here, and those that only the recipes know of."""
    found = list(runs.get(version, ()))
    here = {file.lora.epoch for file in found}
    asked = {int(value) for value in reading.values("epoch")}
    for epoch, use in recorded.get(version, {}).items():
        if epoch in here or (here and epoch not in asked):
            continue
        one = materials.lora(use)
        if isinstance(one, str):
            missing[use.sha256] = one
            one = use
        found.append(_OfRun(_File(epoch, one.sha256), one.stem, one.shown_hash))
    return found


def _recorded(old: Manifest) -> dict[str, dict[int, LoraUse]]:
    """Version → epoch → the LoRA file under test, as the cells of `old` were drawn with it."""
    subject = old.definition.get("subject")
    own = str(subject.get("version", "")) if isinstance(subject, Mapping) else ""
    found: dict[str, dict[int, LoraUse]] = {}
    for entry in old.cells:
        values = old.recipe_of(entry)
        if values is None or entry.is_baseline or not values.get("loras"):
            continue
        version = old.value_of(entry, "version") or own
        epoch = old.value_of(entry, "epoch")
        number = int(epoch) if epoch and epoch.isdecimal() else 1
        if number not in found.setdefault(version, {}):
            found[version][number] = _first_use(values)
    return found


def _first_use(values: Mapping[str, Any]) -> LoraUse:
    return LoraUse(**dict(values["loras"][0]))


def _further(reading: Reading, old: Manifest, materials: Materials, missing: dict[str, str]) -> dict[str, LoraUse]:
    """The LoRA files that the definition names and the webui does not list under that name, by recorded content."""
    from orchestrator.grid.parts import lora_parts

    names = [name for value in reading.values("lora") for name, _ in lora_parts(value)]
    names += [further.name for further in reading.definition.loras]
    if not names:
        return {}
    listed = {entry.name for entry in materials.server.client.loras()}
    recorded: dict[str, LoraUse] = {}
    for entry in old.cells:
        for values in (old.recipe_of(entry) or {}).get("loras", ()):
            use = LoraUse(**dict(values))
            recorded.setdefault(use.stem, use)
    found = {}
    for name in names:
        # Our own workspace asks for today's file of that name; a file from elsewhere means the content it was drawn
        # with, which may be called otherwise here.
        if name in recorded and (not materials.trusted or name not in listed):
            one = materials.lora(recorded[name])
            if isinstance(one, str) and name in listed:
                continue
            if isinstance(one, str):
                missing[recorded[name].sha256] = one
            found[name] = recorded[name] if isinstance(one, str) else one
    return found


@dataclass(frozen=True)
class WithGaps:
    """Draws through `inner` what can be drawn; the rest are failed pictures with their reason, not asked for."""

    inner: Renderer
    cache: PictureCache
    problems: Mapping[str, str]

    def render(
        self, recipes: Sequence[Recipe], on_picture: Callable[[Any], None] | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        """One picture for every recipe, in their order."""
        possible = self._possible(recipes)
        drawn = self.inner.render(possible, on_picture, as_given=as_given) if possible else []
        done = {picture.key: picture for picture in drawn}
        for recipe in recipes:
            if recipe.key not in done:
                place = self.cache.picture(recipe.key)
                done[recipe.key] = Picture(place, recipe, recipe.key, error=self.problems[recipe.key])
                if on_picture is not None:
                    on_picture(done[recipe.key])
        return [done[recipe.key] for recipe in recipes]

    def clean_load(self, recipes: Sequence[Recipe]) -> None:
        """Have the checkpoint loaded anew, if one of these has to be drawn and can be."""
        self.inner.clean_load(self._possible(recipes))

    def drawn_again(self, recipe: Recipe) -> bool | None:
        """Whether a picture in the cache comes out with the same pixels now; None = not known."""
        return None if recipe.key in self.problems else self.inner.drawn_again(recipe)

    def _possible(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        return [recipe for recipe in recipes if recipe.key not in self.problems]
