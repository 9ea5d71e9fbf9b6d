"""Thumbnails for the viewer."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestrator.grid.thumbnails import FOLDER, SIDE, existing, remove_unused, thumbnail_name, thumbnails

KEY = "0123456789abcdef" * 4


def test_they_are_small_keep_the_shape_and_are_made_once(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (512, 768), "teal").save(picture)
    with thumbnails(tmp_path) as want:
        want(KEY, picture)
        want(KEY, picture)
    target = tmp_path / thumbnail_name(KEY)
    assert existing(tmp_path) == {thumbnail_name(KEY)}
    with Image.open(target) as made:
        assert made.size == (round(SIDE * 512 / 768), SIDE)
    before = target.stat().st_mtime_ns
    with thumbnails(tmp_path) as want:
        want(KEY, picture)
    assert target.stat().st_mtime_ns == before


def test_what_cannot_be_read_is_left_out_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("RGB", (20, 10)).save(tmp_path / "good.png")
    with thumbnails(tmp_path) as want:
        want("a" * 64, tmp_path / "bad.png")
        want("b" * 64, tmp_path / "missing.png")
        want("", tmp_path / "good.png")
        want(KEY, tmp_path / "good.png")
    assert existing(tmp_path) == {thumbnail_name(KEY)}
    with Image.open(tmp_path / thumbnail_name(KEY)) as made:
        assert made.size == (20, 10)  # never enlarged


def test_an_interrupted_grid_does_not_wait_for_all_of_them(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.effect_noise((1500, 1500), 60).save(picture)
    with pytest.raises(KeyboardInterrupt), thumbnails(tmp_path) as want:
        for number in range(60):
            want(f"{number:064x}"[::-1], picture)
        raise KeyboardInterrupt
    assert len(existing(tmp_path)) < 30


def test_only_ours_are_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name in (thumbnail_name(KEY), thumbnail_name("c" * 64), f"{FOLDER}/mine.webp"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / thumbnail_name("d" * 64)).touch()  # as a power cut leaves it
    assert existing(tmp_path) == {thumbnail_name(KEY), thumbnail_name("c" * 64)}
    remove_unused(tmp_path, {KEY})
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["mine.webp", Path(thumbnail_name(KEY)).name, Path(thumbnail_name("d" * 64)).name]
    )
    assert existing(tmp_path / "nowhere") == frozenset()
