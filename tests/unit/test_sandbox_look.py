"""Reading drawn pictures back from their pixels, after what people do to pictures."""

from __future__ import annotations

from io import BytesIO
from statistics import fmean

import numpy as np
import pytest
from PIL import Image

from orchestrator.sandbox.look import Seen, look, look_at_file, tags
from orchestrator.sandbox.person import to_values
from orchestrator.sandbox.portrait import (
    ARMS,
    FRAMINGS,
    SCENES,
    Background,
    Framing,
    Outfit,
    Portrait,
    draw,
)
from tests.portraits import portrait


def varied(index: int, framing: Framing, roll: float = 0.0) -> Portrait:
    colours = [(70, 98, 140), (160, 50, 60), (220, 218, 210), (60, 110, 84), (52, 52, 58), (204, 160, 70)]
    return portrait(
        900 + index,
        framing,
        roll_deg=roll,
        yaw_deg=(index % 5 - 2) * 3.0,
        arms=ARMS[index % 4],
        side=1 if index % 2 else -1,
        background=Background(SCENES[(index // 2) % 4], (150 + index % 60, 190, 200), index),
        outfit=Outfit("shirt", colours[index % 6]),
        noise_seed=index,
    )


def jpeg(image: Image.Image) -> Image.Image:
    store = BytesIO()
    image.save(store, "JPEG", quality=85)
    return Image.open(store)


def turned_and_cropped(image: Image.Image, angle_deg: float) -> Image.Image:
    """Turned clockwise by the angle about the middle, then the inner 90 % kept."""
    whole = image.rotate(-angle_deg, Image.Resampling.BICUBIC)
    edge = round(image.width * 0.05)
    return whole.crop((edge, edge, image.width - edge, image.height - edge))


def handled(index: int, image: Image.Image) -> tuple[Image.Image, float]:
    """One of four treatments; and the roll it adds."""
    if index % 4 == 0:
        return image, 0.0
    if index % 4 == 1:
        return jpeg(image.resize((256, 256), Image.Resampling.LANCZOS)), 0.0
    if index % 4 == 2:
        return jpeg(turned_and_cropped(image, -9.0)), -9.0
    return image.resize((896, 896), Image.Resampling.BICUBIC), 0.0


@pytest.mark.parametrize("framing", FRAMINGS)
def test_pictures_are_read_back_after_handling(framing: Framing) -> None:
    errors, found, framings, poses, people = [], [], [], [], []
    for index in range(16):
        drawn = varied(index, framing, roll=(index * 37 % 41 - 20) * (1.4 if framing == "close-up" else 0.7))
        image, added = handled(index, draw(drawn, 512, 512))
        seen = look(image)
        found.append(seen.found)
        if seen.found:
            errors.append(abs(seen.roll_deg - drawn.roll_deg - added))
            framings.append(seen.framing == framing)
            poses.append(seen.arms == drawn.arms)
            pairs = zip(to_values(seen.person), to_values(drawn.person), strict=True)
            people.append(fmean(abs(a - b) for a, b in pairs))
    assert fmean(found) > 0.9
    assert fmean(errors) < 1.0
    assert max(errors) < 3.5
    assert fmean(framings) > 0.9
    assert fmean(people) < 0.17
    if framing != "close-up":
        assert fmean(poses) > 0.85


def test_a_raised_hand_beside_a_close_up_is_seen() -> None:
    right = []
    for index in range(8):
        drawn = varied(index, "close-up")
        seen = look(draw(drawn, 512, 512))
        right.append((seen.arms == "hand raised") == (drawn.arms == "hand raised"))
    assert sum(right) >= 7


@pytest.mark.parametrize("size", [(512, 768), (640, 360), (768, 768)])
def test_other_shapes_are_read_too(size: tuple[int, int]) -> None:
    for index in range(3):
        seen = look(draw(varied(index, "upper body", roll=8.0), *size))
        assert seen.found
        assert seen.roll_deg == pytest.approx(8.0, abs=2.0)


def strange_pictures() -> dict[str, Image.Image]:
    random = np.random.default_rng(3)
    noise = Image.fromarray(random.integers(0, 255, (200, 300, 3), dtype=np.uint8))
    gradient = Image.linear_gradient("L")
    return {
        "noise": noise,
        "one colour": Image.new("RGB", (320, 200), (200, 150, 120)),
        "black": Image.new("RGB", (512, 512)),
        "gradient, one channel": gradient,
        "palette": gradient.convert("P"),
        "see-through": Image.new("RGBA", (90, 120), (10, 200, 10, 0)),
        "one pixel": Image.new("RGB", (1, 1), (9, 9, 9)),
        "a line": Image.new("L", (400, 2), 90),
        "sixteen bits": Image.new("I;16", (64, 64), 3000),
        "black and white": Image.new("1", (64, 64)),
    }


@pytest.mark.parametrize("name", strange_pictures())
def test_pictures_that_are_not_ours_are_not_found(name: str) -> None:
    image = strange_pictures()[name]
    seen = look(image)
    assert isinstance(seen, Seen)
    assert not seen.found
    assert max(tags(image, 1).get(tag, 0.0) for tag in ("arm_up", "crossed_arms", "hand_on_own_hip")) < 0.35


def test_tags_say_what_is_drawn() -> None:
    named = {"hand raised": "hand_up", "arms crossed": "crossed_arms", "hand on hip": "hand_on_own_hip"}
    right, false_alarms, possible = 0, 0, 0
    for index in range(24):
        drawn = varied(index, "upper body", roll=(index % 3 - 1) * 4.0)
        said = tags(draw(drawn, 512, 512), index)
        assert all(0.0 < value < 1.0 for value in said.values())
        for pose, tag in named.items():
            if pose == drawn.arms:
                right += said[tag] > 0.5
                possible += 1
            else:
                false_alarms += said[tag] > 0.35
    assert right >= 0.8 * possible
    assert false_alarms <= 4


def test_tags_are_the_same_for_the_same_picture_and_seed() -> None:
    image = draw(varied(5, "upper body"), 384, 384)
    assert tags(image, 1) == tags(image, 1)
    assert tags(image, 1) != tags(image, 2)


def test_a_file_is_looked_at_again_only_when_it_changed(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "picture.png"
    draw(varied(1, "close-up", roll=10.0), 256, 256).save(path)
    first = look_at_file(path)
    assert look_at_file(path) is first
    draw(varied(2, "close-up", roll=-10.0), 384, 384).save(path)
    assert look_at_file(path).roll_deg < 0.0 < first.roll_deg
    with pytest.raises(OSError, match="missing"):
        look_at_file(path.with_name("missing.png"))
