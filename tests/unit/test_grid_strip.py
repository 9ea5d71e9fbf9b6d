"""Animations along an axis, and maps of what differs between two cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from orchestrator.cli.grid import command
from orchestrator.errors import InputError
from orchestrator.grid.difference import TOLERANCE, measure, write_difference
from orchestrator.grid.embedded import from_sheet
from orchestrator.grid.strip import places_along, write_strip
from tests.unit.sheet_samples import EPOCHS, SEEDS, WEIGHTS, colour, grid


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found.append(image.convert("RGB"))
        return found


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_a_strip_goes_along_its_axis_with_the_baseline_first(tmp_path: Path, ending: str) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, SEEDS], size=(128, 96))
    path = write_strip(tmp_path, state, 0, {1: 1, 2: 0}, tmp_path / f"x{ending}")
    numbers = {entry.at: number for number, entry in enumerate(state.cells)}
    places = [(None, None, 0), (0, 1, 0), (1, 1, 0), (2, 1, 0)]
    shown = frames(path)
    assert len(shown) == len(places)
    for frame, at in zip(shown, places, strict=True):
        assert frame.getpixel((64, 48)) == pytest.approx(colour(numbers[at]), abs=12)
        assert frame.width == 128
        assert frame.height > 96, "the words stand under the picture"
    bars = [np.asarray(frame)[96:].tobytes() for frame in shown]
    assert len(set(bars)) == len(places), "every value is written"


def test_failed_cells_are_frames_and_cells_left_out_are_none(tmp_path: Path) -> None:
    state = grid(
        tmp_path, [EPOCHS, WEIGHTS], states={(0, 0): ("left out", "weight <= 0.6"), (1, 0): ("failed", "out of memory")}
    )
    assert places_along(state, 0, {1: 0}) == [(None, None), (1, 0), (2, 0)]
    path = write_strip(tmp_path, state, 0, {1: 0})
    assert path.parent == tmp_path
    assert len(frames(path)) == 3


@pytest.mark.parametrize(
    ("fixed", "target", "seconds", "said"),
    [
        ({1: 0}, "x.webp", 0.6, "several values of seed"),
        ({1: None, 0: None, 2: 0}, "x.webp", 0.6, "nothing along epoch"),
        ({1: 0, 2: 0}, "x.mp4", 0.6, "no name for an animation"),
        ({1: 0, 2: 0}, "x.gif", 0.0, "seconds a picture"),
    ],
)
def test_what_cannot_be_animated_is_said(
    tmp_path: Path, fixed: dict[int, int | None], target: str, seconds: float, said: str
) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, SEEDS])
    with pytest.raises(InputError, match=said):
        write_strip(tmp_path, state, 0, fixed, tmp_path / target, seconds=seconds)


def test_differences_are_counted_beyond_the_tolerance() -> None:
    first = Image.new("RGB", (10, 10), (100, 100, 100))
    second = first.copy()
    second.putpixel((0, 0), (100, 100 + TOLERANCE, 100))
    second.putpixel((1, 0), (140, 100, 100))
    found = measure(first, second)
    assert (found.pixels, found.changed, found.largest) == (100, 1, 40)
    assert found.mean == pytest.approx((40 + TOLERANCE) / 300)
    assert found.map.getpixel((5, 5)) == (0, 0, 0)
    assert found.map.getpixel((1, 0)) != (0, 0, 0)
    assert measure(first, first).summary.startswith("the same")
    assert measure(first, first).changed == 0
    with pytest.raises(ValueError, match="10×10 and 4×4"):
        measure(first, Image.new("RGB", (4, 4)))


def test_a_difference_is_drawn_beside_both_pictures_and_can_be_drawn_again_from(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS], size=(120, 120))
    write_difference(tmp_path, state, (0, 0), (1, 1), tmp_path / "d.png")
    numbers = {entry.at: number for number, entry in enumerate(state.cells)}
    with Image.open(tmp_path / "d.png") as image:
        colours = {value for _, value in image.convert("RGB").getcolors(1 << 20) or []}
    assert {colour(numbers[0, 0]), colour(numbers[1, 1])} <= colours
    assert from_sheet(tmp_path / "d.png") is not None


def test_cells_without_a_picture_have_no_difference(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS], states={(0, 0): ("failed", "out of memory")})
    with pytest.raises(InputError, match="it failed \\(out of memory\\)"):
        write_difference(tmp_path, state, (0, 0), (1, 1))


def test_the_command_line_speaks_of_grids_by_name_and_cells_by_address(tmp_path: Path) -> None:
    (tmp_path / "lora.toml").write_text("", encoding="utf-8")
    grid(tmp_path / "grids" / "faces", [EPOCHS, WEIGHTS, SEEDS])
    place = ["--workspace", str(tmp_path)]
    run = CliRunner().invoke
    done = run(command, ["animate", "faces", "--at", "weight=0.8,seed=#1", *place], catch_exceptions=False)
    assert Path(done.stdout.strip()).suffix == ".webp"
    assert len(frames(Path(done.stdout.strip()))) == 4
    done = run(
        command,
        ["difference", "faces", "epoch=40,weight=0.8,seed=#1", "no LoRA,seed=#1", "--json", *place],
        catch_exceptions=False,
    )
    assert '"changed": 3072' in done.stdout
    done = run(command, ["sheets", "faces", "--format", "webp", "--cell", "32", *place], catch_exceptions=False)
    files = [Path(line) for line in done.stdout.split("\n") if line]
    assert [file.name for file in files] == [
        "sheet-seed-123456789.webp", "sheet-seed-123123123.webp", "sheet-all-seeds.webp",
    ]  # fmt: skip
    assert all(file.is_file() for file in files)
