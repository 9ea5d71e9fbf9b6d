"""A simulated portrait: everything that is drawn, and `draw`, which puts it on pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .person import RGB, Person

if TYPE_CHECKING:
    from PIL import Image

Framing = Literal["close-up", "upper body", "full body"]
Arms = Literal["down", "hand raised", "arms crossed", "hand on hip"]
Scene = Literal["plain", "gradient", "window", "trees"]
Garment = Literal["sweater", "shirt", "jacket", "t-shirt"]

FRAMINGS: tuple[Framing, ...] = ("close-up", "upper body", "full body")
ARMS: tuple[Arms, ...] = ("down", "hand raised", "arms crossed", "hand on hip")
SCENES: tuple[Scene, ...] = ("plain", "gradient", "window", "trees")
GARMENTS: tuple[Garment, ...] = ("sweater", "shirt", "jacket", "t-shirt")

HEAD_HEIGHT: dict[Framing, float] = {"close-up": 0.60, "upper body": 0.275, "full body": 0.165}
"""Usual head height (crown to chin) as a share of the picture height."""
HEAD_TOP: dict[Framing, float] = {"close-up": 0.50, "upper body": 0.235, "full body": 0.125}
"""Usual height of the head's centre as a share of the picture height, from the top."""


@dataclass(frozen=True)
class Background:
    """What is behind the person."""

    scene: Scene = "gradient"
    colour: RGB = (176, 190, 205)
    variant: int = 0
    """Chooses the arrangement of panes, trunks and lights."""


@dataclass(frozen=True)
class Outfit:
    """What the person wears."""

    garment: Garment = "sweater"
    colour: RGB = (70, 98, 140)


@dataclass(frozen=True)
class Portrait:
    """Everything that is drawn. Angles in degrees; shares are of the picture's width or height."""

    person: Person = field(default_factory=Person)
    roll_deg: float = 0.0
    """Head tilt, + = clockwise on screen; meant for -45 … 45."""
    yaw_deg: float = 0.0
    """+ = face to screen left; meant for -30 … 30."""
    pitch_deg: float = 0.0
    """+ = chin down; meant for -20 … 20."""
    framing: Framing = "close-up"
    head: float = HEAD_HEIGHT["close-up"]
    """Head height (crown to chin) / picture height."""
    centre_x: float = 0.5
    centre_y: float = HEAD_TOP["close-up"]
    arms: Arms = "down"
    side: int = 1
    """Which arm poses: 1 the one at screen right, -1 the one at screen left."""
    smile: float = 0.3
    """0 serious … 1 broad smile."""
    gaze: float = 0.0
    """-1 looks to screen left … 1 to screen right; 0 looks at the viewer."""
    background: Background = field(default_factory=Background)
    outfit: Outfit = field(default_factory=Outfit)
    light: float = -0.5
    """Where the light comes from: -1 screen left … 1 screen right."""
    contrast: float = 1.0
    blur: float = 0.0
    """Blur radius in pixels of a 512-pixel-high picture."""
    grain: float = 1.0
    """Strength of the film grain; 1 is just visible."""
    noise_seed: int = 0


def draw(portrait: Portrait, width: int, height: int) -> Image.Image:
    """The portrait as an RGB picture of this size in pixels (at least 16 x 16); the same every time.

    Raises ValueError for a smaller size.
    """
    if width < 16 or height < 16:
        raise ValueError(f"a portrait needs at least 16 x 16 pixels, {width} x {height} was asked for")
    from .drawing.compose import compose

    return compose(portrait, width, height)
