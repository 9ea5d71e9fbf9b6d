"""The order in which a grid is drawn: as few loads as can be, and something to look at early.

What is dear to change lies outermost: the checkpoint, then the VAE, then the LoRA files, then their weights. Each of
them is visited once, so no file is read a second time; that is the fewest loads there can be for pictures with one file
each, and for full products of several. Pictures without any LoRA come first.

What costs nothing is drawn coarsely: ends first, then the middle, then the quarters. That holds inside a visit (the
corners of the sheet before its inside) and for the order of the visits themselves: the first, the last and the middle
epoch, then those between. A pass over the corners of all files before anything else would show more of the grid a
little earlier and read those files twice; it is not made.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from orchestrator.grid.cells import Grid
from orchestrator.render.recipe import Recipe

#: File sets of several LoRAs whose next neighbour is searched for; of more, they are taken as they stand.
_MOST_SETS = 1500

Files = frozenset[str]


class Loads(NamedTuple):
    """What an order costs besides drawing: a LoRA counts when it was not in the picture before, or when the checkpoint
    changed; a VAE when it changes under the same checkpoint.
    """

    checkpoints: int
    vaes: int
    loras: int


@dataclass(frozen=True)
class _Asked:
    """A recipe with the place of the first cell that shows it."""

    at: tuple[int | None, ...]
    recipe: Recipe


def drawing_order(grid: Grid) -> list[Recipe]:
    """Every recipe of the grid once, in the order it should be drawn in."""
    asked: dict[str, _Asked] = {}
    for cell in grid.cells:
        if cell.recipe is not None:
            asked.setdefault(cell.recipe.key, _Asked(cell.at, cell.recipe))
    ranks = _ranks([len(axis.values) for axis in grid.axes])
    lora = tuple(k for k, axis in enumerate(grid.axes) if axis.lora)
    free = tuple(k for k, axis in enumerate(grid.axes) if not axis.lora)
    ordered: list[Recipe] = []
    for models in _grouped(asked.values(), lambda one: one.recipe.checkpoint_hash, ranks):
        held: Files = frozenset()
        for same in _grouped(models, lambda one: (one.recipe.vae_hash, one.recipe.vae), ranks):
            visits: dict[Files, list[_Asked]] = {}
            for one in same:
                visits.setdefault(files(one.recipe), []).append(one)
            # The order of the visits, where several cost the same, is that of the coarsest place in each.
            firsts = {held_files: min(_place(one.at, ranks) for one in each) for held_files, each in visits.items()}
            for held in _path(sorted(visits, key=lambda each: firsts[each]), held):
                inside = sorted(visits[held], key=lambda one: _inside(one, ranks, lora, free))
                ordered += [one.recipe for one in inside]
    return ordered


def files(recipe: Recipe) -> Files:
    """The LoRA files (sha256) that must be loaded for a picture. One at weight 0 is read all the same."""
    return frozenset(use.sha256 for use in recipe.loras)


def loads(recipes: Iterable[Recipe]) -> Loads:
    """What drawing `recipes` in this order costs in loads, from a server that has nothing loaded."""
    checkpoints = vaes = loras = 0
    model: Hashable = None
    vae: Hashable = None
    held: Files = frozenset()
    for recipe in recipes:
        now, now_vae, wanted = recipe.checkpoint_hash, (recipe.vae_hash, recipe.vae), files(recipe)
        if now != model:
            checkpoints += 1
            held = frozenset()
        elif now_vae != vae:
            vaes += 1
        loras += len(wanted - held)
        model, vae, held = now, now_vae, wanted
    return Loads(checkpoints, vaes, loras)


@lru_cache(maxsize=256)
def coarse(count: int) -> tuple[int, ...]:
    """`count` indexes, coarsely first: 0, the last, the middle, the quarters, …: each halves the largest gap."""
    if count < 1:
        return ()
    order = [0] if count == 1 else [0, count - 1]
    gaps = [(0, count - 1)]
    while gaps:
        next_gaps = []
        for low, high in gaps:
            middle = (low + high) // 2
            if middle in {low, high}:
                continue
            order.append(middle)
            next_gaps += [(low, middle), (middle, high)]
        gaps = next_gaps
    return tuple(order)


def _ranks(lengths: Sequence[int]) -> list[dict[int | None, tuple[int, int]]]:
    """For each axis: an index' (level, rank). Level 0 are the ends, 1 the middle, 2 the quarters and so on."""
    found = []
    for length in lengths:
        ranks: dict[int | None, tuple[int, int]] = {None: (0, -1)}
        for rank, index in enumerate(coarse(length)):
            # Ranks 0 and 1 are the ends, 2 the middle, 3 and 4 the quarters, 5 … 8 the eighths.
            level = 0 if rank < 2 else (rank - 1).bit_length()
            ranks[index] = (level, rank)
        found.append(ranks)
    return found


def _place(at: tuple[int | None, ...], ranks: Sequence[dict[int | None, tuple[int, int]]]) -> tuple[int, ...]:
    return tuple(ranks[k][index][1] for k, index in enumerate(at))


def _inside(
    one: _Asked, ranks: Sequence[dict[int | None, tuple[int, int]]], lora: Sequence[int], free: Sequence[int]
) -> tuple[object, ...]:
    """Within a visit: each weight once, and there the corners before the inside."""
    at = one.at
    weights = tuple(ranks[k][at[k]][1] for k in lora)
    level = max((ranks[k][at[k]][0] for k in free), default=0)
    return (weights, level, tuple(ranks[k][at[k]][1] for k in free))


def _grouped(
    asked: Iterable[_Asked], of: object, ranks: Sequence[dict[int | None, tuple[int, int]]]
) -> list[list[_Asked]]:
    groups: dict[Hashable, list[_Asked]] = {}
    for one in asked:
        groups.setdefault(of(one), []).append(one)  # type: ignore[operator]
    if len(groups) == 1:
        return list(groups.values())
    return sorted(groups.values(), key=lambda group: min(_place(one.at, ranks) for one in group))


def _path(sets: Sequence[Files], held: Files) -> list[Files]:
    """`sets` in an order that loads few files, starting with `held` loaded; where it makes no difference, as they
    stand.

    Without any LoRA first. Then always the set that needs the fewest new files: with one file each nothing is loaded
    twice whatever the order, and over a full product of two LoRA axes that walks row by row, changing one at a time.
    """
    ordered = [each for each in sets if not each]
    left = [each for each in sets if each]
    if ordered:
        held = frozenset()
    if len(left) > _MOST_SETS or all(len(each) == 1 for each in left):
        # What is loaded already saves a load when it comes first.
        first = [each for each in left if each == held]
        return [*ordered, *first, *(each for each in left if each != held)]
    while left:
        held = min(left, key=lambda each: len(each - held))
        left.remove(held)
        ordered.append(held)
    return ordered
