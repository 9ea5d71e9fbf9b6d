"""Hands: a palm and five fingers, for each of the four arm poses."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from ..person import skin_colour
from ..portrait import Portrait
from .canvas import Canvas, Points, ramp_of, scaled
from .frame import Frame
from .paths import Pair, ellipse, limb

Side = Literal["open", "hanging", "hip", "grip", "tucked", "none"]

_Finger = tuple[Pair, Pair, float, float]


def _shape(kind: Side) -> tuple[tuple[float, float, float, float], list[_Finger]]:
    """Palm (x, y, rx, ry) and fingers (from, to, radii), for a hand at screen right, around its middle."""
    if kind == "open":
        return (0.0, 0.06, 0.20, 0.24), [
            ((-0.13, -0.08), (-0.19, -0.44), 0.062, 0.048),
            ((-0.045, -0.12), (-0.065, -0.55), 0.064, 0.050),
            ((0.045, -0.12), (0.075, -0.53), 0.064, 0.050),
            ((0.13, -0.06), (0.20, -0.40), 0.058, 0.044),
            ((-0.15, 0.12), (-0.36, -0.10), 0.068, 0.050),
        ]
    if kind == "hanging":
        return (0.0, -0.05, 0.165, 0.24), [
            ((-0.09, 0.10), (-0.10, 0.42), 0.058, 0.046),
            ((-0.02, 0.12), (-0.02, 0.47), 0.060, 0.046),
            ((0.06, 0.10), (0.06, 0.42), 0.058, 0.044),
            ((0.12, 0.06), (0.12, 0.34), 0.050, 0.040),
            ((-0.12, -0.08), (-0.20, 0.18), 0.058, 0.044),
        ]
    if kind == "hip":
        return (0.13, 0.0, 0.19, 0.19), [
            ((0.02, -0.06), (-0.34, 0.02), 0.062, 0.050),
            ((0.02, 0.03), (-0.36, 0.14), 0.062, 0.050),
            ((0.02, 0.11), (-0.32, 0.25), 0.060, 0.048),
            ((0.05, 0.16), (-0.22, 0.34), 0.054, 0.042),
            ((0.10, -0.12), (0.02, -0.32), 0.060, 0.046),
        ]
    if kind == "grip":
        return (-0.14, 0.0, 0.20, 0.19), [
            ((-0.02, -0.12), (0.26, -0.17), 0.060, 0.050),
            ((0.0, -0.03), (0.31, -0.05), 0.062, 0.050),
            ((0.0, 0.06), (0.30, 0.07), 0.060, 0.048),
            ((-0.02, 0.14), (0.24, 0.18), 0.054, 0.044),
            ((-0.12, -0.14), (0.0, -0.33), 0.058, 0.046),
        ]
    return (0.0, 0.0, 0.01, 0.01), [
        ((-0.02, -0.17), (0.12, -0.18), 0.056, 0.046),
        ((-0.02, -0.07), (0.15, -0.07), 0.058, 0.048),
        ((-0.02, 0.03), (0.14, 0.04), 0.056, 0.046),
    ]


def draw_hand(canvas: Canvas, frame: Frame, portrait: Portrait, kind: Side, at: Pair, side: int) -> None:
    """A hand of this kind around the point `at` (head units); `side` 1 is screen right, -1 mirrors it."""
    palm, fingers = _shape(kind)
    skin = skin_colour(portrait.person)
    size = 1.12

    def place(points: Points) -> Points:
        return frame.body(points * (side * size, size) + at)

    paths = [place(ellipse(palm[0], palm[1], palm[2], palm[3]))]
    paths += [place(limb(start, end, a, b)) for start, end, a, b in fingers]

    def light(x: Points, y: Points) -> Points:
        bx, by = frame.to_body(x, y)
        return 0.58 + portrait.light * 0.30 * (bx - at[0]) - 0.22 * (by - at[1]) + np.zeros_like(bx)

    canvas.shade(paths, light, ramp_of(skin, (0.64, 0.48, 0.44), 0.3), step=3.0)
    line = scaled(skin, 0.62)
    for (start, end, a, b), (start2, end2, _, _) in pairwise(fingers[:-1]):
        middle = np.array(
            [((start[0] + start2[0]) / 2, (start[1] + start2[1]) / 2), ((end[0] + end2[0]) / 2, (end[1] + end2[1]) / 2)]
        )
        near = middle[0] + (middle[1] - middle[0]) * 0.85
        gap = limb((middle[0][0], middle[0][1]), (near[0], near[1]), a * 0.20, b * 0.22)
        canvas.glaze(place(gap), line, 0.55, 0.0)
