"""Fit the numbers of `reading` on drawn pictures: `python -m orchestrator.sandbox.drawing.fit_reading [pictures]`.

Run it after changing how portraits are drawn; it takes some minutes and writes `reading.npz`.
"""

from __future__ import annotations

import sys
from io import BytesIO
from math import cos, radians, sin

import numpy as np
from PIL import Image

from ..person import blend, person_of, skin_colour, to_values
from ..portrait import (
    ARMS,
    FRAMINGS,
    GARMENTS,
    HEAD_HEIGHT,
    HEAD_TOP,
    SCENES,
    Background,
    Outfit,
    Portrait,
    draw,
)
from . import reading
from .frame import Frame
from .reading import Floats, Place, Shrunk

SIZES = ((512, 512), (384, 384), (512, 768), (640, 360), (448, 512))


def chance_portrait(random: np.random.Generator) -> Portrait:
    """Any portrait the sandbox may be asked to draw."""
    framing = FRAMINGS[int(random.integers(3))]
    seed = int(random.integers(1 << 30))
    tilt = 17.0 if framing == "close-up" else 11.0
    colour = tuple(int(value) for value in random.integers(30, 236, 3))
    wall = random.integers(110, 226) + random.integers(-26, 27, 3)
    grey = tuple(int(value) for value in np.full(3, colour[0]) + random.integers(-8, 9, 3))
    outfit = colour if random.random() < 0.6 else grey
    return Portrait(
        person=blend(person_of(seed), person_of(seed + 1), float(random.choice([0.0, random.random()]))),
        roll_deg=float(np.clip(random.normal(0, tilt), -44, 44)),
        yaw_deg=float(np.clip(random.normal(0, 7), -20, 20)),
        pitch_deg=float(np.clip(random.normal(0, 5), -16, 16)),
        framing=framing,
        head=HEAD_HEIGHT[framing] * float(random.uniform(0.88, 1.14)),
        centre_x=float(0.5 + random.normal(0, 0.025)),
        centre_y=float(HEAD_TOP[framing] + random.normal(0, 0.015)),
        arms=ARMS[int(random.integers(4))],
        side=int(random.choice([-1, 1])),
        smile=float(random.uniform(0, 1)),
        gaze=float(random.choice([0.0, random.uniform(-1, 1)])),
        background=Background(
            SCENES[int(random.integers(4))], (int(wall[0]), int(wall[1]), int(wall[2])), int(random.integers(12))
        ),
        outfit=Outfit(GARMENTS[int(random.integers(4))], (int(outfit[0]), int(outfit[1]), int(outfit[2]))),
        light=float(random.choice([-0.6, 0.6])),
        contrast=float(random.uniform(0.95, 1.15)),
        blur=float(random.choice([0.0, random.uniform(0, 1.2)])),
        noise_seed=seed,
    )


def handled(picture: Image.Image, place: Place, random: np.random.Generator) -> tuple[Image.Image, Place]:
    """The picture after what people do to it: turned and cropped, rescaled, saved as JPEG; with the head's new
    place.
    """
    if random.random() < 0.4:
        angle = float(random.uniform(-18, 18))
        keep = float(random.uniform(0.74, 0.9))
        width, height = picture.size
        c, s = cos(radians(angle)), sin(radians(angle))
        aim_x = width / 2 + float(np.clip(place.x - width / 2, -0.06 * width, 0.06 * width))
        aim_y = height / 2 + float(np.clip(place.y - height / 2, -0.10 * height, 0.10 * height))
        size = (round(width * keep), round(height * keep))
        # Crop pixel (i, j) shows the picture at aim + R(-angle) (i - w/2, j - h/2).
        matrix = (
            c,
            s,
            aim_x - c * size[0] / 2 - s * size[1] / 2,
            -s,
            c,
            aim_y + s * size[0] / 2 - c * size[1] / 2,
        )
        picture = picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        dx, dy = place.x - aim_x, place.y - aim_y
        place = Place(dx * c - dy * s + size[0] / 2, dx * s + dy * c + size[1] / 2, place.unit, place.roll_deg + angle)
    if random.random() < 0.5:
        scale = float(np.exp(random.uniform(np.log(0.5), np.log(1.6))))
        size = (max(32, round(picture.width * scale)), max(32, round(picture.height * scale)))
        place = Place(
            place.x * size[0] / picture.width,
            place.y * size[1] / picture.height,
            place.unit * size[1] / picture.height,
            place.roll_deg,
        )
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if random.random() < 0.4:
        store = BytesIO()
        picture.save(store, "JPEG", quality=int(random.integers(80, 96)))
        picture = Image.open(store).convert("RGB")
    return picture, place


def true_place(portrait: Portrait, width: int, height: int) -> Place:
    """Where the head of a drawn portrait is."""
    frame = Frame(portrait, width, height)
    x, y = frame.head(np.zeros((1, 2)))[0]
    return Place(float(x), float(y), frame.unit, portrait.roll_deg)


def face_targets(portrait: Portrait) -> list[float]:
    """What the face reader answers: the dials, yaw / 20, pitch / 15, smile, gaze, light."""
    return [
        *to_values(portrait.person),
        portrait.yaw_deg / 20.0,
        portrait.pitch_deg / 15.0,
        portrait.smile,
        portrait.gaze,
        portrait.light,
    ]


def body_targets(portrait: Portrait) -> list[float]:
    """What the body reader answers: one-hot arms, one-hot garment, colour of the clothes."""
    arms = [float(kind == portrait.arms and side in (0, portrait.side)) for kind, side in reading.ARM_KINDS]
    garment = [float(kind == portrait.outfit.garment) for kind in GARMENTS]
    return [*arms, *garment, *[value / 255.0 for value in portrait.outfit.colour]]


class _Rows:
    """Features and targets of one reader while they are gathered."""

    def __init__(self) -> None:
        self.x: list[Floats] = []
        self.y: list[Floats] = []

    def add(self, features: Floats, target: object) -> None:
        self.x.append(features.astype(np.float16).astype(np.float32))
        self.y.append(np.asarray(target, dtype=np.float32))

    def fit(self, damp: float) -> Floats:
        """Ridge regression; the last row is the constant."""
        x, y = np.stack(self.x), np.stack(self.y)
        mx, my = x.mean(0), y.mean(0)
        x, y = x - mx, y - my
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += damp * len(x)
        solution = np.linalg.solve(gram.astype(np.float64), (x.T @ y).astype(np.float64))
        return np.vstack([solution, my - mx @ solution]).astype(np.float32)


def _gather_find(rows: _Rows, picture: Shrunk, place: Place, random: np.random.Generator) -> None:
    for positive in (True, True, *[False] * 7):
        unit = place.unit * float(np.exp(random.uniform(-0.13, 0.13)))
        x = place.x + float(random.uniform(-0.15, 0.15)) * unit
        y = place.y + float(random.uniform(-0.15, 0.15)) * unit
        target = [max(0.0, 1.0 - abs(place.roll_deg - tilt) / 24.0) ** 0.5 for tilt in reading.TILTS]
        if not positive:
            unit = place.unit * float(np.exp(random.uniform(-1.2, 0.9)))
            x, y = float(random.uniform(0, picture.image.width)), float(random.uniform(0, picture.image.height))
            if random.random() < 0.4:
                x = place.x + float(random.normal(0, 0.8)) * place.unit
                y = place.y + float(random.normal(0, 1.2)) * place.unit
            elif random.random() < 0.5:
                # Where hands are: the thing most like a head.
                unit = place.unit * float(np.exp(random.uniform(-1.5, -0.4)))
                x = place.x + float(random.choice([-1, 1]) * random.uniform(0.7, 2.1)) * place.unit
                y = place.y + float(random.uniform(0.3, 4.8)) * place.unit
            far = np.hypot(x - place.x, y - place.y) / place.unit + 2.0 * abs(np.log(unit / place.unit))
            if far < 0.9:
                continue
            target = [0.0] * len(reading.TILTS)
        reach = reading.FIND_SIDE / reading.FIND_HEAD
        side = reading.FIND_SIDE
        crop = picture.crop(Place(x, y, unit, 0.0), (-reach, -reach, reach, reach), (side, side), upright=False)
        crop = np.concatenate([crop, reading.skin_like(crop)[..., None]], axis=2)
        rows.add(reading.find_windows(crop.transpose(2, 0, 1)[None])[0], target)


def _gather_align(rows: list[_Rows], picture: Shrunk, place: Place, random: np.random.Generator) -> None:
    for stage, (shift, growth, tilt) in enumerate(((0.28, 0.26, 18.0), (0.10, 0.09, 7.0), (0.05, 0.04, 3.0))):
        for _ in range(3):
            start = Place(0, 0, place.unit * float(np.exp(random.uniform(-growth, growth))), 0)
            roll = place.roll_deg + float(random.uniform(-tilt, tilt))
            ax, ay = (float(value) for value in random.uniform(-shift, shift, 2))
            c, s = cos(radians(roll)), sin(radians(roll))
            start = Place(
                place.x - (ax * c - ay * s) * start.unit, place.y - (ax * s + ay * c) * start.unit, start.unit, roll
            )
            target = [ax, ay, float(np.log(place.unit / start.unit)), (place.roll_deg - roll) / 20.0]
            rows[stage].add(reading.align_features(picture, start, stage), target)


def fit(count: int = 3000, seed: int = 1) -> None:
    """Draw `count` pictures, fit all readers and write them."""
    random = np.random.default_rng(seed)
    find, face, body, scene = _Rows(), _Rows(), _Rows(), _Rows()
    align = [_Rows() for _ in reading.ALIGN_SIDE]
    for index in range(count):
        portrait = chance_portrait(random)
        width, height = SIZES[int(random.choice(len(SIZES), p=[0.5, 0.2, 0.12, 0.1, 0.08]))]
        image, place = handled(draw(portrait, width, height), true_place(portrait, width, height), random)
        picture = Shrunk(image)
        _gather_find(find, picture, place, random)
        _gather_align(align, picture, place, random)
        for _ in range(2):
            near = place.corrected(
                np.asarray([*random.normal(0, 0.012, 2), random.normal(0, 0.012), random.normal(0, 0.03)], np.float32)
            )
            face.add(reading.face_features(picture, near), face_targets(portrait))
        skin = np.asarray(skin_colour(portrait.person), dtype=np.float32) / 255.0
        body.add(reading.body_features(picture, place, skin), body_targets(portrait))
        kinds = [float(kind == portrait.background.scene) for kind in SCENES]
        scene.add(reading.scene_features(picture), [*kinds, *[v / 255.0 for v in portrait.background.colour]])
        if index % 200 == 199:
            sys.stderr.write(f"{index + 1} of {count} pictures\n")
    found = {"find": find.fit(0.02), "face": face.fit(8e-3), "body": body.fit(1.5e-2), "scene": scene.fit(1e-2)}
    found |= {f"align{stage}": rows.fit(8e-3) for stage, rows in enumerate(align)}
    np.savez_compressed(reading.NUMBERS, **{name: value.astype(np.float16) for name, value in found.items()})


if __name__ == "__main__":
    fit(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
