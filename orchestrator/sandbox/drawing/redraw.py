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


def head_only(person: Person, yaw: float, pitch: float, smile: float, gaze: float, light: float) -> Floats:
    """The head as (26, 24, 3), 0 … 1: head coordinates -0.95 … 0.95 across, -1 … 1.05 down, on mid grey."""
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
    canvas = Canvas(Image.new("RGB", (width, height), (128, 128, 128)), fine=1)
    draw_skin(canvas, frame, portrait)
    draw_features(canvas, frame, portrait)
    draw_front(canvas, frame, portrait)
    return np.asarray(canvas.image.reduce(4), dtype=np.float32) / 255.0
