"""Contact sheets as pixels: every picture at its place, marks and failures to be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestrator.errors import InputError
from orchestrator.files import picture_files
from orchestrator.grid.contact_sheet import ContactSheet, Row, Tile, draw_contact_sheet, rows_of
from orchestrator.grid.set_sheet import write_set_sheet

COLOURS = [(200, 30, 30), (30, 160, 60), (40, 60, 200), (200, 180, 20)]


@pytest.fixture
def files(ugly_path: Path) -> list[Path]:
    paths = [ugly_path / f"{number + 1:04d}.png" for number in range(4)]
    for path, colour in zip(paths, COLOURS, strict=True):
        Image.new("RGB", (64, 96), colour).save(path)
    return paths


def area(image: Image.Image, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    pixels = image.load()
    assert pixels is not None
    return [(x, y) for y in range(0, image.height, 3) for x in range(0, image.width, 3) if pixels[x, y] == colour]


def test_rows_and_columns_stand_where_they_belong(files: list[Path]) -> None:
    tiles = [Tile(str(number), path) for number, path in enumerate(files, 1)]
    rows = (Row(tuple(tiles[:2]), "見上げる 1.1", "3 of 12\n9% to 53%"), Row(tuple(tiles[2:]), "looking up 2.4"))
    image = draw_contact_sheet(ContactSheet("初音ミク", rows, "a prompt", heads=("seed 1", "seed 2")))
    first, second, third, fourth = (area(image, colour) for colour in COLOURS)
    assert all((first, second, third, fourth)), "every picture is on the sheet"
    assert max(x for x, _ in first) < min(x for x, _ in second)
    assert max(y for _, y in first) < min(y for _, y in third)
    assert min(x for x, _ in second) == min(x for x, _ in fourth)


def test_hits_misses_and_losses_look_different(files: list[Path]) -> None:
    drawn = [
        draw_contact_sheet(ContactSheet("t", (Row((Tile("1", files[0], marks=marks),)),)))
        for marks in ((), ("hit",), ("miss",), ("lost",), ("held",), ("unsure",))
    ]
    assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_failed_and_missing_pictures_are_told_apart(files: list[Path], ugly_path: Path) -> None:
    damaged = ugly_path / "damaged.png"
    damaged.write_bytes(b"not a picture")
    tiles = [Tile("1", files[0]), Tile("2", None, "out of memory"), Tile("3", None), Tile("4", damaged)]
    image = draw_contact_sheet(ContactSheet("t", rows_of(tiles, 4)))
    failed, empty = area(image, (251, 233, 231)), area(image, (238, 241, 244))
    assert failed
    assert empty
    assert max(x for x, _ in area(image, COLOURS[0])) < min(x for x, _ in failed)
    assert min(x for x, _ in failed) < min(x for x, _ in empty) < max(x for x, _ in failed), "the damaged one is last"


def test_a_sheet_beyond_every_size_is_refused(files: list[Path]) -> None:
    with pytest.raises(InputError, match="do not fit on one sheet"):
        draw_contact_sheet(ContactSheet("t", (Row((Tile("1", files[0]),) * 300),)))


def test_the_sheet_of_a_set_is_no_picture_of_it(files: list[Path]) -> None:
    folder = files[0].parent
    before = picture_files(folder)
    sheet = write_set_sheet(folder)
    assert picture_files(folder) == before
    with Image.open(sheet) as image:
        image.load()
        assert area(image.convert("RGB"), COLOURS[3])
