"""The head alone, redrawn small and upright, to check what was read from a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..person import Person
from ..portrait import Portrait
from .canvas import Canvas
from .face import draw_features, draw_skin
from .frame import Frame
from .hair import draw_front
from .reading import Floats

HEAD_BOX = (-0.95, -1.0, 0.95, 1.05)
"""What `head_only` shows, head coordinates."""


def head_only(
    person: Person, yaw: float, pitch: float, smile: float, gaze: float, light: float, fine: int = 1, coarse: int = 4
) -> Floats:
    """The head in `HEAD_BOX` on mid grey as (104 / coarse, 96 / coarse, 3), 0 … 1. Angles in degrees.

    `fine`: enlargement while drawing; more shows smaller changes and takes longer.
    """
    portrait = Portrait(
        person=person,
        yaw_deg=yaw,
        pitch_deg=pitch,
        smile=smile,
        gaze=gaze,
        light=light,
        head=2.0 / 2.05,
        centre_x=0.5,
        centre_y=1.0 / 2.05,
    )
    width, height = 96, 104
    frame = Frame(portrait, width, height)
    frame.unit = height / 2.05
    canvas = Canvas(Image.new("RGB", (width, height), (128, 128, 128)), fine=fine)
    draw_skin(canvas, frame, portrait)
    draw_features(canvas, frame, portrait)
    draw_front(canvas, frame, portrait)
    return np.asarray(canvas.image.reduce(fine * coarse), dtype=np.float32) / 255.0
