"""Paths as arrays of points (n, 2): smooth outlines, ellipses, limbs and tapered strokes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, radians, sin

import numpy as np

from .canvas import Points

Pair = tuple[float, float]


@lru_cache(maxsize=8)
def _weights(steps: int) -> Points:
    t = np.arange(steps) / steps
    basis = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    weights: Points = 0.5 * np.stack(basis, axis=1)
    return weights


def smooth(points: Sequence[Pair] | Points, closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom curve through the points, `steps` samples to each span."""
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        around = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        around = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    spans = np.empty((len(around) - 3, 4, 2))
    for place in range(4):
        spans[:, place] = around[place : len(around) - 3 + place]
    curve = np.einsum("sk,nkd->nsd", _weights(steps), spans).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


@lru_cache(maxsize=4)
def _circle(count: int) -> Points:
    angle = np.linspace(0.0, 2 * pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float, turn_deg: float = 0.0, count: int = 28) -> Points:
    """An ellipse around (x, y), turned clockwise on screen."""
    return shifted(turned(_circle(count) * (rx, ry), turn_deg), x, y)


def shifted(points: Sequence[Pair] | Points, x: float, y: float) -> Points:
    """The points moved by (x, y)."""
    moved: Points = np.asarray(points, dtype=np.float64) + np.array([x, y])
    return moved


def turned(points: Points, angle_deg: float) -> Points:
    """The points turned about the origin, clockwise on screen (y points down)."""
    if angle_deg == 0.0:
        return points
    c, s = cos(radians(angle_deg)), sin(radians(angle_deg))
    rotated: Points = points @ np.array([[c, s], [-s, c]])
    return rotated


@lru_cache(maxsize=64)
def _evenly(count: int) -> Points:
    """`count` numbers from 0 to 1; shared, so not to be written to."""
    return np.linspace(0.0, 1.0, count)


def stroke(centre: Sequence[Pair] | Points, widths: Sequence[float], steps: int = 6) -> Points:
    """A curved stroke through the centre points, with its half-width at each of them."""
    line = smooth(centre, closed=False, steps=steps)
    half = np.interp(_evenly(len(line)), _evenly(len(widths)), np.asarray(widths))[:, None]
    along = np.empty_like(line)  # as np.gradient, whose care for every case takes longer than the sum
    along[1:-1] = (line[2:] - line[:-2]) / 2.0
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    across = np.empty_like(along)
    np.negative(along[:, 1], out=across[:, 0])
    across[:, 1] = along[:, 0]
    across *= half
    return np.concatenate([line + across, (line - across)[::-1]])


def limb(start: Pair, end: Pair, start_radius: float, end_radius: float) -> Points:
    """A tapered limb with round ends."""
    a, b = np.asarray(start), np.asarray(end)
    angle = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
    fan = np.linspace(pi / 2, 3 * pi / 2, 10) + angle
    back = a + start_radius * np.stack([np.cos(fan), np.sin(fan)], axis=1)
    front = b - end_radius * np.stack([np.cos(fan), np.sin(fan)], axis=1)
    return np.concatenate([back, front])
