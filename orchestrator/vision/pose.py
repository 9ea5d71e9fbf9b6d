"""Angles of a head from the 478 points of mediapipe's face mesh.

Points are in pixels of one picture: x right, y down, z away from the viewer in the same unit (mediapipe's z grows with
the distance and is scaled like x). Both back ends give the same points, so this is the only routine for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]

# Numbers of the mesh's points, as seen on screen: corners of the left and of the right eye, cheeks, forehead, chin.
_LEFT_EYE = (33, 133)
_RIGHT_EYE = (362, 263)
_LEFT_CHEEK, _RIGHT_CHEEK = 234, 454
_FOREHEAD, _CHIN = 10, 152
_LEFT_IRIS, _RIGHT_IRIS = 468, 473
_LEFT_MOUTH, _RIGHT_MOUTH = 61, 291
_UPPER_LIP, _LOWER_LIP = 13, 14
#: Points that are each other's mirror image, left and right on screen: corners of the eyes and of the mouth, cheeks,
#: jaw, brows, the wings of the nose.
_PAIRS = (
    (33, 263), (133, 362), (61, 291), (234, 454), (127, 356), (93, 323), (58, 288), (70, 300), (105, 334), (107, 336),
    (50, 280), (205, 425), (98, 327), (172, 397), (136, 365),
)  # fmt: skip
#: The first 468 points are the face's surface; the others are the irises.
SURFACE = 468


@dataclass(frozen=True)
class Pose:
    """Degrees: roll + = clockwise on screen, yaw + = face to screen left, pitch + = chin down."""

    roll_deg: float
    yaw_deg: float
    pitch_deg: float


def roll_of(points: Points) -> float:
    """The angle of the lines between left and right in degrees, + = clockwise on screen.

    The line through two points that mirror each other has the same direction all over a face, however it is turned or
    nods: the mean of many is steadier than the line of the eyes alone. Irises are left out, since they follow the gaze.
    """
    left, right = (points[list(side), :2].mean(axis=0) for side in zip(*_PAIRS, strict=True))
    return math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))


def pose_of(points: Points) -> Pose:
    """Roll by `roll_of`; yaw and pitch from the face's normal, spanned by cheek to cheek and forehead to chin.

    The mesh's own depth is used rather than a camera model: solvePnP with the camera at the picture's centre is wrong
    by 7° of yaw and 19° of pitch for faces outside the centre.
    """
    roll = roll_of(points)
    upright = _turned(points, -roll)
    across = _unit(upright[_RIGHT_CHEEK] - upright[_LEFT_CHEEK])
    down = _unit(upright[_CHIN] - upright[_FOREHEAD])
    normal = _unit(np.cross(across, down))
    yaw = math.degrees(math.atan2(normal[0], normal[2]))
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, -float(normal[1])))))
    return Pose(roll, yaw, pitch)


@dataclass(frozen=True)
class Expression:
    """What eyes and mouth do; the units are those of `model.Face`."""

    gaze: float | None
    smile: float
    mouth_open: float


def expression_of(points: Points) -> Expression:
    """Gaze and mouth of an upright mesh.

    Measured on drawn faces: gaze fully to a side gives ±0.15 … 0.27 and to the viewer -0.06 … 0.06; no smile 0.01 …
    0.04, half of one 0.08 … 0.11, a broad one 0.17 … 0.21 (a smiling photograph 0.15 … 0.17).
    """
    left, right = points[_LEFT_MOUTH, :2], points[_RIGHT_MOUTH, :2]
    middle = (points[_UPPER_LIP, 1] + points[_LOWER_LIP, 1]) / 2
    width = float(np.linalg.norm(right - left)) or 1.0
    eyes = float(np.linalg.norm(points[_RIGHT_EYE[1], :2] - points[_LEFT_EYE[0], :2])) or 1.0
    gaze = None
    if len(points) > SURFACE:
        sides = (_between(points, _LEFT_IRIS, _LEFT_EYE), _between(points, _RIGHT_IRIS, _RIGHT_EYE))
        gaze = sum(sides) / 2
    return Expression(
        gaze,
        float(middle - (left[1] + right[1]) / 2) / width,
        max(0.0, float(points[_LOWER_LIP, 1] - points[_UPPER_LIP, 1]) / eyes),
    )


def _between(points: Points, iris: int, corners: tuple[int, int]) -> float:
    """-1 at the corner on screen left, 1 at the other."""
    left, right = float(points[corners[0], 0]), float(points[corners[1], 0])
    return (float(points[iris, 0]) - left) / ((right - left) or 1.0) * 2 - 1


def plausible(points: Points) -> bool:
    """Whether an upright mesh can be a face: forehead above eyes above chin, and the cheeks on their own sides."""
    eyes = points[[*_LEFT_EYE, *_RIGHT_EYE], 1].mean()
    in_order = points[_FOREHEAD, 1] < eyes < points[_CHIN, 1]
    return bool(in_order and points[_LEFT_CHEEK, 0] < points[_RIGHT_CHEEK, 0])


def extent(points: Points) -> tuple[float, float, float, float]:
    """x, y, width, height of the smallest upright box around the face's surface."""
    low, high = points[:SURFACE, :2].min(axis=0), points[:SURFACE, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _turned(points: Points, degrees: float) -> Points:
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = np.array(points, dtype=np.float64)
    turned[:, 0] = cos * points[:, 0] - sin * points[:, 1]
    turned[:, 1] = sin * points[:, 0] + cos * points[:, 1]
    return turned


def _unit(vector: Points) -> Points:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
