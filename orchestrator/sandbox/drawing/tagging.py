"""What a tagger says about a picture: danbooru-like tags with probabilities, and a tagger's mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..look import Seen

MISSED = 0.035
"""Share of poses in the picture that the tagger overlooks."""
IMAGINED = 0.012
"""Share of poses, of each kind, that it sees where there are none."""

_POSES: dict[str, tuple[tuple[str, float], ...]] = {
    "hand raised": (("hand_up", 0.94), ("arm_up", 0.88), ("waving", 0.62)),
    "arms crossed": (("crossed_arms", 0.95),),
    "hand on hip": (("hand_on_own_hip", 0.93), ("hand_on_hip", 0.90)),
}


def tags_of(seen: Seen, uniform: Callable[..., float], normal: Callable[..., float]) -> dict[str, float]:
    """Tag -> probability. `uniform` and `normal` give the chance numbers that belong to this picture."""
    answers: dict[str, float] = {}

    def say(tag: str, level: float, shake: float = 0.05) -> None:
        answers[tag] = round(max(0.001, min(0.999, level + shake * normal(tag))), 4)

    if not seen.found:
        say("no_humans", 0.55, 0.1)
        for tag in ("1girl", "solo", "hand_up", "arm_up", "crossed_arms", "hand_on_own_hip", "full_body", "upper_body"):
            say(tag, 0.10)
        return answers
    say("1girl", 0.97, 0.01)
    say("solo", 0.95, 0.02)
    _poses(seen, uniform, say)
    _framing(seen, say)
    _face(seen, say)
    _things(seen, say)
    return answers


def _poses(seen: Seen, uniform: Callable[..., float], say: Callable[..., None]) -> None:
    for pose, names in _POSES.items():
        drawn = seen.arms == pose
        said = uniform("missed", pose) >= MISSED if drawn else uniform("imagined", pose) < IMAGINED
        for name, level in names:
            say(name, level if said else 0.14 if drawn else 0.05, 0.04)
    say("arms_at_sides", 0.80 if seen.arms == "down" and seen.framing != "close-up" else 0.06)


def _framing(seen: Seen, say: Callable[..., None]) -> None:
    close, full = seen.framing == "close-up", seen.framing == "full body"
    say("close-up", 0.72 if close else 0.04)
    say("portrait", 0.84 if close else 0.10)
    say("upper_body", 0.90 if seen.framing == "upper body" else 0.35 if close else 0.05)
    say("cowboy_shot", 0.40 if seen.framing == "upper body" else 0.03)
    say("full_body", 0.95 if full else 0.03, 0.02)
    say("standing", 0.90 if full else 0.15)


def _face(seen: Seen, say: Callable[..., None]) -> None:
    say("looking_at_viewer", 0.95 - 0.85 * abs(seen.gaze))
    say("looking_to_the_side", 0.05 + 0.80 * max(0.0, abs(seen.gaze) - 0.3))
    say("looking_up", 0.04 + 0.80 * max(0.0, min(1.0, (-seen.pitch_deg - 5.0) / 8.0)))
    say("looking_down", 0.04 + 0.80 * max(0.0, min(1.0, (seen.pitch_deg - 5.0) / 8.0)))
    say("head_tilt", 0.04 + 0.90 * max(0.0, min(1.0, (abs(seen.roll_deg) - 5.0) / 12.0)))
    say("smile", 0.06 + 0.92 * max(0.0, min(1.0, (seen.smile - 0.15) / 0.45)))
    say("closed_mouth", 0.85 - 0.75 * max(0.0, min(1.0, (seen.smile - 0.4) / 0.3)))
    person = seen.person
    hair = "black" if person.hair_light < 0.22 else "blonde" if person.hair_light > 0.68 else "brown"
    if person.hair_red > 0.65 and person.hair_light > 0.22:
        hair = "orange" if person.hair_light > 0.6 else "red"
    say(f"{hair}_hair", 0.86)
    say("long_hair" if person.hair_length > 0.6 else "short_hair" if person.hair_length < 0.3 else "medium_hair", 0.80)
    eyes = "brown" if person.eye_hue < 0.28 else "green" if person.eye_hue < 0.72 else "blue"
    say(f"{eyes}_eyes", 0.84)


def _things(seen: Seen, say: Callable[..., None]) -> None:
    say(
        {"sweater": "sweater", "shirt": "collared_shirt", "jacket": "jacket", "t-shirt": "t-shirt"}[
            seen.outfit.garment
        ],
        0.82,
    )
    say("long_sleeves", 0.80)
    say("outdoors", 0.88 if seen.background.scene == "trees" else 0.05)
    say("window", 0.84 if seen.background.scene == "window" else 0.04)
    say("simple_background", 0.86 if seen.background.scene in ("plain", "gradient") else 0.06)
