"""Where things are: from head units to pixels.

Head units: the origin is the middle of the head, 1 is half the head's height, so the crown is at y = -1 and the chin at
y = +1 (y points down). Body parts use the same unit and do not turn with the head.
"""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from ..portrait import Portrait
from .canvas import Points
from .paths import shifted, turned

PIVOT_Y = 0.62
"""The head leans about this point of its own axis (just under the mouth), head units."""


BODY_UP = 0.26
"""Body coordinates start this far above the middle of the head, which sets the length of the neck."""


class Frame:
    """The placement of one portrait in a picture of a given size."""

    def __init__(self, portrait: Portrait, width: int, height: int) -> None:
        self.unit = max(1.5, min(portrait.head * height / 2.0, width * 0.32))
        self.centre = np.array([portrait.centre_x * width, portrait.centre_y * height])
        self.roll = portrait.roll_deg
        self.yaw = radians(portrait.yaw_deg)
        self.pitch = radians(portrait.pitch_deg)

    def body(self, points: Points) -> Points:
        """Body coordinates (head units, not leaning) to pixels."""
        pixels: Points = (np.asarray(points) - (0.0, BODY_UP)) * self.unit + self.centre
        return pixels

    def head(self, points: Points) -> Points:
        """Flat head coordinates to pixels."""
        moved = np.asarray(points, dtype=np.float64) - (0.0, PIVOT_Y)
        pixels: Points = shifted(turned(moved, self.roll), 0.0, PIVOT_Y) * self.unit + self.centre
        return pixels

    def face(self, points: Points, lift: float = 0.0) -> Points:
        """Points on the face's surface to pixels: they move with yaw and pitch. `lift`: height above the surface."""
        points = np.asarray(points, dtype=np.float64)
        x, y = points[..., 0], points[..., 1]
        depth = 0.72 * np.sqrt(np.clip(1.0 - (x / 0.95) ** 2 - (y / 1.3) ** 2, 0.05, 1.0)) + lift
        moved = np.empty_like(points)
        moved[..., 0] = x * cos(self.yaw) - depth * sin(self.yaw) * 0.8
        moved[..., 1] = y * cos(self.pitch) + depth * sin(self.pitch) * 0.8
        return self.head(moved)

    def hair(self, points: Points) -> Points:
        """Hair coordinates to pixels: at the head it leans with it, below the chin it hangs straight."""
        points = np.asarray(points, dtype=np.float64)
        share = np.clip(1.0 - (points[:, 1] - 0.3) / 1.8, 0.25, 1.0)
        angle = np.radians(self.roll) * share
        moved = points - (0.0, PIVOT_Y)
        x = moved[:, 0] * np.cos(angle) - moved[:, 1] * np.sin(angle)
        y = moved[:, 0] * np.sin(angle) + moved[:, 1] * np.cos(angle) + PIVOT_Y
        pixels: Points = np.stack([x, y], axis=1) * self.unit + self.centre
        return pixels

    def to_head(self, x: Points, y: Points) -> tuple[Points, Points]:
        """Pixels to flat head coordinates (for light functions)."""
        bx, by = (x - self.centre[0]) / self.unit, (y - self.centre[1]) / self.unit
        c, s = cos(radians(self.roll)), sin(radians(self.roll))
        return bx * c + (by - PIVOT_Y) * s, -bx * s + (by - PIVOT_Y) * c + PIVOT_Y

    def to_body(self, x: Points, y: Points) -> tuple[Points, Points]:
        """Pixels to body coordinates."""
        return (x - self.centre[0]) / self.unit, (y - self.centre[1]) / self.unit + BODY_UP
