from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vision.pose import Points, extent, plausible, pose_of, roll_of


def face() -> Points:
    """An upright face looking at the viewer: 100 px wide, 140 px high around (300, 200)."""
    points = np.zeros((478, 3))
    points[:, :2] = (300, 200)
    for number, place in {
        33: (265, 185, 5),
        133: (285, 185, 5),
        362: (315, 185, 5),
        263: (335, 185, 5),
        234: (250, 200, 40),
        454: (350, 200, 40),
        10: (300, 130, 10),
        152: (300, 270, 10),
    }.items():
        points[number] = place
    return points


def turned(points: Points, roll: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> Points:
    """The face turned in space about its middle, yaw first, then pitch, then roll; angles as in `Pose`."""
    middle = np.array([300.0, 200.0, 20.0])
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    # z runs away from the viewer: a turn to screen left carries the left cheek away.
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return (points - middle) @ (about_z @ about_x @ about_y).T + middle


angles = st.floats(-40, 40)


@given(angles)
def test_roll_is_the_lean_clockwise_on_screen(angle: float) -> None:
    leaning = turned(face(), roll=angle)
    assert roll_of(leaning) == pytest.approx(angle, abs=1e-6)
    assert (leaning[10, 0] > 300) == (angle > 0) or abs(angle) < 1e-9, "clockwise carries the forehead to the right"


@given(angles, st.floats(-35, 35))
def test_yaw_and_pitch_do_not_depend_on_the_lean(roll: float, yaw: float) -> None:
    pose = pose_of(turned(face(), roll=roll, yaw=yaw))
    assert pose.yaw_deg == pytest.approx(yaw, abs=1e-6)
    assert pose.pitch_deg == pytest.approx(0, abs=1e-6)
    assert pose_of(turned(face(), roll=roll, pitch=20)).pitch_deg == pytest.approx(20, abs=1e-6)


def test_signs_are_those_of_the_screen() -> None:
    to_left = turned(face(), yaw=30)
    assert to_left[234, 2] > to_left[454, 2], "turned to screen left, the cheek at screen left is further away"
    assert pose_of(to_left).yaw_deg > 0
    down = turned(face(), pitch=20)
    assert down[10, 2] < down[152, 2], "chin down, the forehead comes nearer"
    assert pose_of(down).pitch_deg > 0


def test_extent_leaves_the_irises_out() -> None:
    points = face()
    points[468:] = (1000, 1000, 0)
    assert extent(points) == (250, 130, 100, 140)


def test_what_cannot_be_a_face_is_not_plausible() -> None:
    assert plausible(face())
    assert not plausible(turned(face(), roll=180))
    mirrored = face()
    mirrored[:, 0] = 600 - mirrored[:, 0]
    assert not plausible(mirrored)
