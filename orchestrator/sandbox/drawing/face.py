"""The face: skin with soft shading, eyes, brows, nose and mouth."""

from __future__ import annotations

import numpy as np

from ..person import Person, eye_colour, hair_colour, lip_colour, mix, skin_colour
from ..portrait import Portrait
from .canvas import RGB, Canvas, Points, ramp_of, scaled
from .frame import Frame
from .paths import ellipse, shifted, smooth, stroke, turned


def between(low: float, high: float, dial: float) -> float:
    """A dial's value on its own scale."""
    return low + (high - low) * dial


def outline(person: Person, yaw: float) -> Points:
    """The face's edge in flat head coordinates. `yaw` in radians narrows the far side."""
    width = between(0.64, 0.80, person.face_width)
    jaw = between(0.76, 1.00, person.jaw)
    chin = between(0.92, 1.07, person.chin)
    point = between(0.18, 0.34, person.jaw)
    half = [
        (0.0, -0.98),
        (0.50 * width, -0.90),
        (0.86 * width, -0.62),
        (1.0 * width, -0.22),
        (0.985 * width, 0.12),
        (0.93 * width * between(0.95, 1.0, person.jaw), 0.42),
        (0.76 * width * jaw, 0.70 * chin),
        (point * 1.25, 0.925 * chin),
        (point * 0.5, 0.99 * chin),
    ]
    points = np.array([*half, (0.0, chin), *[(-x, y) for x, y in half[:0:-1]]])
    points[:, 0] *= 1.0 - 0.16 * abs(np.sin(yaw))
    points[:, 0] -= 0.16 * np.sin(yaw) * np.clip((points[:, 1] + 1.0) / 1.6, 0.0, 1.0)
    return smooth(points, steps=6)


def draw_ears(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """Both ears; the hair usually hides most of them."""
    skin = scaled(skin_colour(portrait.person), 0.90)
    width = between(0.64, 0.80, portrait.person.face_width) - 0.16 * abs(float(np.sin(frame.yaw)))
    for side in (-1.0, 1.0):
        ear = ellipse(side * (width + 0.02) - 0.1 * float(np.sin(frame.yaw)), 0.10, 0.10, 0.19, side * 8.0)
        canvas.fill(frame.head(ear), skin)


def draw_skin(canvas: Canvas, frame: Frame, portrait: Portrait) -> Points:
    """The shaded face without features; returns its edge in pixels."""
    person = portrait.person
    edge = frame.head(outline(person, frame.yaw))
    light_x = portrait.light * 0.62

    def light(x: Points, y: Points) -> Points:
        hx, hy = frame.to_head(x, y)
        fx = (hx + 0.58 * np.sin(frame.yaw)) / 0.82
        fy = (hy - 0.5 * np.sin(frame.pitch)) / 1.10
        depth = np.sqrt(np.clip(1.0 - fx**2 * 0.92 - fy**2 * 0.80, 0.02, 1.0))
        shine = fx * light_x * 0.75 - fy * 0.26 + depth * 0.66
        value = 0.22 + 0.50 * shine
        eyes = np.exp(-(((np.abs(hx + 0.5 * np.sin(frame.yaw)) - 0.34) / 0.22) ** 2) - ((hy - 0.0) / 0.13) ** 2)
        nose = np.exp(-(((hx + 0.62 * np.sin(frame.yaw)) / 0.07) ** 2) - ((hy - 0.22) / 0.26) ** 2)
        cheek = np.exp(-(((np.abs(hx) - 0.42) / 0.24) ** 2) - ((hy - 0.34) / 0.20) ** 2)
        brow = np.exp(-(((hy + 0.74) / 0.22) ** 2))
        chin = np.exp(-((hx / 0.20) ** 2) - ((hy - 0.88) / 0.10) ** 2)
        shaded: Points = value - 0.06 * eyes + 0.10 * nose + 0.045 * cheek - 0.10 * brow + 0.04 * chin + 0.05
        return shaded

    canvas.shade([edge], light, ramp_of(skin_colour(person), (0.66, 0.50, 0.46), 0.42))
    blush = mix(skin_colour(person), (214, 84, 80), 0.75)
    for side in (-1.0, 1.0):
        canvas.glaze(frame.face(ellipse(side * 0.42, 0.36, 0.20, 0.13)), blush, 0.20, frame.unit * 0.09, edge)
    return edge


def draw_features(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """Nose, mouth, eyes and brows on a face whose skin is already there."""
    _nose(canvas, frame, portrait)
    _mouth(canvas, frame, portrait)
    for side in (-1.0, 1.0):
        _eye(canvas, frame, portrait, side)
        _brow(canvas, frame, portrait.person, side, portrait.smile)


def _eye(canvas: Canvas, frame: Frame, portrait: Portrait, side: float) -> None:
    person = portrait.person
    skin = skin_colour(person)
    half = between(0.135, 0.185, person.eye_size)
    tall = half * between(0.46, 0.68, person.eye_open) * (1.0 - 0.14 * portrait.smile)
    x = side * between(0.285, 0.375, person.eye_spacing)
    y = 0.05
    tilt = -side * between(-6.0, 9.0, person.eye_tilt)

    def place(points: Points) -> Points:
        return frame.face(shifted(turned(points * (side, 1.0), tilt), x, y))

    # Drawn for the screen-right eye (outer corner at +x), mirrored by `side`.
    upper = [(-1.0, 0.22), (-0.62, -0.50), (-0.05, -1.0), (0.55, -0.72), (1.0, -0.04)]
    lower = [(0.62, 0.58), (0.05, 0.82), (-0.58, 0.60)]
    almond = np.array(upper + lower) * (half, tall)
    shape = place(smooth(almond, steps=6))
    shadow = scaled(skin, 0.70)
    canvas.glaze(place(ellipse(0.0, -0.4 * tall, half * 1.25, tall * 1.25)), shadow, 0.38, frame.unit * 0.035)
    canvas.fill(shape, (244, 242, 240))
    canvas.glaze(
        place(ellipse(0.0, -0.85 * tall, half * 1.1, tall * 0.55)), (120, 110, 125), 0.5, frame.unit * 0.02, shape
    )
    _iris(canvas, place, portrait, half, tall, side, shape)
    dark = mix(scaled(hair_colour(person), 0.35), (26, 18, 20), 0.55)
    lid = np.array([(-1.02, 0.26), (-0.62, -0.50), (-0.05, -1.02), (0.55, -0.76), (1.0, -0.08), (1.22, -0.34)])
    canvas.fill(place(stroke(lid * (half, tall), [0.007, 0.020, 0.028, 0.034, 0.030, 0.004])), dark)
    under = np.array([(0.98, 0.02), (0.62, 0.60), (0.05, 0.86), (-0.58, 0.62)])
    canvas.fill(place(stroke(under * (half, tall), [0.012, 0.009, 0.006, 0.004])), mix(scaled(skin, 0.6), dark, 0.35))
    crease = np.array([(-0.85, -0.55), (-0.3, -1.28), (0.4, -1.30), (1.05, -0.62)])
    canvas.fill(place(stroke(crease * (half, tall), [0.003, 0.010, 0.011, 0.003])), scaled(skin, 0.64))


def _iris(
    canvas: Canvas, place: object, portrait: Portrait, half: float, tall: float, side: float, clip: Points
) -> None:
    assert callable(place)
    radius = min(half * 0.60, tall * 0.98)
    x = side * portrait.gaze * half * 0.34
    colour = eye_colour(portrait.person)
    y = -0.10 * tall
    rings: list[tuple[float, float, RGB]] = [
        (1.0, 0.0, scaled(colour, 0.42)),
        (0.86, 0.02, scaled(colour, 0.90)),
        (0.62, 0.24, mix(scaled(colour, 1.2), (255, 240, 200), 0.18)),
        (0.46, 0.0, (18, 14, 18)),
    ]
    for size, drop, tone in rings:
        ring = ellipse(x, y + drop * radius, radius * size, radius * size)
        canvas.glaze(place(ring), tone, 1.0, 0.0, clip)
    # The light is in the same place of both eyes on screen, so it is not mirrored.
    glint = ellipse(x + side * (portrait.light * 0.32 * radius), y - 0.34 * radius, radius * 0.24, radius * 0.24)
    canvas.fill(place(glint), (255, 255, 255))
    small = ellipse(x - side * (portrait.light * 0.36 * radius), y + 0.40 * radius, radius * 0.11, radius * 0.11)
    canvas.fill(place(small), (226, 232, 240))


def _brow(canvas: Canvas, frame: Frame, person: Person, side: float, smile: float) -> None:
    x = between(0.285, 0.375, person.eye_spacing)
    y = 0.05 - between(0.215, 0.325, person.brow_height) - 0.015 * smile
    arch = between(0.015, 0.085, person.brow_arch)
    thick = between(0.016, 0.048, person.brow_weight)
    centre = np.array(
        [(x - 0.195, y + 0.012), (x - 0.06, y - 0.5 * arch), (x + 0.09, y - 0.9 * arch), (x + 0.245, y + 0.055)]
    )
    colour = mix(scaled(hair_colour(person), 0.62), (52, 36, 30), 0.45)
    path = stroke(centre * (side, 1.0), [thick * 0.70, thick * 1.0, thick * 0.78, 0.004])
    canvas.glaze(frame.face(path), colour, 0.88, frame.unit * 0.008)


def _nose(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    person = portrait.person
    skin = skin_colour(person)
    low = between(0.375, 0.485, person.nose_length)
    wide = between(0.085, 0.165, person.nose_width)
    dark = mix(scaled(skin, 0.62), (120, 50, 45), 0.18)
    far = 1.0 if portrait.light < 0 else -1.0
    bridge = [(far * 0.075, -0.05), (far * 0.055, 0.10), (far * 0.07, 0.24), (far * wide * 0.9, low - 0.04)]
    canvas.glaze(frame.face(stroke(bridge, [0.020, 0.026, 0.030, 0.036]), 0.08), dark, 0.30, frame.unit * 0.035)
    canvas.glaze(frame.face(ellipse(0.0, low + 0.045, wide * 1.05, 0.045), 0.10), dark, 0.42, frame.unit * 0.028)
    for side in (-1.0, 1.0):
        wing = [(side * wide * 0.98, low - 0.085), (side * wide * 1.12, low - 0.03), (side * wide * 0.92, low + 0.022)]
        canvas.glaze(frame.face(stroke(wing, [0.004, 0.013, 0.008]), 0.06), dark, 0.70, frame.unit * 0.006)
        nostril = ellipse(side * wide * 0.50, low + 0.012, wide * 0.27, 0.019, side * -18.0)
        canvas.glaze(frame.face(nostril, 0.10), scaled(dark, 0.52), 0.80, frame.unit * 0.006)
    tip = ellipse(-far * 0.012, low - 0.075, 0.036, 0.048)
    canvas.glaze(frame.face(tip, 0.12), (255, 250, 244), 0.42, frame.unit * 0.022)


def _mouth(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    person, smile = portrait.person, portrait.smile
    y = between(0.635, 0.700, person.mouth_height) - 0.01 * smile
    half = between(0.190, 0.275, person.mouth_width) * (1.0 + 0.24 * smile)
    full = between(0.042, 0.088, person.lips) * (1.0 - 0.12 * smile)
    corner = y - 0.006 - 0.066 * smile
    colour = lip_colour(person)
    line = [(-half, corner), (-half * 0.45, y + 0.004), (0.0, y + 0.010), (half * 0.45, y + 0.004), (half, corner)]
    gap = max(0.0, smile - 0.45) * 0.12
    below = [(x, v + gap * (1.0 - (x / half) ** 2)) for x, v in line]
    upper = [
        *line,
        (half * 0.52, y - full * 0.55),
        (half * 0.20, y - full),
        (0.0, y - full * 0.70),
        (-half * 0.20, y - full),
        (-half * 0.52, y - full * 0.55),
    ]
    base = y + gap
    lower = [
        *below[::-1],
        (-half * 0.58, base + full * 0.95),
        (0.0, base + full * 1.55),
        (half * 0.58, base + full * 0.95),
    ]
    shade = scaled(skin_colour(person), 0.68)
    canvas.glaze(
        frame.face(ellipse(0.0, base + full * 1.9 + 0.03, half * 0.62, 0.028), 0.04), shade, 0.50, frame.unit * 0.03
    )
    if gap > 0.004:
        opening = np.array([*line, *below[::-1]])
        canvas.fill(frame.face(smooth(opening, steps=4), 0.05), (246, 240, 234))
    canvas.fill(frame.face(smooth(lower, steps=6), 0.05), colour)
    canvas.fill(frame.face(smooth(upper, steps=6), 0.05), scaled(colour, 0.84))
    gloss = ellipse(-0.04 * half, base + full * 0.80, half * 0.40, full * 0.24)
    canvas.glaze(frame.face(gloss, 0.05), (255, 236, 232), 0.34, frame.unit * 0.018)
    dark = scaled(colour, 0.45)
    canvas.fill(frame.face(stroke(np.array(line), [0.006, 0.009, 0.008, 0.009, 0.006], steps=5), 0.05), dark)
    for side in (-1.0, 1.0):
        dimple = ellipse(side * (half + 0.012), corner, 0.016, 0.022)
        canvas.glaze(frame.face(dimple, 0.03), scaled(skin_colour(person), 0.66), 0.5, frame.unit * 0.014)
