"""From pixels to what is drawn: the opposite of `portrait.draw`, used to learn from pictures and to answer with
tags.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import cos, radians, sin
from pathlib import Path
from typing import TYPE_CHECKING

from .drawing.chance import normal, uniform
from .person import DIALS, RGB, Person, from_values, skin_colour, to_values
from .portrait import GARMENTS, SCENES, Arms, Background, Framing, Outfit

if TYPE_CHECKING:
    from PIL import Image

    from .drawing.reading import Floats, Place, Shrunk

CLOSE_UP_FROM = 0.42
"""Head height / picture height from which a picture is a close-up."""
UPPER_BODY_FROM = 0.225
LIKE_A_HEAD = 0.40
"""Lowest agreement (correlation, 0 … 1) with a redrawn head at which a head counts as found."""

DOUBTFUL = 0.55
"""Agreement under which every tilt is tried."""
RESTLESS = 0.30
"""A head that the aligner still wants to move by more than this (sum of its corrections) is none."""
AT_REST = 0.006
"""A head that moves by less than this is looked at before any other place is tried."""
CERTAIN = 0.62
"""Agreement from which no other place is tried."""


@dataclass(frozen=True)
class Seen:
    """What is seen in a picture; fields as in `Portrait`. Where `found` is False the rest is only a mild guess."""

    found: bool
    sureness: float
    """Agreement of the picture's head with the head redrawn from what was read, -1 … 1."""
    person: Person
    roll_deg: float
    yaw_deg: float
    pitch_deg: float
    framing: Framing
    head: float
    centre_x: float
    centre_y: float
    arms: Arms
    side: int
    smile: float
    gaze: float
    light: float
    background: Background
    outfit: Outfit


def look(image: Image.Image) -> Seen:
    """What is drawn in the picture, whatever its size or mode; `found` is False when no simulated head is in it."""
    from .drawing.reading import TILTS, Shrunk, candidates

    picture = Shrunk(_flattened(image))
    starts = candidates(picture)
    best = _best(picture, starts)
    if starts and (best is None or best.agreement < DOUBTFUL):
        # Seldom: the tilt was misjudged from afar. Try every tilt at the likeliest places.
        again = [(score, replace(place, roll_deg=tilt)) for score, place in starts[:4] for tilt in TILTS]
        other = _best(picture, again)
        best = other if other is not None and (best is None or other.merit > best.merit) else best
    if best is None:
        return _guess(picture)
    return _seen(picture, best.place, best.face, best.agreement)


@dataclass(frozen=True)
class _Try:
    """One place a head was looked for."""

    merit: float
    agreement: float
    place: Place
    face: Floats


def _best(picture: Shrunk, starts: list[tuple[float, Place]]) -> _Try | None:
    from .drawing.reading import aligned

    settled: list[tuple[float, float, Place]] = []
    for score, start in starts:
        place, unrest = aligned(picture, start)
        if unrest <= RESTLESS and _inside(picture, place):
            settled.append((unrest - 0.1 * min(1.0, score), unrest, place))
        if unrest < AT_REST:
            break
    best: _Try | None = None
    for _, unrest, place in sorted(settled, key=lambda one: one[0])[:5]:
        if best is not None and _same(place, best.place):
            continue
        face = _face(picture, place)
        agreement = _agreement(picture, place, face)
        if best is None or agreement - unrest > best.merit:
            best = _Try(agreement - unrest, agreement, place, face)
        if best.agreement > CERTAIN:
            break
    return best


def _same(one: Place, other: Place) -> bool:
    near = abs(one.x - other.x) + abs(one.y - other.y) < 0.1 * one.unit
    return near and abs(one.roll_deg - other.roll_deg) < 3.0


def look_at_file(path: Path) -> Seen:
    """`look` at a picture file, remembered until the file changes. Raises OSError for an unreadable picture."""
    state = path.stat()
    return _looked_at(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _looked_at(path: str, _changed: int, _size: int) -> Seen:
    from PIL import Image

    with Image.open(path) as image:
        return look(image)


@lru_cache(maxsize=512)
def _read_closely(path: str, changed: int, size: int) -> Person:
    import numpy as np
    from PIL import Image

    from .drawing.close_reading import SCALES, read_closely
    from .drawing.frame import PIVOT_Y
    from .drawing.reading import Place, Shrunk

    seen = _looked_at(path, changed, size)
    with Image.open(path) as image:
        picture = Shrunk(_flattened(image))
    width, height = picture.image.size
    unit = seen.head * height / 2.0
    c, s = cos(radians(seen.roll_deg)), sin(radians(seen.roll_deg))
    x = seen.centre_x * width + PIVOT_Y * s * unit
    y = seen.centre_y * height + PIVOT_Y * (1.0 - c) * unit
    rest = zip((seen.yaw_deg, seen.pitch_deg, seen.smile, seen.gaze, seen.light), SCALES, strict=True)
    first = np.asarray([*to_values(seen.person), *[value / scale for value, scale in rest]], dtype=np.float32)
    return read_closely(picture, Place(x, y, unit, seen.roll_deg), first)


def person_in_file(path: Path) -> Person:
    """Who is in a picture file, read with more care (and ten times more time) than by `look`; remembered.

    Meant for pictures in which `look_at_file` finds somebody. Raises OSError for an unreadable picture.
    """
    state = path.stat()
    return _read_closely(str(path), state.st_mtime_ns, state.st_size)


def tags(image: Image.Image, rng_seed: int = 0) -> dict[str, float]:
    """Danbooru-like tags with probabilities 0 … 1, from what is seen in the picture, with a tagger's mistakes.

    The mistakes hang on `rng_seed` and on the picture itself. About 95 of 100 poses that are drawn are recognised;
    about 3 of 100 are seen where there are none.
    """
    from .drawing.tagging import tags_of

    seen = look(image)
    small = image.convert("L").resize((16, 16)).tobytes().hex()
    return tags_of(
        seen, lambda *words: uniform(rng_seed, small, *words), lambda *words: normal(rng_seed, small, *words)
    )


def _flattened(image: Image.Image) -> Image.Image:
    """RGB, at least 24 pixels and at most 1024 pixels on a side; transparent places become grey."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (160, 160, 160, 255))
        ground.alpha_composite(image)
        image = ground
    image = image.convert("RGB")
    longest, shortest = max(image.size), min(image.size)
    factor = 1024.0 / longest if longest > 1024 else max(1.0, 24.0 / shortest)
    if factor != 1.0:
        # A very long strip is squeezed: there is no head to be found in it anyway.
        size = tuple(min(1024, max(24, round(side * factor))) for side in image.size)
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return image


def _inside(picture: Shrunk, place: Place) -> bool:
    width, height = picture.image.size
    fits = -0.1 * width < place.x < 1.1 * width and -0.15 * height < place.y < 1.1 * height
    return fits and 0.04 * height < 2 * place.unit < 1.6 * height and abs(place.roll_deg) < 75.0


def _face(picture: Shrunk, place: Place) -> Floats:
    from .drawing.reading import apply, face_features

    return apply("face", face_features(picture, place))


def _person(face: Floats) -> Person:
    return from_values([float(value) for value in face[: len(DIALS)]])


def _agreement(picture: Shrunk, place: Place, face: Floats) -> float:
    """Correlation of the head's pixels with a head redrawn from what was read."""

    from .drawing.redraw import head_only

    reach = (-0.95, -1.0, 0.95, 1.05)
    crop = picture.crop(place, reach, (24, 26))
    again = head_only(_person(face), *_rest(face))
    whole = _correlation(crop - crop.mean(), again - again.mean())
    # Large patches of skin and hair agree with a hand, too; eyes, brows and mouth do not.
    return 0.4 * whole + 0.6 * _correlation(_fine(crop), _fine(again))


def _fine(crop: Floats) -> Floats:
    """What is left of the inner face when its own soft copy is taken off."""
    import numpy as np

    grey = np.pad(crop.mean(axis=2), 2, mode="edge")
    soft = sum(grey[i : i + crop.shape[0], j : j + crop.shape[1]] for i in range(5) for j in range(5)) / 25.0
    inner: Floats = (grey[2:-2, 2:-2] - soft)[8:24, 3:21]
    return inner


def _correlation(a: Floats, b: Floats) -> float:
    import numpy as np

    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-6 else 0.0


def _rest(face: Floats) -> tuple[float, float, float, float, float]:
    """Yaw, pitch (degrees), smile, gaze, light as read."""
    yaw, pitch, smile, gaze, light = (float(value) for value in face[len(DIALS) : len(DIALS) + 5])
    return (
        max(-25.0, min(25.0, 20.0 * yaw)),
        max(-18.0, min(18.0, 15.0 * pitch)),
        max(0.0, min(1.0, smile)),
        max(-1.0, min(1.0, gaze)),
        max(-1.0, min(1.0, light)),
    )


def _seen(picture: Shrunk, place: Place, face: Floats, agreement: float) -> Seen:
    import numpy as np

    from .drawing.frame import PIVOT_Y
    from .drawing.reading import ARM_KINDS, apply, body_features

    person = _person(face)
    yaw, pitch, smile, gaze, light = _rest(face)
    skin = np.asarray(skin_colour(person), dtype=np.float32) / 255.0
    body = apply("body", body_features(picture, place, skin))
    arms, side = ARM_KINDS[int(body[:6].argmax())]
    garment = GARMENTS[int(body[6:10].argmax())]
    width, height = picture.image.size
    head = 2.0 * place.unit / height
    framing: Framing = "close-up" if head >= CLOSE_UP_FROM else "upper body" if head >= UPPER_BODY_FROM else "full body"
    # A close-up does not show whether an arm is crossed or on a hip.
    if framing == "close-up" and arms in ("arms crossed", "hand on hip"):
        arms = "down"
    c, s = cos(radians(place.roll_deg)), sin(radians(place.roll_deg))
    return Seen(
        found=agreement >= LIKE_A_HEAD,
        sureness=agreement,
        person=person,
        roll_deg=place.roll_deg,
        yaw_deg=yaw,
        pitch_deg=pitch,
        framing=framing,
        head=head,
        centre_x=(place.x - PIVOT_Y * s * place.unit) / width,
        centre_y=(place.y - PIVOT_Y * (1.0 - c) * place.unit) / height,
        arms=arms,
        side=side or 1,
        smile=smile,
        gaze=gaze,
        light=light,
        background=_background(picture),
        outfit=Outfit(garment, _colour(body[10:13])),
    )


def _background(picture: Shrunk) -> Background:
    from .drawing.reading import apply, scene_features

    scene = apply("scene", scene_features(picture))
    return Background(SCENES[int(scene[:4].argmax())], _colour(scene[4:7]), 0)


def _colour(values: Floats) -> RGB:
    red, green, blue = (max(0, min(255, round(float(value) * 255.0))) for value in values)
    return red, green, blue


def _guess(picture: Shrunk) -> Seen:
    """For a picture without any head-like place: an ordinary person in the middle."""
    return Seen(
        found=False,
        sureness=0.0,
        person=Person(),
        roll_deg=0.0,
        yaw_deg=0.0,
        pitch_deg=0.0,
        framing="upper body",
        head=0.275,
        centre_x=0.5,
        centre_y=0.235,
        arms="down",
        side=1,
        smile=0.3,
        gaze=0.0,
        light=-0.6,
        background=_background(picture),
        outfit=Outfit(),
    )
