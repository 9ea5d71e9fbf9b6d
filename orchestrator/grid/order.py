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

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from orchestrator.grid.cells import Grid
from orchestrator.grid.manifest import At
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


def drawing_order(grid: Grid) -> list[Recipe]:
    """Every recipe of the grid once, in the order it should be drawn in."""
    coarsely = _Coarsely([len(axis.values) for axis in grid.axes], [axis.lora for axis in grid.axes])
    # Each recipe with the place of the first cell that shows it.
    asked: dict[str, tuple[int, Recipe]] = {}
    for cell in grid.cells:
        if cell.recipe is not None and cell.recipe.key not in asked:
            asked[cell.recipe.key] = (coarsely.rank(cell.at), cell.recipe)
    ordered: list[Recipe] = []
    for models in _grouped(asked.values(), lambda recipe: recipe.checkpoint_hash):
        held: Files = frozenset()
        for same in _grouped(models, lambda recipe: (recipe.vae_hash, recipe.vae)):
            visits: dict[Files, list[tuple[int, Recipe]]] = {}
            by_loras: dict[object, list[tuple[int, Recipe]]] = {}
            for one in same:
                by_loras.setdefault(one[1].loras, []).append(one)
            for each in by_loras.values():
                visits.setdefault(files(each[0][1]), []).extend(each)
            # The order of the visits, where several cost the same, is that of the coarsest place in each.
            firsts = {visit: min(rank for rank, _ in each) for visit, each in visits.items()}
            for visit in _path(sorted(visits, key=lambda visit: firsts[visit]), held):
                ordered += [recipe for _, recipe in sorted(visits[visit], key=itemgetter(0))]
                held = visit
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


class _Coarsely:
    """A place's rank as one number, to sort by: the LoRA axes' values outermost, each in coarse order, then the corners
    over the other axes before the inside.
    """

    def __init__(self, lengths: Sequence[int], lora: Sequence[bool]) -> None:
        deepest = 2 + max(lengths, default=1).bit_length()
        stride = 1
        self._levels: list[tuple[int, list[int]]] = []
        strides = [0] * len(lengths)
        for wanted in (False, True):
            for k in reversed([k for k, is_lora in enumerate(lora) if is_lora is wanted]):
                strides[k] = stride
                stride *= lengths[k] + 1
            if not wanted:
                self._level = stride
                stride *= deepest
        # One place more at the end of each list: None, the baseline, comes before all.
        self._ranks: list[list[int]] = []
        for k, length in enumerate(lengths):
            ranks = [0] * (length + 1)
            levels = [0] * length
            for rank, index in enumerate(coarse(length)):
                ranks[index] = (rank + 1) * strides[k]
                # Ranks 0 and 1 are the ends, 2 the middle, 3 and 4 the quarters, 5 to 8 the eighths.
                levels[index] = 0 if rank < 2 else (rank - 1).bit_length()
            self._ranks.append(ranks)
            if not lora[k]:
                self._levels.append((k, levels))

    def rank(self, at: At) -> int:
        """The rank of a place; the lowest is drawn first."""
        rank = sum([ranks[-1 if index is None else index] for ranks, index in zip(self._ranks, at, strict=True)])
        level = 0
        for k, levels in self._levels:
            index = at[k]
            if index is not None and levels[index] > level:
                level = levels[index]
        return rank + level * self._level


def _grouped(asked: Iterable[tuple[int, Recipe]], of: Callable[[Recipe], Hashable]) -> list[list[tuple[int, Recipe]]]:
    groups: dict[Hashable, list[tuple[int, Recipe]]] = {}
    for one in asked:
        groups.setdefault(of(one[1]), []).append(one)
    if len(groups) == 1:
        return list(groups.values())
    return sorted(groups.values(), key=lambda group: min(rank for rank, _ in group))


def _path(sets: Sequence[Files], held: Files) -> list[Files]:
    """`sets` in an order that loads few files, starting with `held` loaded; where it makes no difference, as they
    stand.

    Without any LoRA first. Then always the set that needs the fewest new files and leaves the fewest: with one file
    each nothing is loaded twice whatever the order, and over a full product of two LoRA axes that walks row by row,
    changing one at a time.
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
        held = min(left, key=lambda each: (len(each - held), len(held - each)))
        left.remove(held)
        ordered.append(held)
    return ordered
