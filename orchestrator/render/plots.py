"""Which pictures the webui's own X/Y/Z plot can draw together: complete rectangles of LoRA file × weight × seed.

A plot draws every cell of its rectangle, so one with a gap would draw for nothing what a grid leaves out or what is
there already. And it varies a prompt by plain search and replace, so the texts it searches must occur nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from orchestrator.a1111.xyz import PROMPT_SR, SEED, Axis
from orchestrator.render.recipe import LoraUse, Recipe, number

#: Cells of one plot at most: the server holds them all until the last one is drawn, and an error loses them all.
MAX_CELLS = 100
#: Megapixels of one plot at most: its answer holds every pixel twice, in the cells and in the grid, some 100 MB in all.
MAX_MEGAPIXELS = 25.0

_Place = tuple[LoraUse, float, int]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plot:
    """One plot: seeds along x, weights along y, LoRA files along z, and the recipe of each cell in the answer's order.

    The script draws z outermost and x innermost: so the file, which costs most to change, changes least.
    """

    axes: tuple[Axis, Axis, Axis]
    recipes: tuple[Recipe, ...]


def plan_plots(recipes: Iterable[Recipe], max_megapixels: float = 200.0) -> list[Plot]:
    """The plots that draw as many of `recipes` as complete rectangles hold, largest first; the rest fits none.

    `max_megapixels` is the server's own limit (its option img_max_size_mp, 200 as installed). Recipes with an init
    picture (their noise depends on the picture before), in batches, with extensions or options of their own are left
    out: that they come out the same was not observed.
    """
    groups: dict[object, dict[_Place, Recipe]] = {}
    for recipe in recipes:
        if (
            not recipe.loras
            or recipe.init_sha256
            or recipe.batch_size != 1
            or recipe.alwayson_scripts
            or recipe.options
        ):
            continue
        varied, *fixed = recipe.loras
        same = (recipe.evolve(loras=tuple(fixed), seed=0), recipe.checkpoint, recipe.vae)
        groups.setdefault(same, {})[replace(varied, weight=0.0), varied.weight, recipe.seed] = recipe
    plots = []
    for cells in groups.values():
        limit = _cells_at_most(next(iter(cells.values())), max_megapixels)
        for box in _rectangles(cells):
            for files, weights, seeds in _split(*box, limit):
                plot = _plot(cells, files, weights, seeds)
                if plot is not None:
                    plots.append(plot)
    return plots


def _cells_at_most(recipe: Recipe, max_megapixels: float) -> int:
    # The script refuses a grid whose rounded megapixels reach its option's value.
    megapixels = min(max_megapixels - 1, MAX_MEGAPIXELS)
    return min(MAX_CELLS, int(megapixels * 1_000_000 // (recipe.width * recipe.height)))


def _rectangles(cells: Mapping[_Place, Recipe]) -> Iterator[tuple[list[LoraUse], list[float], list[int]]]:
    """Complete rectangles that do not overlap, the largest first, until only single cells are left."""
    left = dict.fromkeys(cells)
    while left:
        files, weights, seeds = _largest(left)
        if len(files) * len(weights) * len(seeds) < 2:
            return
        yield files, weights, seeds
        for place in [(f, w, s) for f in files for w in weights for s in seeds]:
            del left[place]


def _largest(places: Iterable[_Place]) -> tuple[list[LoraUse], list[float], list[int]]:
    """The largest rectangle spanned by the seeds of one (file, weight) and the weights of one file.

    Where a grid leaves out corners, as lower epochs at lower weights, these are all there are to choose from.
    """
    seeds_of: dict[tuple[LoraUse, float], dict[int, None]] = {}
    for file, weight, seed in places:
        seeds_of.setdefault((file, weight), {})[seed] = None
    best: tuple[list[LoraUse], list[float], list[int]] = ([], [], [])
    size = 0
    for seeds in {frozenset(each): each for each in seeds_of.values()}.values():
        rows: dict[LoraUse, dict[float, None]] = {}
        for (file, weight), there in seeds_of.items():
            if seeds.keys() <= there.keys():
                rows.setdefault(file, {})[weight] = None
        for weights in {frozenset(row): row for row in rows.values()}.values():
            files = [file for file, row in rows.items() if weights.keys() <= row.keys()]
            if len(files) * len(weights) * len(seeds) > size:
                best, size = (files, list(weights), list(seeds)), len(files) * len(weights) * len(seeds)
    return best


def _split(
    files: Sequence[LoraUse], weights: Sequence[float], seeds: Sequence[int], limit: int
) -> Iterator[tuple[Sequence[LoraUse], Sequence[float], Sequence[int]]]:
    """Parts of at most `limit` cells. Files are parted first: then each of them is loaded once."""
    if limit < 1:
        return
    per_file = len(weights) * len(seeds)
    if per_file <= limit:
        yield from ((part, weights, seeds) for part in _parts(files, limit // per_file))
        return
    for file in files:
        if len(weights) <= limit:
            yield from (([file], weights, part) for part in _parts(seeds, limit // len(weights)))
        else:
            yield from (([file], part, [seed]) for seed in seeds for part in _parts(weights, limit))


def _parts(values: Sequence[_T], size: int) -> list[Sequence[_T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _plot(
    cells: Mapping[_Place, Recipe], files: Sequence[LoraUse], weights: Sequence[float], seeds: Sequence[int]
) -> Plot | None:
    """The plot of one rectangle; None where it is a single cell, or where search and replace would not do."""
    recipes = tuple(cells[file, weight, seed] for file in files for weight in weights for seed in seeds)
    by_weight = Axis(PROMPT_SR, tuple(f":{number(weight)}>" for weight in weights))
    by_file = Axis(PROMPT_SR, tuple(f"<lora:{file.stem}:" for file in files))
    if len(recipes) < 2 or not _replaces(recipes, by_weight.values, by_file.values, len(seeds)):
        return None
    return Plot((Axis(SEED, tuple(map(str, seeds))), by_weight, by_file), recipes)


def _replaces(recipes: Sequence[Recipe], weights: Sequence[str], files: Sequence[str], seeds: int) -> bool:
    """Whether the script's replacements make every recipe's prompts out of the first one's, whichever comes first."""
    first = recipes[0]
    for k, recipe in enumerate(recipes):
        weight = (weights[0], weights[k // seeds % len(weights)])
        file = (files[0], files[k // (seeds * len(weights))])
        for one, other in ((weight, file), (file, weight)):
            prompt = first.tagged_prompt.replace(*one).replace(*other)
            negative = first.negative_prompt.replace(*one).replace(*other)
            if (prompt, negative) != (recipe.tagged_prompt, recipe.negative_prompt):
                return False
    return True
