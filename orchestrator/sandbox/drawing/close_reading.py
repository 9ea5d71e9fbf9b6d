"""A careful second reading of a face: the dials are moved until the redrawn face fits the pixels.

Gauss-Newton steps on the difference between the picture and its redrawing, held near the first reading. It takes a few
tenths of a second for each picture, so it is used for learning, not for every look.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..person import DIALS, Person, from_values, to_values
from .reading import Floats, Place, Shrunk
from .redraw import HEAD_BOX, head_only

COARSE = 2
FINE = 2
GRID = (96 // COARSE, 104 // COARSE)
STEP = 0.12
"""How far a dial is turned to see what it changes."""
HOLD = 0.004
"""Weight of staying near the first reading, in units of the mean squared pixel difference."""
COLOUR_DIALS = frozenset({"skin", "warmth", "hair_light", "hair_red", "hair_length", "hair_volume", "jaw", "chin"})
"""Dials the first reading knows as well or better: colours, and what lies outside the inner face."""
SCALES = (20.0, 15.0, 1.0, 1.0, 1.0)
"""Units of yaw, pitch (degrees), smile, gaze and light behind the dials."""


@lru_cache(maxsize=1)
def _inner_face() -> Floats:
    """Weights (rows, columns, 1): 1 on the face's features, falling to 0 where hair and background begin."""
    columns, rows = GRID
    x = np.linspace(HEAD_BOX[0], HEAD_BOX[2], columns)[None, :]
    y = np.linspace(HEAD_BOX[1], HEAD_BOX[3], rows)[:, None]
    inside = 1.0 - np.clip((np.hypot(x / 0.60, (y - 0.18) / 0.72) - 0.85) / 0.25, 0.0, 1.0)
    weights: Floats = inside[..., None].astype(np.float32)
    return weights


def _drawn(values: Floats) -> Floats:
    person = from_values([float(value) for value in values[: len(DIALS)]])
    yaw, pitch, smile, gaze, light = (
        float(value) * scale for value, scale in zip(values[len(DIALS) :], SCALES, strict=True)
    )
    head = head_only(person, yaw, pitch, smile, gaze, light, FINE, COARSE)
    flat: Floats = (head * _inner_face()).reshape(-1)
    return flat


def _cut(picture: Shrunk, place: Place) -> Floats:
    flat: Floats = (picture.crop(place, HEAD_BOX, GRID) * _inner_face()).reshape(-1)
    return flat


def read_closely(picture: Shrunk, place: Place, first: Floats, steps: int = 3) -> Person:
    """The person at this place, starting from the first reading (dials, yaw, pitch, smile, gaze, light as fitted)."""
    count = len(DIALS)
    values = first[: count + len(SCALES)].astype(np.float32).copy()
    values[:count] = np.clip(values[:count], 0.0, 1.0)
    values[count + 2] = np.clip(values[count + 2], 0.0, 1.0)
    start = values.copy()
    base = _drawn(values)
    slopes = []
    for index in range(len(values)):
        turned = values.copy()
        step = STEP if values[index] < 0.5 else -STEP
        turned[index] += step
        slopes.append((_drawn(turned) - base) / step)
    nudges = np.eye(4, dtype=np.float32) * 0.02
    still = _cut(picture, place)
    moves = [(_cut(picture, place.corrected(nudge)) - still) / 0.02 for nudge in nudges]
    jacobian = np.stack([*slopes, *[-move for move in moves]], axis=1).astype(np.float64)
    hold = np.diag([*np.full(len(values), HOLD), *np.full(4, 0.5 * HOLD)]) * len(base) / 100.0
    shift = np.zeros(4)
    normal = jacobian.T @ jacobian + hold
    for _ in range(steps):
        seen = _cut(picture, place.corrected(shift.astype(np.float32)))
        pull = np.concatenate([start - values, -shift])
        change = np.linalg.solve(normal, jacobian.T @ (seen - _drawn(values)).astype(np.float64) + hold @ pull)
        values = values + np.clip(change[: len(values)], -0.3, 0.3).astype(np.float32)
        values[:count] = np.clip(values[:count], 0.0, 1.0)
        shift = np.clip(shift + change[len(values) :], -0.08, 0.08)
    first_dials = to_values(from_values([float(value) for value in first[:count]]))
    close = [float(value) for value in values[:count]]
    pairs = zip(DIALS, first_dials, close, strict=True)
    return from_values([old if name in COLOUR_DIALS else new for name, old, new in pairs])
