"""What a prompt asks for: phrases with their attention, read the way A1111 writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..person import RGB
from ..portrait import Arms, Framing, Garment, Scene

Wish = tuple[str, float]
"""(phrase in lower case, attention)."""

_TOKEN = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:|\\")


def wishes(prompt: str) -> list[Wish]:
    """The phrases of a prompt with their attention: `(words)` is 1.1, `(words:1.4)` is 1.4, `[words]` is 1/1.1."""
    pieces: list[list[object]] = []
    round_open: list[int] = []
    square_open: list[int] = []

    def scale(start: int, factor: float) -> None:
        for piece in pieces[start:]:
            piece[1] = float(str(piece[1])) * factor

    for match in _TOKEN.finditer(prompt):
        text = match.group(0)
        if text == "(":
            round_open.append(len(pieces))
        elif text == "[":
            square_open.append(len(pieces))
        elif match.group(1) is not None and round_open:
            scale(round_open.pop(), _number(match.group(1)))
        elif text == ")" and round_open:
            scale(round_open.pop(), 1.1)
        elif text == "]" and square_open:
            scale(square_open.pop(), 1 / 1.1)
        else:
            for part in re.split(r"([,\n])", text.replace("\\", "")):
                pieces.append([part, 1.0])
    for start in round_open:
        scale(start, 1.1)
    return _phrases(pieces)


def _phrases(pieces: Iterable[list[object]]) -> list[Wish]:
    found: list[Wish] = []
    words: list[str] = []
    attention = 1.0
    for text, weight in [*((str(p[0]), float(str(p[1]))) for p in pieces), (",", 1.0)]:
        if text in (",", "\n"):
            phrase = " ".join("".join(words).lower().split())
            if phrase:
                found.append((phrase, attention))
            words, attention = [], 1.0
        else:
            words.append(text)
            if text.strip() and abs(weight - 1.0) > abs(attention - 1.0):
                attention = weight
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


@dataclass(frozen=True)
class Asked:
    """What a prompt asks for; None where it says nothing. Attentions are 1 where nobody asked for more."""

    framing: Framing | None = None
    framing_attention: float = 1.0
    arms: Arms | None = None
    arms_attention: float = 1.0
    roll_deg: float | None = None
    roll_attention: float = 1.0
    pitch_deg: float | None = None
    pitch_attention: float = 1.0
    smile: float | None = None
    gaze: float | None = None
    straight: bool = False
    sharp: float = 0.0
    scene: Scene | None = None
    background: RGB | None = None
    garment: Garment | None = None
    outfit: RGB | None = None
    hair_light: float | None = None
    hair_red: float | None = None
    hair_length: float | None = None
    eye_hue: float | None = None
    phrases: tuple[str, ...] = ()


COLOURS: dict[str, RGB] = {
    "red": (168, 48, 54),
    "dark red": (116, 32, 42),
    "blue": (58, 92, 158),
    "light blue": (130, 170, 214),
    "navy": (40, 52, 92),
    "green": (52, 112, 84),
    "dark green": (34, 74, 58),
    "yellow": (212, 172, 66),
    "white": (232, 231, 227),
    "black": (48, 48, 54),
    "grey": (128, 132, 138),
    "gray": (128, 132, 138),
    "brown": (116, 84, 64),
    "purple": (124, 84, 150),
    "pink": (216, 140, 164),
    "orange": (204, 118, 52),
    "teal": (44, 122, 128),
    "beige": (206, 192, 166),
}

_FRAMINGS: dict[str, Framing] = {
    "close-up": "close-up",
    "close up": "close-up",
    "closeup": "close-up",
    "portrait": "close-up",
    "face": "close-up",
    "headshot": "close-up",
    "upper body": "upper body",
    "cowboy shot": "upper body",
    "half body": "upper body",
    "full body": "full body",
    "full-body": "full body",
    "whole body": "full body",
    "upper_body": "upper body",
    "full_body": "full body",
}
_ARMS: dict[str, Arms] = {
    "hand raised": "hand raised",
    "raised hand": "hand raised",
    "arm up": "hand raised",
    "hand up": "hand raised",
    "raising hand": "hand raised",
    "waving": "hand raised",
    "arm raised": "hand raised",
    "arms up": "hand raised",
    "arms crossed": "arms crossed",
    "crossed arms": "arms crossed",
    "hand on hip": "hand on hip",
    "hand on own hip": "hand on hip",
    "hands on hips": "hand on hip",
    "arms down": "down",
    "arms at sides": "down",
}
_SCENES: dict[str, tuple[Scene, RGB | None]] = {
    "simple background": ("plain", None),
    "plain background": ("plain", None),
    "studio": ("gradient", None),
    "gradient background": ("gradient", None),
    "window": ("window", None),
    "indoors": ("window", None),
    "room": ("window", None),
    "office": ("window", None),
    "outdoors": ("trees", None),
    "trees": ("trees", None),
    "forest": ("trees", None),
    "park": ("trees", None),
    "garden": ("trees", None),
    "nature": ("trees", None),
}
_GARMENTS: dict[str, Garment] = {
    "sweater": "sweater",
    "pullover": "sweater",
    "hoodie": "sweater",
    "t-shirt": "t-shirt",
    "tee": "t-shirt",
    "shirt": "shirt",
    "blouse": "shirt",
    "jacket": "jacket",
    "blazer": "jacket",
    "suit": "jacket",
    "coat": "jacket",
}


def asked(prompt: str) -> Asked:
    """What the prompt asks for. Later phrases win over earlier ones only where they ask with more attention."""
    found: dict[str, object] = {}
    phrases: list[str] = []
    for phrase, attention in wishes(prompt):
        if attention <= 0.0:
            continue
        plain = phrase.replace("_", " ")
        phrases.append(plain)
        _pose(found, plain, attention)
        _mood(found, plain, attention)
        _look_of_things(found, plain)
    return Asked(**found, phrases=tuple(phrases))  # type: ignore[arg-type]


def _has(phrase: str, words: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", phrase) is not None


def _stronger(found: dict[str, object], what: str, value: object, attention: float) -> None:
    known = found.get(f"{what}_attention")
    if known is None or attention > float(str(known)):
        found[what if what in ("framing", "arms") else f"{what}_deg"] = value
        found[f"{what}_attention"] = attention


def _pose(found: dict[str, object], phrase: str, attention: float) -> None:
    for words, framing in _FRAMINGS.items():
        if _has(phrase, words):
            _stronger(found, "framing", framing, attention)
            break
    for words, arms in _ARMS.items():
        if _has(phrase, words):
            _stronger(found, "arms", arms, attention)
            break
    if "tilt" in phrase:
        if _has(phrase, "left"):
            _stronger(found, "roll", -17.0, attention)
        elif _has(phrase, "right"):
            _stronger(found, "roll", 17.0, attention)
        elif _has(phrase, "head"):
            _stronger(found, "roll", 14.0, attention)
    if _has(phrase, "looking up"):
        _stronger(found, "pitch", -14.0, attention)
    elif _has(phrase, "looking down"):
        _stronger(found, "pitch", 13.0, attention)
    if _has(phrase, "head straight") or _has(phrase, "straight head") or _has(phrase, "upright head"):
        found["straight"] = True


def _mood(found: dict[str, object], phrase: str, attention: float) -> None:
    if any(_has(phrase, word) for word in ("smile", "smiling", "happy")):
        found["smile"] = min(1.0, 0.72 * attention)
    elif any(_has(phrase, word) for word in ("laughing", "grin", "laugh")):
        found["smile"] = 1.0
    elif any(_has(phrase, word) for word in ("serious", "sad", "neutral expression", "expressionless")):
        found["smile"] = 0.0
    if any(_has(phrase, word) for word in ("looking at camera", "looking at viewer", "looking at the camera")):
        found["gaze"] = 0.0
    elif any(_has(phrase, word) for word in ("looking to the side", "looking away", "looking aside")):
        found["gaze"] = 0.9
    if _has(phrase, "sharp") or _has(phrase, "sharp focus"):
        found["sharp"] = 1.0
    elif _has(phrase, "blurry") or _has(phrase, "soft focus"):
        found["sharp"] = -1.0


def _look_of_things(found: dict[str, object], phrase: str) -> None:
    colour = next((COLOURS[name] for name in sorted(COLOURS, key=len, reverse=True) if _has(phrase, name)), None)
    for words, (scene, _) in _SCENES.items():
        if _has(phrase, words):
            found["scene"] = scene
    if _has(phrase, "background"):
        found.setdefault("scene", "plain")
        if colour is not None:
            found["background"] = colour
        return
    for words, garment in _GARMENTS.items():
        if _has(phrase, words):
            found["garment"] = garment
            if colour is not None:
                found["outfit"] = colour
            return
    if _has(phrase, "hair"):
        for word, light, red in (
            ("blond", 0.95, 0.1),
            ("blonde", 0.95, 0.1),
            ("black", 0.0, 0.1),
            ("brown", 0.3, 0.5),
            ("red", 0.45, 1.0),
            ("ginger", 0.8, 0.95),
            ("grey", 0.7, 0.0),
            ("white", 1.0, 0.0),
        ):
            if _has(phrase, word):
                found["hair_light"], found["hair_red"] = light, red
        for word, length in (("long", 0.95), ("short", 0.12), ("medium", 0.5)):
            if _has(phrase, word):
                found["hair_length"] = length
    if _has(phrase, "eyes"):
        for word, hue in (("brown", 0.0), ("green", 0.5), ("blue", 1.0)):
            if _has(phrase, word):
                found["eye_hue"] = hue
