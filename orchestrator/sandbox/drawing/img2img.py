"""img2img: the picture between an init picture and an imagined portrait."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from ..look import Seen, look
from ..person import blend, mix
from ..portrait import HEAD_HEIGHT, Background, Outfit, Portrait, draw


def mixed(init: Image.Image, imagined: Portrait, strength: float, width: int, height: int) -> Image.Image:
    """Redraw `init` towards `imagined`. `strength` (denoising) 0 gives the init picture back, 1 the imagined one."""
    strength = min(1.0, max(0.0, strength))
    start = init.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    if strength == 0.0:
        return start
    seen = look(start)
    if not seen.found:
        return Image.blend(start, draw(imagined, width, height), _smooth(strength, 0.15, 0.75))
    redrawn = draw(between(seen, imagined, strength), width, height)
    # At low strength the init picture's own pixels still show through.
    return Image.blend(start, redrawn, _smooth(strength, 0.0, 0.25))


def between(seen: Seen, imagined: Portrait, strength: float) -> Portrait:
    """The portrait between what is seen and what is imagined: first small things give way, then pose, then identity."""
    details = _smooth(strength, 0.10, 0.60)
    pose = _smooth(strength, 0.25, 0.85)
    who = _smooth(strength, 0.25, 0.90)

    def move(old: float, new: float, share: float) -> float:
        return old + (new - old) * share

    other = pose > 0.5
    # A close-up stays a close-up until the pose gives way; then everything is placed anew.
    head = imagined.head if other else seen.head
    return replace(
        imagined,
        person=blend(seen.person, imagined.person, who),
        roll_deg=move(seen.roll_deg, imagined.roll_deg, pose),
        yaw_deg=move(seen.yaw_deg, imagined.yaw_deg, pose),
        pitch_deg=move(seen.pitch_deg, imagined.pitch_deg, pose),
        framing=imagined.framing if other else seen.framing,
        head=max(0.08, min(HEAD_HEIGHT["close-up"] * 1.5, head)),
        centre_x=imagined.centre_x if other else seen.centre_x,
        centre_y=imagined.centre_y if other else seen.centre_y,
        arms=imagined.arms if other else seen.arms,
        side=imagined.side if other else seen.side,
        smile=move(seen.smile, imagined.smile, details),
        gaze=move(seen.gaze, imagined.gaze, details),
        light=move(seen.light, imagined.light, details),
        background=Background(
            imagined.background.scene if details > 0.7 else seen.background.scene,
            mix(seen.background.colour, imagined.background.colour, details),
            imagined.background.variant,
        ),
        outfit=Outfit(
            imagined.outfit.garment if details > 0.5 else seen.outfit.garment,
            mix(seen.outfit.colour, imagined.outfit.colour, details),
        ),
    )


def _smooth(value: float, low: float, high: float) -> float:
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return share * share * (3.0 - 2.0 * share)
