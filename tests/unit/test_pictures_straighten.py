from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.__main__ import main
from orchestrator.errors import InputError
from orchestrator.pictures.straighten import (
    largest_crop,
    refuse_overwriting,
    straighten,
    straighten_file,
    uncovered,
    whole,
)

angles = st.floats(-60, 60)
sides = st.integers(64, 1200)


@settings(deadline=None, max_examples=25)
@given(angles, st.sampled_from([(96, 96), (96, 160), (200, 80)]))
def test_no_corner_is_left_empty_and_the_size_stays(angle: float, size: tuple[int, int]) -> None:
    straight = straighten(Image.new("RGB", size, "white"), angle)
    assert straight.size == size
    assert np.asarray(straight).min() == 255


@given(angles, sides, sides, st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 0.6))
def test_the_crop_lies_inside_the_picture(
    angle: float, width: int, height: int, at_x: float, at_y: float, size: float
) -> None:
    face_side = size * min(width, height)
    face = (at_x * (width - face_side), at_y * (height - face_side), face_side, face_side)
    crop = largest_crop(width, height, angle, face)
    for across in (-0.5, 0.5):
        for down in (-0.5, 0.5):
            x, y = _turned(across * width * crop.share, down * height * crop.share, angle)
            assert -0.01 <= x + crop.centre[0] <= width + 0.01
            assert -0.01 <= y + crop.centre[1] <= height + 0.01
    assert 0 < crop.share <= 1


@given(st.floats(-25, 25), st.floats(0.3, 0.7), st.floats(0.3, 0.6))
def test_a_head_near_the_middle_stays_whole(angle: float, at_x: float, at_y: float) -> None:
    face = (at_x * 512 - 50, at_y * 512 - 60, 100, 120)
    crop = largest_crop(512, 512, angle, face)
    for corner in (
        (face[0], face[1]),
        (face[0] + 100, face[1]),
        (face[0], face[1] + 120),
        (face[0] + 100, face[1] + 120),
    ):
        x, y = _turned(corner[0] - crop.centre[0], corner[1] - crop.centre[1], -angle)
        assert max(abs(x), abs(y)) <= crop.share * 256 + 1e-6


def test_without_a_lean_next_to_nothing_is_cut() -> None:
    assert largest_crop(512, 512, 0.0).share == pytest.approx(510 / 512)
    assert largest_crop(512, 512, 13.8).share == pytest.approx(0.826, abs=0.005)


def test_a_leaning_bar_stands_upright_afterwards(tmp_path: Path) -> None:
    bar = Image.new("RGB", (300, 300), "grey")
    bar.paste((255, 255, 255), (140, 40, 160, 260))
    source = tmp_path / "leaning bar.png"
    bar.rotate(-14, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)).save(source)
    done = straighten_file(source, tmp_path / "straight" / "bar.png", 14.0)
    assert done.angle == 14.0
    pixels = np.asarray(Image.open(done.path).convert("L"), dtype=float) > 200
    upper, lower = np.nonzero(pixels[100])[0].mean(), np.nonzero(pixels[200])[0].mean()
    assert abs(upper - lower) < 1.0
    assert source.exists()


def test_files_named_to_be_straightened_are_never_written_over(
    ugly_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ugly_path)
    for file in ("a.png", "b.jpg", "b.png", "x/1.png", "y/1.png"):
        (ugly_path / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "grey").save(ugly_path / file)
    before = {path: path.read_bytes() for path in ugly_path.rglob("*.*")}
    for files, into, said in [
        (["a.png"], ".", ["a.png would be written over"]),
        (["x/1.png", "y/1.png"], "out", [f"{Path('x/1.png')} and {Path('y/1.png')} would both be written to"]),
        (["a.png", "b.jpg", "b.png"], ".", ["a.png would", "b.png would", "b.jpg and b.png would both"]),
        (["b.jpg", "a.png", "b.png"], "./out/..", ["a.png would", "b.png would", "b.jpg and b.png would both"]),
    ]:
        assert main(["pictures", "straighten", *files, "--into", into, "--angle", "9"]) == 3
        shown = " ".join(capsys.readouterr().err.split())
        for sentence in said:
            assert sentence in shown
        assert {path: path.read_bytes() for path in ugly_path.rglob("*.*")} == before
    assert main(["pictures", "straighten", "a.png", "b.jpg", "--into", "out", "--angle", "9"]) == 0
    assert sorted(path.name for path in (ugly_path / "out").iterdir()) == ["a.png", "b.png", "manifest.json", "sheet"]


def test_results_that_differ_in_case_alone_would_be_one_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would both be written"):
        refuse_overwriting([(tmp_path / "1/A.png", tmp_path / "o/A.png"), (tmp_path / "2/a.png", tmp_path / "o/a.png")])


def _turned(x: float, y: float, degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y


@settings(deadline=None, max_examples=25)
@given(st.floats(-45, 45), st.sampled_from([(96, 96), (96, 160), (200, 80)]))
def test_mirrored_corners_leave_nothing_empty_and_keep_the_scale(angle: float, size: tuple[int, int]) -> None:
    straight = straighten(Image.new("RGB", size, "white"), angle, corners="reflect")
    assert straight.size == size
    assert np.asarray(straight).min() == 255
    covered = np.asarray(uncovered(Image.new("RGB", size), angle))
    assert covered.shape == (size[1], size[0])
    assert (covered > 0).any()
    assert covered[size[1] // 2, size[0] // 2] == 0


def test_a_mirrored_picture_is_the_turned_one_wherever_the_mask_is_black() -> None:
    picture = Image.linear_gradient("L").convert("RGB").resize((300, 300))
    inside = np.asarray(uncovered(picture, 14.0)) == 0
    turned = np.asarray(picture.rotate(14.0, Image.Resampling.BICUBIC)).astype(int)
    mirrored = np.asarray(straighten(picture, 14.0, corners="reflect")).astype(int)
    assert 0.5 < inside.mean() < 0.95
    assert np.abs(turned - mirrored)[inside].max() <= 3


@given(st.floats(-25, 25), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_a_face_keeps_its_place_when_nothing_is_cropped(angle: float, at_x: float, at_y: float) -> None:
    face = (at_x * 512 - 50, at_y * 512 - 60, 100, 120)
    crop = whole(512, 512, angle, face)
    x, y = _turned(face[0] + 50 - crop.centre[0], face[1] + 60 - crop.centre[1], -angle)
    assert (x + 256, y + 256) == pytest.approx((face[0] + 50, face[1] + 60))
