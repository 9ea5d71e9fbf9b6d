"""Random datasets whose truth is known: `world(seed)`. Another seed gives another world, for whoever wants to try.

Half of them are tilted: the heads of one or more groups lean to one side. The others are balanced: they lean this way
and that, dressed and placed differently. A third of the worlds has copies among its pictures. The pictures can be drawn
(`draw_world`), or their measurements made up from the same numbers with the errors measured on drawings (`numbers`).
"""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.dataset import DatasetPicture
from orchestrator.profile.model import Group
from orchestrator.sandbox.portrait import (
    FRAMINGS,
    GARMENTS,
    HEAD_HEIGHT,
    SCENES,
    Background,
    Framing,
    Outfit,
    Portrait,
    draw,
)
from orchestrator.vision import Face, Measurement
from orchestrator.vision.model import Surroundings
from tests.portraits import portrait

#: A world counts as tilted from this mean on; the check is asked for 5°.
TILTS = (9.0, 24.0)
TILT_SPREADS, BALANCED_SPREADS = (0.5, 3.0), (2.0, 6.0)
TRIGGER = "ai_model_v4"


@dataclass(frozen=True)
class World:
    """One dataset. `tilted` are the groups that lean, with their true mean; `copies` are pairs of (group, number)."""

    seed: int
    portraits: dict[Framing, tuple[Portrait, ...]]
    tilted: dict[Framing, float]
    copies: tuple[tuple[Framing, int], ...] = ()
    #: Whether background and clothes are the same in all pictures, or in many.
    uniform: bool = False
    groups: tuple[Group, ...] = field(default_factory=tuple)

    @property
    def is_balanced(self) -> bool:
        return not self.tilted and not self.uniform


def world(seed: int, *, uniform: bool = False, shared: float = 0.0) -> World:
    """The world of this seed: even ones are tilted, odd ones balanced. `uniform` dresses and places all alike, `shared`
    that share of each group (0…1).
    """
    chance = random.Random(f"dataset world {seed}")
    framings = chance.sample(FRAMINGS, chance.choice((2, 3, 3)))
    each = chance.randint(8, 12)
    leaning = chance.sample(framings, chance.choice((1, 1, len(framings)))) if seed % 2 == 0 else []
    tilts = {framing: chance.choice((-1, 1)) * chance.uniform(*TILTS) for framing in leaning}
    person = chance.randrange(2**31)
    portraits: dict[Framing, tuple[Portrait, ...]] = {}
    for framing in framings:
        spread = chance.uniform(*(TILT_SPREADS if framing in tilts else BALANCED_SPREADS))
        portraits[framing] = tuple(
            _portrait(
                chance, person, framing, tilts.get(framing, 0.0), spread, uniform or number < round(shared * each)
            )
            for number in range(each)
        )
    copies: list[tuple[Framing, int]] = []
    if chance.random() < 1 / 3:
        framing = chance.choice(framings)
        ones = list(portraits[framing])
        # A copy differs in its grain alone.
        ones[-1] = replace(ones[0], noise_seed=ones[0].noise_seed + 1)
        portraits[framing] = tuple(ones)
        copies.append((framing, len(ones) - 1))
    groups = tuple(
        Group(name=framing, caption=f"{TRIGGER}, {framing}", folders=(framing,), framing=framing)
        for framing in framings
    )
    return World(seed, portraits, tilts, tuple(copies), uniform or shared > 0, groups)


def _portrait(
    chance: random.Random, person: int, framing: Framing, tilt: float, spread: float, uniform: bool
) -> Portrait:
    colour = (70, 98, 140) if uniform else _colour(chance, 0.45)
    wall = (176, 190, 205) if uniform else _colour(chance, 0.25)
    return portrait(
        person,
        framing,
        roll_deg=max(-40.0, min(40.0, chance.gauss(tilt, spread))),
        yaw_deg=max(-16.0, min(16.0, chance.gauss(0.0, 5.0))),
        pitch_deg=max(-8.0, min(8.0, chance.gauss(0.0, 3.0))),
        head=HEAD_HEIGHT[framing] * chance.uniform(0.95, 1.05),
        centre_x=chance.uniform(0.46, 0.54),
        smile=chance.uniform(0.0, 1.0),
        gaze=chance.choice((0.0, 0.0, 0.0, 0.8, -0.8)),
        background=Background("gradient" if uniform else chance.choice(SCENES), wall, chance.randrange(12)),
        outfit=Outfit("sweater" if uniform else chance.choice(GARMENTS), colour),
        light=chance.choice((-0.6, 0.6)),
        noise_seed=chance.randrange(2**31),
    )


def _colour(chance: random.Random, strength: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(chance.random(), chance.uniform(0.1, 2 * strength), chance.uniform(0.3, 0.9))
    return round(255 * red), round(255 * green), round(255 * blue)


def pictures(made: World, folder: Path = Path()) -> list[DatasetPicture]:
    """The dataset's pictures by name, drawn or not."""
    return [
        DatasetPicture(
            folder / framing / f"{number:04d}.png", framing, f"{TRIGGER}, {framing}", framing, f"{framing}{number}"
        )
        for framing, ones in made.portraits.items()
        for number in range(len(ones))
    ]


def draw_world(made: World, folder: Path, side: int = 384) -> list[DatasetPicture]:
    """Draw all pictures into `folder`, one folder for each group."""
    named = pictures(made, folder)
    for picture, one in zip(named, (each for ones in made.portraits.values() for each in ones), strict=True):
        picture.path.parent.mkdir(parents=True, exist_ok=True)
        draw(one, side, side).save(picture.path)
    return named


def numbers(made: World) -> list[Measurement]:
    """The measurements the pictures would give, from the portraits' numbers and the errors measured on drawings."""
    chance = random.Random(f"measurements {made.seed}")
    found = []
    hashes: dict[int, Portrait] = {}
    for framing, ones in made.portraits.items():
        for number, one in enumerate(ones):
            first = ones[0] if (framing, number) in made.copies else one
            key = random.Random(repr(replace(first, noise_seed=0)))
            bits = key.getrandbits(64)
            hashes[bits] = one
            found.append(
                Measurement(
                    sha256=f"{framing}{number}",
                    width=512,
                    height=512,
                    sharpness=2.0 + chance.gauss(0, 0.1),
                    dhash=bits,
                    dhash_mirror=key.getrandbits(64),
                    colours=key.randbytes(768).hex(),
                    face=_face(chance, one),
                    backend="mediapipe FaceMesh",
                    faces=1,
                    detail=chance.gauss(-2.0, 0.15),
                    around=Surroundings(
                        one.background.colour,
                        0 if one.background.scene in {"plain", "gradient"} else key.getrandbits(64),
                        one.outfit.colour,
                        tuple(key.randbytes(96).hex() for _ in range(6)),
                    ),
                )
            )
    return found


def _face(chance: random.Random, one: Portrait) -> Face:
    ratio = {"close-up": 0.42, "upper body": 0.2, "full body": 0.115}[one.framing]
    height = round(512 * ratio)
    box = (round(512 * one.centre_x - height * 0.42), round(512 * one.centre_y - height / 2) + 20)
    return Face(
        roll_deg=one.roll_deg + chance.gauss(0, 1.2 if one.framing == "full body" else 0.5),
        yaw_deg=0.7 * one.yaw_deg + chance.gauss(0, 0.8),
        pitch_deg=8.0 + one.pitch_deg + chance.gauss(0, 1.0),
        box=(box[0], box[1], round(height * 0.84), height),
        height_ratio=ratio,
        sharpness=2.0 + chance.gauss(0, 0.1),
        framing=one.framing,
        gaze=0.2 * one.gaze + chance.gauss(0, 0.03),
        smile=0.025 + 0.16 * one.smile + chance.gauss(0, 0.01),
        mouth_open=0.0,
    )
