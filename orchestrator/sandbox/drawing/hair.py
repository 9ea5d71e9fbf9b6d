"""Hair: a mass behind the head and neck, and the part in front that frames the face."""

from __future__ import annotations

import numpy as np

from ..person import Person, hair_colour
from ..portrait import Portrait
from .canvas import Canvas, Light, Points, ramp_of, scaled
from .face import between
from .frame import Frame
from .paths import shifted, smooth, stroke


def _size(person: Person) -> tuple[float, float, float]:
    """Half-width and crown height of the hair, and how far down it goes, head units."""
    volume = between(0.10, 0.26, person.hair_volume)
    width = between(0.64, 0.80, person.face_width) + volume
    return width, 1.0 + volume * 0.9, between(0.60, 2.35, person.hair_length)


def _strands(frame: Frame, portrait: Portrait, gloss: float) -> Light:
    """Brightness of hair: a glossy band around the crown, broken up into strands that fall from the parting."""
    start = between(-0.34, 0.34, portrait.person.parting)
    lean = portrait.light * 0.30

    def light(x: Points, y: Points) -> Points:
        hx, hy = frame.to_head(x, y)
        # Around the crown strands fan out from the parting, further down they hang: one smooth angle for both.
        down = 1.0 / (1.0 + np.exp(-(hy + 0.15) * 6.0))
        fan = np.arctan2(hx - start, 0.75 - np.minimum(hy, 0.3))
        angle = fan + (hx * 1.35 - fan) * down
        fine = np.sin(angle * 23.0 + 1.3) + np.sin(angle * 41.0 + hy * 1.5) * 0.8 + np.sin(angle * 67.0 - hy) * 0.6
        radius = np.hypot(hx, (hy + 0.05) * 0.92)
        upper = 1.0 / (1.0 + np.exp((hy - 0.05) * 9.0))
        band = np.exp(-(((radius - 0.86) / 0.16) ** 2)) * upper + 0.30 * np.exp(-(((hy - 1.0) / 0.4) ** 2))
        shaded: Points = (
            0.46 + lean * hx + gloss * band * (0.75 + 0.25 * fine) + 0.045 * fine - 0.10 * np.clip(hy - 0.3, 0, 1)
        )
        return shaded

    return light


def draw_back(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """The hair behind the head, neck and shoulders."""
    person = portrait.person
    width, crown, length = _size(person)
    flare = 1.0 + 0.10 * person.hair_length
    knots = [
        (0.0, -crown),
        (0.52 * width, -crown * 0.93),
        (0.88 * width, -crown * 0.66),
        (1.03 * width, -0.2),
        (1.05 * width, 0.2),
        (1.02 * width * flare, 0.2 + (length - 0.2) * 0.5),
        (0.98 * width * flare, length - 0.12),
        (0.72 * width * flare, length + 0.04),
        (0.30 * width, length - 0.02),
    ]
    path = smooth([*knots, *[(-x, y) for x, y in knots[:0:-1]]], steps=8)
    ramp = ramp_of(scaled(hair_colour(person), 0.78), (0.42, 0.38, 0.44), 0.20)
    canvas.shade([frame.hair(path)], _strands(frame, portrait, 0.05), ramp, step=6.0)


def draw_front(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """The hair in front: crown, fringe and the locks beside the face."""
    person = portrait.person
    width, crown, length = _size(person)
    turn = -0.10 * float(np.sin(frame.yaw))
    inner = between(0.64, 0.80, person.face_width)
    tip = min(length, between(0.56, 1.75, person.hair_length))
    part = between(-0.34, 0.34, person.parting)
    edge = shifted(_hairline(person, inner, part), turn, 0.0)
    right = [
        (0.0, -crown),
        (0.52 * width, -crown * 0.935),
        (0.88 * width, -crown * 0.67),
        (1.03 * width, -0.22),
        (1.06 * width, 0.16),
        (1.09 * width, 0.16 + (tip - 0.16) * 0.55),
        (1.06 * width, tip - 0.05),
        (0.98 * width, tip),
    ]
    lock = [
        (0.90 * width, tip - 0.10),
        (0.86 * width, 0.16 + (tip - 0.16) * 0.60),
        (0.93 * inner, 0.16 + (tip - 0.16) * 0.25),
        (0.90 * inner, 0.10),
        (0.88 * inner, -0.14),
    ]
    outer_right = smooth(np.array(right), closed=False, steps=7)
    outer_left = smooth(np.array([(-x, y) for x, y in right]), closed=False, steps=7)[::-1]
    inner_right = smooth(shifted(lock, turn, 0.0), closed=False, steps=6)
    inner_left = smooth(shifted([(-x, y) for x, y in lock], turn, 0.0), closed=False, steps=6)[::-1]
    shape = np.concatenate([outer_right, inner_right, edge[::-1], inner_left, outer_left])
    shadow = scaled(hair_colour(person), 0.30)
    below = np.concatenate([shifted(edge, 0.0, 0.05), shifted(edge[::-1], 0.0, -0.10)])
    canvas.glaze(frame.hair(below), shadow, 0.34, frame.unit * 0.045)
    ramp = ramp_of(hair_colour(person), (0.36, 0.32, 0.38), 0.42)
    canvas.shade([frame.hair(shape)], _strands(frame, portrait, 0.26), ramp, step=5.0)
    _loose(canvas, frame, person, part, crown, width, inner, turn)


def _hairline(person: Person, inner: float, part: float) -> Points:
    """The lower edge of the hair over the forehead, from screen left to screen right."""
    x = np.linspace(-0.90 * inner, 0.90 * inner, 25)
    away = np.abs(x - part)
    curtain = -0.74 + 0.62 * (away / (0.90 * inner + abs(part))) ** 1.7 * 0.95
    jag = 0.030 * np.abs(np.sin(x * 9.0 + part * 7.0))
    straight = -0.235 - jag + 0.05 * (x / inner) ** 2
    height = curtain + (straight - curtain) * person.fringe
    # The ends meet the side locks whatever the fringe does.
    ends = np.clip((np.abs(x) / (0.90 * inner) - 0.80) / 0.20, 0.0, 1.0)
    height = height + (-0.14 - height) * ends
    return np.stack([x, height], axis=1)


def _loose(
    canvas: Canvas, frame: Frame, person: Person, part: float, crown: float, width: float, inner: float, turn: float
) -> None:
    """A few single strands, lighter and darker than the mass."""
    colour = hair_colour(person)
    for index, share in enumerate((-0.92, -0.66, -0.38, 0.42, 0.70, 0.94)):
        tone = scaled(colour, 0.62) if index % 2 == 0 else scaled(colour, 1.16)
        end_x = share * inner * 0.98 + turn
        line = [
            (part + share * 0.10, -crown * 0.93),
            (share * width * 0.80, -crown * 0.66 + abs(share) * 0.12),
            (share * width * 0.98 * (0.90 + 0.1 * abs(share)), -0.42 + 0.20 * abs(share)),
        ]
        if abs(share) > 0.9:
            line.append((end_x * 1.16, 0.30))
        canvas.glaze(frame.hair(stroke(line, [0.004, 0.012, 0.003])), tone, 0.50, frame.unit * 0.006)
