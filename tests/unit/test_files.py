from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator import files
from orchestrator.errors import PictureError, StorageError


def test_a_failed_write_leaves_the_old_file_and_no_litter(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = ugly_path / "a.json"
    files.write_json(target, {"日本": 1})

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        files.write_json(target, {"日本": 2})
    assert files.read_json(target) == {"日本": 1}
    assert [p.name for p in ugly_path.iterdir()] == ["a.json"]


def test_windows_holding_a_file_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = os.replace, []

    def held_twice(source: Path, target: Path) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "held")
        real(source, target)

    monkeypatch.setattr(os, "replace", held_twice)
    monkeypatch.setattr(files, "_REPLACE_PAUSE_S", 0)
    files.write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "x"


def test_damaged_json_reads_as_absent(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": \xff')
    assert files.read_json(tmp_path / "a.json") is None
    assert files.read_json(tmp_path / "b.json") is None


def test_pictures_that_are_none(ugly_path: Path) -> None:
    text = ugly_path / "a.png"
    text.write_text("no picture", encoding="utf-8")
    with pytest.raises(PictureError, match="not a picture"):
        files.open_picture(text)
    whole = ugly_path / "b.png"
    Image.effect_noise((64, 64), 50).save(whole)
    whole.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(PictureError, match="damaged"):
        files.open_picture(whole)
    with pytest.raises(PictureError, match="does not exist"):
        files.open_picture(ugly_path / "c.png")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (100, 100)).save(path)
    monkeypatch.setattr(files, "MAX_PICTURE_PIXELS", 9_999)
    with pytest.raises(PictureError, match="100×100"):
        files.open_picture(path)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert files.open_picture(tmp_path / "a.jpg").size == (10, 20)


@given(st.text(max_size=120))
def test_any_text_makes_a_file_name(text: str) -> None:
    stem = files.file_stem(text)
    assert stem
    assert len(stem) <= 81
    assert not set('<>:"/\\|?*') & set(stem)
    assert files.file_stem(stem) == stem
    assert not stem.endswith((" ", "."))


@pytest.mark.parametrize("name", ["CON", "nul", "com1"])
def test_names_windows_keeps_for_itself(name: str) -> None:
    assert files.file_stem(name) == f"_{name}"
