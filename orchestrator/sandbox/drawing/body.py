"""Neck, clothes, arms with hands, legs and shoes. Coordinates are head units (see `frame`)."""

from __future__ import annotations

import numpy as np

from ..person import mix, skin_colour
from ..portrait import Portrait
from .canvas import RGB, Canvas, Light, Points, ramp_of, scaled
from .frame import Frame
from .hands import Side, draw_hand
from .paths import Pair, ellipse, limb, shifted, smooth, stroke

SHOULDER: Pair = (1.12, 2.06)
NECK = 0.30


def draw_neck(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """The neck and the skin inside the collar, in the chin's shadow."""
    lean = portrait.roll_deg / 45.0 * 0.22
    path = smooth(
        [
            (-NECK + lean, 0.55),
            (NECK + lean, 0.55),
            (NECK, 1.3),
            (NECK + 0.16, 1.62),
            (0.45, 2.0),
            (0.22, 2.45),
            (-0.22, 2.45),
            (-0.45, 2.0),
            (-NECK - 0.16, 1.62),
            (-NECK, 1.3),
        ],
        steps=6,
    )

    def light(x: Points, y: Points) -> Points:
        bx, by = frame.to_body(x, y)
        round_ = 0.60 - 0.35 * (bx / 0.5) ** 2 + portrait.light * 0.22 * bx
        shadow = 0.42 / (1.0 + np.exp((by - 1.28 - 0.10 * np.abs(bx)) * 9.0))
        lit: Points = round_ - shadow
        return lit

    canvas.shade([frame.body(path)], light, ramp_of(skin_colour(portrait.person), (0.62, 0.46, 0.42), 0.3))


def draw_body(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    """Everything from the shoulders down that the picture shows."""
    visible = (canvas.image.height / canvas.fine - frame.centre[1]) / frame.unit
    if visible > 4.9:
        _legs(canvas, frame, portrait)
    crossed = portrait.arms == "arms crossed"
    for side in (-1, 1):
        if not crossed:
            _arm(canvas, frame, portrait, side, upper_only=False)
    _torso(canvas, frame, portrait)
    _collar(canvas, frame, portrait)
    if crossed:
        _crossed(canvas, frame, portrait)
    elif portrait.arms == "hand on hip":
        draw_hand(canvas, frame, portrait, "hip", (portrait.side * 0.99, 4.52), portrait.side)


def _cloth(frame: Frame, portrait: Portrait, folds: float = 1.0) -> Light:
    def light(x: Points, y: Points) -> Points:
        bx, by = frame.to_body(x, y)
        body = 0.60 - 0.17 * (np.abs(bx) / 1.2) ** 2.5 + portrait.light * 0.16 * bx - 0.025 * by
        crease = np.sin(bx * 5.0 + by * 2.6) * np.sin(by * 1.9 - bx * 2.2 + 0.6)
        waist = np.exp(-(((by - 4.05) / 0.35) ** 2)) * np.sin(by * 14.0 + np.abs(bx) * 5.0)
        chest = np.exp(-(((np.abs(bx) - 0.5) / 0.36) ** 2) - ((by - 3.0) / 0.34) ** 2)
        chin = 0.20 * np.exp(-((bx / 0.75) ** 2) - ((by - 1.65) / 0.28) ** 2)
        lit: Points = body + folds * (0.045 * crease + 0.03 * waist) + 0.05 * chest - chin
        return lit

    return light


def _torso(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    half: list[Pair] = [
        (NECK + 0.10, 1.50),
        (0.72, 1.66),
        (1.10, 1.82),
        (1.27, 2.16),
        (1.10, 2.75),
        (0.98, 3.3),
        (0.84, 4.05),
        (0.94, 4.65),
        (1.00, 5.22),
        (0.55, 5.32),
        (0.0, 5.34),
    ]
    neckline = {"shirt": (0.20, 2.35), "jacket": (0.20, 2.62), "sweater": (0.34, 1.74), "t-shirt": (0.36, 1.98)}
    dip_x, dip_y = neckline[portrait.outfit.garment]
    side = smooth(np.array(half), closed=False, steps=6)
    throat = smooth(
        np.array(
            [(-NECK - 0.10, 1.50), (-dip_x, dip_y - 0.22), (0.0, dip_y), (dip_x, dip_y - 0.22), (NECK + 0.10, 1.50)]
        ),
        closed=False,
        steps=6,
    )
    path = np.concatenate([throat, side, (side * (-1.0, 1.0))[::-1]])
    if portrait.outfit.garment == "jacket":
        inner = smooth(
            [
                (-0.40, 1.75),
                (-0.28, 2.0),
                (0.0, 2.12),
                (0.28, 2.0),
                (0.40, 1.75),
                (0.6, 2.6),
                (0.6, 4.9),
                (-0.6, 4.9),
                (-0.6, 2.6),
            ],
            steps=5,
        )
        canvas.shade([frame.body(inner)], _cloth(frame, portrait), ramp_of((236, 234, 228), (0.62, 0.62, 0.68)))
    canvas.shade([frame.body(path)], _cloth(frame, portrait), ramp_of(portrait.outfit.colour))
    if portrait.arms != "arms crossed":
        dark = scaled(portrait.outfit.colour, 0.55)
        for sign in (-1.0, 1.0):
            seam = stroke([(sign * 1.13, 2.35), (sign * 1.06, 2.75), (sign * 0.98, 3.2)], [0.005, 0.020, 0.008])
            canvas.glaze(frame.body(seam), dark, 0.6, frame.unit * 0.02)


def _collar(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    colour, garment = portrait.outfit.colour, portrait.outfit.garment
    dark, pale = scaled(colour, 0.62), mix(colour, (255, 255, 255), 0.16)
    if garment in ("sweater", "t-shirt"):
        low = 1.74 if garment == "sweater" else 1.98
        wide = 0.34 if garment == "sweater" else 0.36
        band = 0.105 if garment == "sweater" else 0.055
        ring = [(-NECK - 0.13, 1.53), (-wide, low - 0.17), (0.0, low), (wide, low - 0.17), (NECK + 0.13, 1.53)]
        canvas.glaze(frame.body(stroke(shifted(ring, 0.0, 0.07), [band] * 5)), dark, 0.5, frame.unit * 0.03)
        canvas.fill(frame.body(stroke(ring, [band * 0.9, band, band, band, band * 0.9])), pale)
        return
    if garment == "shirt":
        canvas.glaze(frame.body(stroke([(0.0, 2.3), (0.0, 3.8), (0.0, 5.2)], [0.05, 0.06, 0.06])), dark, 0.22, 0.5)
        for y in (2.62, 3.20, 3.78, 4.36, 4.94):
            canvas.fill(frame.body(ellipse(0.0, y, 0.042, 0.042)), mix(colour, (255, 255, 255), 0.72))
    for sign in (-1.0, 1.0):
        if garment == "shirt":
            wing = np.array([(0.30, 1.38), (0.47, 1.52), (0.56, 2.10), (0.05, 2.36), (0.16, 1.95)])
        else:
            wing = np.array(
                [(0.34, 1.42), (0.55, 1.52), (0.80, 2.25), (0.58, 2.40), (0.66, 2.60), (0.05, 3.5), (0.22, 2.3)]
            )
        path = wing * (sign, 1.0)
        canvas.glaze(frame.body(shifted(path, 0.0, 0.07)), scaled(colour, 0.4), 0.45, frame.unit * 0.04)
        canvas.fill(frame.body(path), pale if garment == "shirt" else scaled(colour, 0.86))
        canvas.fill(
            frame.body(
                stroke(path[[1, 2, 3]] if garment == "shirt" else path[[1, 2, 3, 4, 5]], [0.008, 0.012, 0.008], 2)
            ),
            dark,
        )
    if garment == "jacket":
        canvas.fill(frame.body(stroke([(0.02, 3.45), (0.0, 4.4), (0.0, 5.2)], [0.012, 0.014, 0.012])), dark)
        for y in (3.75, 4.35):
            canvas.fill(frame.body(ellipse(0.10, y, 0.05, 0.05)), scaled(colour, 0.45))


def _sleeve(canvas: Canvas, frame: Frame, portrait: Portrait, joints: list[Pair], radii: list[float]) -> None:
    paths = [
        frame.body(limb(a, b, ra, rb))
        for a, b, ra, rb in zip(joints[:-1], joints[1:], radii[:-1], radii[1:], strict=True)
    ]
    a, b = np.array(joints[:-1]), np.array(joints[1:])

    def light(x: Points, y: Points) -> Points:
        bx, by = frame.to_body(x, y)
        best = np.full(bx.shape, 9.0)
        tone = np.zeros(bx.shape)
        for start, end, radius in zip(a, b, radii, strict=False):
            line = end - start
            share = np.clip(((bx - start[0]) * line[0] + (by - start[1]) * line[1]) / (line @ line), 0, 1)
            dx, dy = bx - start[0] - share * line[0], by - start[1] - share * line[1]
            far = np.hypot(dx, dy) / radius
            lit = 0.62 - 0.26 * far**2 + (dx * portrait.light * 0.55 - dy * 0.22) / radius * 0.35
            lit = lit + 0.03 * np.sin((bx * 1.3 + by * 2.1) * 6.0)
            tone = np.where(far < best, lit, tone)
            best = np.minimum(best, far)
        return tone

    canvas.shade(paths, light, ramp_of(scaled(portrait.outfit.colour, 0.95)))


def _cuff(canvas: Canvas, frame: Frame, portrait: Portrait, wrist: Pair, towards: Pair) -> None:
    line = np.array(towards) - np.array(wrist)
    line = line / np.hypot(*line) * 0.10
    end = (wrist[0] + line[0], wrist[1] + line[1])
    path = stroke([wrist, end], [0.205, 0.20], steps=2)
    canvas.fill(frame.body(path), mix(portrait.outfit.colour, (255, 255, 255), 0.14))


def _arm(canvas: Canvas, frame: Frame, portrait: Portrait, side: int, upper_only: bool) -> None:
    posing = side == portrait.side
    shoulder = (side * SHOULDER[0], SHOULDER[1] + 0.10)
    if posing and portrait.arms == "hand raised" and portrait.framing == "close-up":
        # Nearer to the face, or the picture's edge would cut the hand off.
        joints = [shoulder, (side * 1.78, 2.95), (side * 1.40, 1.72)]
        hand: tuple[Side, Pair] = ("open", (side * 1.36, 1.26))
    elif posing and portrait.arms == "hand raised":
        joints = [shoulder, (side * 1.92, 3.00), (side * 1.86, 1.45)]
        hand = ("open", (side * 1.86, 0.98))
    elif posing and portrait.arms == "hand on hip":
        joints = [shoulder, (side * 2.06, 3.46), (side * 1.22, 4.42)]
        hand = ("none", (0.0, 0.0))
    else:
        joints = [shoulder, (side * 1.46, 3.62), (side * 1.42, 4.95)]
        hand = ("hanging", (side * 1.42, 5.32))
    if hand[0] != "none":
        draw_hand(canvas, frame, portrait, hand[0], hand[1], side)
    _sleeve(canvas, frame, portrait, joints, [0.31, 0.26, 0.185])
    _cuff(canvas, frame, portrait, joints[-1], (joints[-1][0] * 2 - joints[-2][0], joints[-1][1] * 2 - joints[-2][1]))


def _crossed(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    colour = scaled(portrait.outfit.colour, 0.35)
    s = portrait.side
    for sign, joints in (
        (-s, [(-s * SHOULDER[0], 2.18), (-s * 1.46, 3.42), (s * 0.62, 3.62)]),
        (s, [(s * SHOULDER[0], 2.18), (s * 1.46, 3.46), (-s * 0.74, 3.16)]),
    ):
        under = limb((joints[1][0] * 0.8, joints[1][1] + 0.16), (joints[2][0], joints[2][1] + 0.18), 0.26, 0.20)
        canvas.glaze(frame.body(under), colour, 0.50, frame.unit * 0.07)
        _sleeve(canvas, frame, portrait, joints, [0.31, 0.27, 0.19])
        if sign == s:
            _cuff(canvas, frame, portrait, joints[2], (joints[2][0] - s, joints[2][1] - 0.1))
            draw_hand(canvas, frame, portrait, "grip", (-s * 1.12, 3.10), -s)
    tucked = (s * 1.18, 3.46)
    draw_hand(canvas, frame, portrait, "tucked", tucked, s)


def _legs(canvas: Canvas, frame: Frame, portrait: Portrait) -> None:
    colour = _trousers(portrait)
    canvas.glaze(frame.body(ellipse(-portrait.light * 0.5, 10.12, 1.55, 0.16)), (24, 26, 34), 0.42, frame.unit * 0.13)
    for side in (-1, 1):
        shoe = smooth(
            [
                (side * 0.40, 9.55),
                (side * 0.78, 9.50),
                (side * 1.02, 9.88),
                (side * 1.00, 10.12),
                (side * 0.40, 10.12),
                (side * 0.34, 9.9),
            ],
            steps=5,
        )
        canvas.fill(frame.body(shoe), scaled(colour, 0.42))
        sole = stroke([(side * 0.36, 10.13), (side * 0.70, 10.14), (side * 1.02, 10.11)], [0.04, 0.045, 0.03], 3)
        canvas.fill(frame.body(sole), (232, 230, 226))
        edge = [
            (0.0, 4.9),
            (0.93, 4.9),
            (1.00, 5.25),
            (1.04, 5.8),
            (0.98, 7.3),
            (0.86, 9.62),
            (0.42, 9.66),
            (0.36, 7.5),
            (0.05, 5.75),
        ]
        path = smooth(np.array(edge) * (side, 1.0), steps=6)

        def light(x: Points, y: Points, side: int = side) -> Points:
            bx, by = frame.to_body(x, y)
            middle = side * (0.54 + 0.012 * by)
            across = (bx - middle) / 0.45
            lit: Points = 0.62 - 0.24 * across**2 + portrait.light * 0.14 * across + 0.035 * np.sin(by * 5.0 + bx * 3.0)
            return lit

        canvas.shade([frame.body(path)], light, ramp_of(colour))


def _trousers(portrait: Portrait) -> RGB:
    """A quiet colour that goes with the top: dark under light tops, slate under dark ones."""
    bright = sum(portrait.outfit.colour) / 3.0
    return (58, 66, 88) if bright > 110 else (116, 122, 136)
