"""What a dataset lets expect of the LoRA, said before the training and held against its grids afterwards.

The rule is simple on purpose: of the mean lean of its pictures a LoRA at work (a late epoch, a weight near 1) draws the
share `CARRIED`. Each expectation comes with the interval in which the grid's own mean should lie; it counts the spread
of the pictures and the few seeds of a grid. How often that held is kept for every version, so that the rule itself can
be judged.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.dataset.estimates import mean_of
from orchestrator.dataset.view import GroupView
from orchestrator.distributions import t_quantile
from orchestrator.vision.model import Framing, Measurement

#: Which pictures of a grid show a LoRA at work: from this share of the epochs and between these weights.
LATE_FROM, WEIGHTS = 0.5, (0.75, 1.05)
#: How much of the pictures' mean lean comes through there, measured on drawn worlds (tests/benchmarks/foretelling.py):
#: slope 0.82, and a residual of 1.9° to 3.0° in grids of two seeds, which the two figures below add up to.
CARRIED, _RESIDUAL_DEG = 0.82, 1.0
#: What the seeds' own lean adds to each picture's.
_SEED_DEG = 3.0
#: Of a background or clothes that most pictures share, this much of the share is drawn unasked, give or take.
KEPT, KEPT_BY = 0.75, 0.3
_MOSTLY_FROM, _JUDGED_FROM = 0.65, 6
_ColourOf = Callable[[Measurement], tuple[int, int, int] | None]
_FRAMINGS: tuple[Framing, ...] = ("close-up", "upper body", "full body")


@dataclass(frozen=True)
class Foretold:
    """One expectation. `value` lies in `low` … `high` on the grid: degrees of `roll`, shares of the pictures (0…1)
    of `framing obeyed`, `background` and `outfit`.

    `strength` is how firmly the pictures agree (0…1); `framing` is what the prompt asks for, empty = anything.
    """

    what: str
    framing: str
    value: float
    low: float
    high: float
    strength: float
    pictures: int
    #: Of a background or clothes: the colour they share, 8-bit RGB.
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Asked:
    """What one picture of a grid was asked for. `progress` is its epoch by the last one (0…1)."""

    prompt: str
    progress: float
    weight: float
    seed: int = 0


@dataclass(frozen=True)
class Compared:
    """An expectation and what was seen: None where nothing was to be seen. `held`: whether it lay in the interval."""

    foretold: Foretold
    seen: float | None
    pictures: int
    seeds: int
    held: bool | None


def foretell(views: Sequence[GroupView]) -> list[Foretold]:
    """What these groups let expect. Pictures count as often as they are repeated."""
    views = [view for view in views if not view.group.regularisation]
    seen = [(face, view.group.repeats) for view in views for _, face in view.with_face]
    if not seen:
        return []
    told: list[Foretold] = []
    for framing in _FRAMINGS:
        faces = [face for face, _ in seen if face.framing == framing]
        roll = mean_of([face.roll_deg for face in faces])
        if roll is None or roll.count < 2:
            continue
        value = CARRIED * roll.value
        half = _half(roll.sd, roll.count, roll.count)
        told.append(Foretold("roll", framing, value, value - half, value + half, _agreement(roll.sd), roll.count))
    counts: Counter[str] = Counter()
    for face, repeats in seen:
        counts[face.framing] += repeats
    total = sum(counts.values())
    for framing in _FRAMINGS:
        share = counts[framing] / total
        if share < 0.05:
            # The prompt alone decides then, and a LoRA that never saw it may refuse: nothing is expected.
            continue
        told.append(Foretold("framing obeyed", framing, 0.95, 0.75, 1.0, min(1.0, share / 0.15), counts[framing]))
    return [*told, *_of_scenes(views)]


def _of_scenes(views: Sequence[GroupView]) -> Iterator[Foretold]:
    """Background and clothes that most pictures share; one of many is nothing to expect, nor what the captions name."""
    from orchestrator.dataset import sameness
    from orchestrator.dataset.tag_words import NAMED_FROM, Kind, names_a

    ones = [one for view in views for one in view.readable]
    measured = [one.measurement for one in ones]
    things: tuple[tuple[str, Kind, sameness.Cluster, _ColourOf], ...] = (
        ("background", "place", sameness.backgrounds(measured), _border),
        ("outfit", "outfit", sameness.outfits(measured), _torso),
    )
    for what, kind, cluster, colour_of in things:
        share = len(cluster.largest) / cluster.looked if cluster.looked >= _JUDGED_FROM else 0.0
        named = sum(names_a(kind, ones[at].picture.caption) for at in cluster.largest)
        if share < _MOSTLY_FROM or named >= NAMED_FROM * len(cluster.largest):
            continue
        colours = [colour for at in cluster.largest if (colour := colour_of(measured[at])) is not None]
        red, green, blue = (round(statistics.median(one[channel] for one in colours)) for channel in range(3))
        value = KEPT * share
        yield Foretold(
            what, "", value, max(0.0, value - KEPT_BY), min(1.0, value + KEPT_BY), 2 * share - 1, len(colours),
            (red, green, blue),
        )  # fmt: skip


def _border(found: Measurement) -> tuple[int, int, int] | None:
    return found.around.border if found.around else None


def _torso(found: Measurement) -> tuple[int, int, int] | None:
    return found.around.torso if found.around else None


def is_trained(asked: Asked) -> bool:
    """Whether a picture shows a LoRA at work: late enough, and with a weight as it is used."""
    return asked.progress >= LATE_FROM and WEIGHTS[0] <= asked.weight <= WEIGHTS[1]


def compare(foretold: Sequence[Foretold], grid: Sequence[tuple[Asked, Measurement]]) -> list[Compared]:
    """Each expectation with what the pictures of the grids show. Only pictures that `is_trained` are looked at.

    Pictures of one seed resemble each other whatever the epoch: they are averaged first, and seeds are counted.
    """
    trained = [(asked, found) for asked, found in grid if is_trained(asked) and found.looked]
    return [_compared(one, trained) for one in foretold]


def _compared(foretold: Foretold, grid: Sequence[tuple[Asked, Measurement]]) -> Compared:
    asked_for = [
        (asked.seed, value)
        for asked, found in grid
        if (not foretold.framing or framing_asked(asked.prompt) == foretold.framing)
        and (value := _value(foretold, found)) is not None
    ]
    if not asked_for:
        return Compared(foretold, None, 0, 0, None)
    by_seed: dict[int, list[float]] = {}
    for seed, value in asked_for:
        by_seed.setdefault(seed, []).append(value)
    seen = statistics.fmean(statistics.fmean(values) for values in by_seed.values())
    low, high = foretold.low, foretold.high
    if foretold.what == "roll":
        # The interval was made for as many seeds as there are pictures; a grid of two seeds scatters more.
        half = max(high - foretold.value, _half(_SEED_DEG, len(by_seed), foretold.pictures))
        low, high = foretold.value - half, foretold.value + half
    return Compared(foretold, seen, len(asked_for), len(by_seed), low <= seen <= high)


def _value(foretold: Foretold, found: Measurement) -> float | None:
    from orchestrator.dataset.sameness import alike

    if foretold.colour is not None:
        colour = _border(found) if foretold.what == "background" else _torso(found)
        return None if colour is None else float(alike(colour, foretold.colour))
    face = found.face
    if face is None:
        return None
    return face.roll_deg if foretold.what == "roll" else float(face.framing == foretold.framing)


def framing_asked(prompt: str) -> str:
    """The framing a prompt asks for, empty for none."""
    text = prompt.lower()
    return next((framing for framing in _FRAMINGS if framing in text), "")


def _half(sd: float, seeds: int, pictures: int) -> float:
    """Half the interval of a grid's mean over so many seeds, in degrees."""
    scatter = math.hypot(sd * CARRIED, _SEED_DEG)
    spread = math.hypot(scatter / math.sqrt(max(seeds, 1)), _RESIDUAL_DEG)
    return t_quantile(0.975, max(pictures - 1, 1)) * spread


def _agreement(sd: float) -> float:
    """1 where all heads are held alike, 0.5 at a spread of 6°, towards 0 where they differ."""
    return 1.0 / (1.0 + (sd / 6.0) ** 2)
