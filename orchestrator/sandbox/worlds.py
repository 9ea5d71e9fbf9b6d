"""What is true in the simulated world: how training progress and LoRA weight act on a picture.

The constants are chosen, not measured on a real model. They reproduce the trade-offs people report with character
LoRAs:
a low weight obeys the prompt but shows another face; a late epoch at full weight keeps the face but its training pose
wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Literal, get_args

World = Literal["story", "equal", "spike"]
"""`story`: a smooth optimum in the middle; `equal`: every cell draws from one distribution; `spike`: one cell is
best.
"""

WORLDS: tuple[World, ...] = get_args(World)

SPIKE_AT = (0.625, 0.8)
"""(progress, weight) of the best cell in the world `spike`: epoch 50 of 80 at weight 0.8."""


@dataclass(frozen=True)
class Effect:
    """How much a LoRA takes over, each 0 … 1."""

    identity: float
    """0 the seed's person … 1 the learned person."""
    grip: float
    """0 the prompt decides pose and framing … 1 the training pictures decide."""
    tilt: float
    """How far the head tilt, background and outfit are pulled to what was learned."""


NO_EFFECT = Effect(0.0, 0.0, 0.0)


def effect(world: World, progress: float, weight: float) -> Effect:
    """The effect of a LoRA file.

    `progress`: epoch / planned epochs, 0 … 1. `weight`: the weight in the prompt; 0 is exactly no LoRA, a negative one
    acts like half its size. Raises ValueError for an unknown world.
    """
    if world not in WORLDS:
        raise ValueError(f"unknown world {world!r}; there are {', '.join(WORLDS)}")
    weight = min(2.0, weight if weight >= 0 else -0.5 * weight)
    progress = min(1.0, max(0.0, progress))
    if weight == 0.0 or progress == 0.0:
        return NO_EFFECT
    if world == "equal":
        return Effect(identity=0.85, grip=0.15, tilt=0.65)
    if world == "spike":
        near = exp(-(((progress - SPIKE_AT[0]) / 0.055) ** 2) - ((weight - SPIKE_AT[1]) / 0.09) ** 2)
        return Effect(identity=0.50 + 0.46 * near, grip=0.42 * (1.0 - near), tilt=0.55)
    return _story(progress, weight)


def _story(progress: float, weight: float) -> Effect:
    dose = weight * (1.0 - exp(-2.2 * progress)) / (1.0 - exp(-2.2))
    learned = 1.0 - exp(-((progress / 0.30) ** 2))
    identity = _rise(dose, 0.44, 0.10) * (0.5 + 0.5 * learned)
    # Late epochs and weights above 0.8 hold on to the training pictures more than the face needs.
    burden = dose * (0.8 + 0.4 * progress) + 0.5 * max(0.0, weight - 0.8)
    return Effect(identity=identity, grip=_rise(burden, 0.95, 0.085), tilt=_rise(dose, 0.52, 0.15))


def _rise(value: float, middle: float, width: float) -> float:
    """A logistic curve brought to exactly 0 at value 0."""
    start = 1.0 / (1.0 + exp(middle / width))
    return (1.0 / (1.0 + exp(-(value - middle) / width)) - start) / (1.0 - start)
