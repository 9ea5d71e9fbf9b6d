"""What a dataset lets expect of the LoRA, said before the training and held against its grids afterwards.

The rule is simple on purpose: of the mean lean of its pictures a LoRA at work (a late epoch, a weight near 1) draws the
share `CARRIED`. Each expectation comes with the interval in which the mean of a grid should lie; it is as wide as the
few seeds of a grid make it. How often that held is kept for every version, so that the rule itself can be judged.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.dataset.estimates import mean_of
from orchestrator.dataset.view import GroupView
from orchestrator.vision.model import Framing, Measurement

#: Which pictures of a grid show a LoRA at work: from this share of the epochs and between these weights.
LATE_FROM, WEIGHTS = 0.5, (0.75, 1.05)
#: What of the pictures comes through there. Measured on the first half of drawn worlds, held against the second
#: (tests/benchmarks/foretelling.py): of a mean lean this share,
CARRIED = 0.82
#: and of a background or clothes that this share `s` of the pictures has, `carried - lost * (1 - s)` unasked. Clothes
#: that are only mostly shared come out as a mixture, hence the steeper figure.
SCENES = {"background": (0.85, 0.85), "outfit": (0.79, 2.2)}
#: How far a grid's mean lies from that: what every seed adds by itself (falling with their number), and what stays
#: however many there are. Degrees, and shares.
_SCATTER = {"roll": (3.8, 0.5), "background": (0.28, 0.1), "outfit": (0.42, 0.05), "framing obeyed": (0.0, 0.1)}
#: Intervals are told for a grid of so many seeds, and judged for as many as there are.
_USUAL_SEEDS = 2
_SURE = 1.96
#: How often a framing that was trained is obeyed.
_OBEYED = 0.95
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
    """An expectation with its interval for as many seeds as were seen, and what was seen; None where nothing was.
    `held`: whether it lay in the interval.
    """

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
        low, high = interval("roll", value, _USUAL_SEEDS)
        told.append(Foretold("roll", framing, value, low, high, _agreement(roll.sd), roll.count))
    counts: Counter[str] = Counter()
    for face, repeats in seen:
        counts[face.framing] += repeats
    total = sum(counts.values())
    for framing in _FRAMINGS:
        share = counts[framing] / total
        if share < 0.05:
            # The prompt alone decides then, and a LoRA that never saw it may refuse: nothing is expected.
            continue
        low, high = interval("framing obeyed", _OBEYED, _USUAL_SEEDS)
        firmness = min(1.0, share / 0.15)
        told.append(Foretold("framing obeyed", framing, _OBEYED, low, high, firmness, counts[framing]))
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
        value = expected_share(what, share)
        low, high = interval(what, value, _USUAL_SEEDS)
        yield Foretold(what, "", value, low, high, 2 * share - 1, len(colours), (red, green, blue))


def expected_share(what: str, share: float) -> float:
    """How often a `background` or `outfit` that this share (0…1) of the pictures has is drawn unasked (0…1)."""
    carried, lost = SCENES[what]
    return min(1.0, max(0.0, carried - lost * (1.0 - share)))


def interval(what: str, value: float, seeds: int) -> tuple[float, float]:
    """Where the mean of a grid of so many seeds should lie, 19 times of 20."""
    each, always = _SCATTER[what]
    half = _SURE * math.hypot(each / math.sqrt(max(seeds, 1)), always)
    return (value - half, value + half) if what == "roll" else (max(0.0, value - half), min(1.0, value + half))


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
    low, high = interval(foretold.what, foretold.value, len(by_seed))
    return Compared(replace(foretold, low=low, high=high), seen, len(asked_for), len(by_seed), low <= seen <= high)


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


def _agreement(sd: float) -> float:
    """1 where all heads are held alike, 0.5 at a spread of 6°, towards 0 where they differ."""
    return 1.0 / (1.0 + (sd / 6.0) ** 2)
