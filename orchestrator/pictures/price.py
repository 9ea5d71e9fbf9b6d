"""What making pictures costs: how many, how many of them are there already, and about how long the others take.

The time is said only where it was measured: the median of what the cache's proofs of like pictures recorded.
"""

from __future__ import annotations

import functools
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.files import picture_files, read_json
from orchestrator.pictures import keeping, sources
from orchestrator.pictures.making import Planned
from orchestrator.pictures.recipes import make_recipe
from orchestrator.pictures.sets import plan_pictures, planned_pictures, scripts_text
from orchestrator.profile.model import PictureSet, Profile
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import IN_FLIGHT, Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.workspace import Workspace

#: Proofs looked at, the newest first: an old card's or another size's times say nothing about tonight.
_NEWEST = 400
#: Beyond this many seconds, or this many pictures of unknown time, it is asked for twice.
LONG_S = 3600.0
MANY = 300
#: Fewer like pictures than this give no median worth the name.
_FEWEST = 3


_Kind = tuple[Any, ...]


@dataclass(frozen=True)
class Price:
    """`pictures` in all, `there` already, and the `seconds` the others will take (None = not known)."""

    pictures: int
    there: int
    seconds: float | None = None

    @property
    def to_draw(self) -> int:
        """How many will be drawn."""
        return self.pictures - self.there

    def __str__(self) -> str:
        parts = ["1 picture" if self.pictures == 1 else f"{self.pictures:,} pictures"]
        if self.there:
            parts.append("all of them already made" if not self.to_draw else f"{self.there:,} of them already made")
        if self.to_draw and self.seconds is not None:
            parts.append(duration(self.seconds))
        return ", ".join(parts)


def refuse_dear(cost: Price, what: str) -> None:
    """Raise `InputError` for what takes more than an hour; where no time is known, for more than 300 pictures."""
    dear = cost.to_draw > MANY if cost.seconds is None else cost.seconds > LONG_S
    if cost.to_draw and dear:
        raise InputError(
            f"{what} = {cost}.",
            cause="Nothing was drawn yet." if cost.seconds is not None else "How long one takes is not known here yet.",
            fix="Ask for fewer settings, changes or seeds; or for all of them with --yes.",
        )


def duration(seconds: float) -> str:
    """`~40 s`, `~4 min`, `~1 h 10 min`."""
    if seconds < 90:
        return f"~{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"~{minutes} min" if minutes < 60 else f"~{minutes // 60} h {minutes % 60:02d} min"


def price(planned: Sequence[Planned], folder: Path, cache: PictureCache) -> Price:
    """What the pictures of a set in `folder` cost. Those that stand there, or lie in the cache, cost nothing."""
    # One that is listed and gone was deleted by a person, and stays so.
    listed = {str(entry.get("recipe_key")) for entry in keeping.read_before(folder).pictures.values()}
    recipes = {one.recipe.key: one.recipe for one in planned if one.recipe is not None}
    missing = [recipe for key, recipe in recipes.items() if key not in listed and not cache.has(key)]
    return Price(len(recipes), len(recipes) - len(missing), time_for(missing, cache))


def price_set(
    profile: Profile, picture_set: PictureSet, workspace: Workspace, renderer: Renderer, source_pictures: int
) -> Price:
    """What a set of the profile costs. `source_pictures`: how many its source will have once it is made."""
    folder = workspace.picture_set(picture_set.name)
    start = picture_files(workspace.picture_set(picture_set.source)) if picture_set.source else []
    many = len(start) or source_pictures
    count = planned_pictures(picture_set, many)
    if picture_set.picked or not picture_set.prompt:
        return Price(count, count)
    if picture_set.source and (picture_set.straighten or not start):
        # Which picture it starts from is known only once it was turned, or made.
        there = len(picture_files(folder)) if start and keeping.read_before(folder).complete else 0
        like = make_recipe(profile, renderer.server, "", 0).evolve(
            init_sha256="-", batch_size=picture_set.batch_size, alwayson_scripts=scripts_text(picture_set)
        )
        left = max(0, count - there)
        return Price(count, count - left, time_for([like] * left, renderer.cache))
    planned = plan_pictures(profile, picture_set, workspace, renderer, sources.of_set(picture_set, workspace))
    return price(planned, folder, renderer.cache)


def together(prices: Sequence[Price]) -> Price:
    """The sum; its time is known only where each part's is."""
    times = [one.seconds for one in prices if one.to_draw]
    known = None if None in times else sum(seconds for seconds in times if seconds is not None)
    return Price(sum(one.pictures for one in prices), sum(one.there for one in prices), known)


def time_for(recipes: Sequence[Recipe], cache: PictureCache) -> float | None:
    """Seconds the recipes will take to draw, None where pictures like them were never timed. Of a size or a number of
    steps that was never drawn, by those of others.
    """
    if not recipes:
        return 0.0
    timed = _timed(cache.folder / "pictures")
    total = 0.0
    for kind, count in _count(_kind(functools.partial(getattr, recipe)) for recipe in recipes).items():
        seconds = _seconds_of(kind, timed)
        if seconds is None:
            return None
        total += seconds * count
    return total


def _seconds_of(kind: _Kind, timed: Mapping[_Kind, Sequence[float]]) -> float | None:
    """The median of pictures of that kind; where there are none, by size × steps from those that differ in nothing
    else.
    """
    if len(timed.get(kind, ())) >= _FEWEST:
        return statistics.median(timed[kind])
    like = [seconds / _work(other) for other, times in timed.items() if other[3:] == kind[3:] for seconds in times]
    return statistics.median(like) * _work(kind) if len(like) >= _FEWEST else None


def _work(kind: _Kind) -> float:
    width, height, steps = kind[:3]
    return float(width * height * steps)


#: What a picture's time depends on most; the first three make its work.
_DECISIVE = ("width", "height", "steps", "batch_size", "alwayson_scripts")


def _kind(value_of: Callable[[str], Any]) -> _Kind:
    return (*(value_of(name) for name in _DECISIVE), bool(value_of("init_sha256")))


def _timed(folder: Path) -> dict[_Kind, list[float]]:
    """Seconds a picture of each kind cost the card, from the newest proofs."""
    found: dict[_Kind, list[float]] = {}
    for path in _newest(folder):
        proof = read_json(path)
        recipe = proof.get("recipe") if isinstance(proof, dict) else None
        if not isinstance(recipe, dict) or not isinstance(proof.get("seconds"), int | float):
            continue
        # A request waits for the one in flight before it, so each is timed with the other; img2img and the webui's own
        # plots go alone.
        alone = recipe.get("init_sha256") or (proof.get("proof") or {}).get("drawn_by")
        found.setdefault(_kind(recipe.get), []).append(float(proof["seconds"]) / (1 if alone else IN_FLIGHT))
    return found


def _newest(folder: Path) -> list[Path]:
    dated: list[tuple[float, str]] = []
    if not folder.is_dir():
        return []
    for shelf in os.scandir(folder):
        if shelf.is_dir():
            dated += [(e.stat().st_mtime, e.path) for e in os.scandir(shelf) if e.name.endswith(".json")]
    return [Path(path) for _, path in sorted(dated, reverse=True)[:_NEWEST]]


def _count(kinds: Iterable[_Kind]) -> dict[_Kind, int]:
    counted: dict[_Kind, int] = {}
    for kind in kinds:
        counted[kind] = counted.get(kind, 0) + 1
    return counted
