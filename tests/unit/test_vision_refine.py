from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_vision_pose import face, turned

from orchestrator.vision.pose import Points, extent
from orchestrator.vision.refine import find_face, upright_crop, windows


@given(st.integers(64, 2000), st.integers(64, 2000))
def test_windows_lie_inside_and_reach_both_sides(width: int, height: int) -> None:
    found = list(windows(width, height))
    assert found
    assert all(x >= 0 and y >= 0 and x + side <= width and y + side <= height for x, y, side in found)
    assert min(x for x, _, _ in found) == 0
    assert max(x + side for x, _, side in found) == width


def test_the_large_windows_are_searched_before_the_small() -> None:
    sides = [side for _, _, side in windows(512, 768)]
    assert sides == sorted(sides, reverse=True)
    assert len(sides) < 90, "each costs some 3 ms where there is no face at all"


def test_a_face_that_measures_the_same_leaning_and_upright_is_refused() -> None:
    """A finder that says 20° whatever it is shown: the second look must not confirm the first."""
    looks = []

    def stubborn(image: Image.Image) -> Points:
        looks.append(image.size)
        return turned(face(), roll=20)

    assert find_face(Image.new("RGB", (600, 400)), stubborn) is None
    assert (384, 384) in looks


def test_a_small_face_is_found_through_windows_and_placed_back_into_the_picture() -> None:
    """The finder knows only a red dot, and only when it is large enough in what it is shown."""
    picture = Image.new("RGB", (512, 768))
    picture.paste((255, 0, 0), (300, 150, 310, 160))

    def by_dot(image: Image.Image) -> Points | None:
        box = image.split()[0].point(lambda value: 255 if value > 128 else 0).getbbox()
        if box is None or (box[2] - box[0]) / image.width < 0.03:
            return None
        size = (box[2] - box[0]) / 10
        return (face() - (300, 200, 0)) * size / 10 + ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0)

    found = find_face(picture, by_dot)
    assert found is not None
    x, y, width, height = extent(found.in_picture())
    assert (x + width / 2, y + height / 2) == pytest.approx((305, 155), abs=1.5)
    assert found.roll_deg == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("roll", [-35.0, 12.0, 90.0])
def test_the_upright_crop_takes_the_lean_out(roll: float) -> None:
    """A bar that leans by `roll` stands upright in the crop, wherever the centre is."""
    picture = Image.new("RGB", (400, 300))
    picture.paste((255, 255, 255), (190, 60, 210, 240))
    leaning = picture.rotate(-roll, Image.Resampling.BICUBIC, center=(200, 150))
    crop = upright_crop(leaning, (200, 150), 240, roll, out=240).convert("L")
    columns = [x for x in range(240) if crop.getpixel((x, 120)) > 200]
    upper = [x for x in range(240) if crop.getpixel((x, 60)) > 200]
    assert columns
    assert abs(columns[0] - upper[0]) <= 2
    assert abs((columns[0] + columns[-1]) / 2 - 119.5) <= 2
