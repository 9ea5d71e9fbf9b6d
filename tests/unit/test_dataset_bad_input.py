"""Everything wrong with a folder is listed at once, with its cure, and no file of anybody's is changed."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.dataset import CheckResult, about_folders, check, collect
from orchestrator.dataset.building import as_trained
from orchestrator.files import open_picture, picture_files
from orchestrator.profile.model import Profile
from orchestrator.vision import measuring
from orchestrator.workspace import Workspace


def picture(number: int, side: int = 160) -> Image.Image:
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def profile(**group: object) -> Profile:
    one = {"name": "close-up", "folders": ["mine"], "caption": "{trigger}, close-up", **group}
    return Profile.model_validate({"dataset": {"groups": [one]}})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace(tmp_path / "it's 初音")
    (space.root / "mine").mkdir(parents=True)
    return space


@pytest.fixture(autouse=True)
def no_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here needs no face."""
    monkeypatch.setattr(measuring.backend, "installed", lambda: None)


def looked_at(workspace: Workspace, asked: Profile | None = None) -> CheckResult:
    asked = asked or profile()
    pictures = collect(asked, workspace)
    measured = measuring.measure([one.path for one in pictures], workspace.cache)
    return check(
        pictures, measured, asked.dataset.limits, asked.dataset.groups, trigger=asked.trigger,
        beside=about_folders.look(pictures),
    )  # fmt: skip


def bomb(path: Path) -> None:
    """A PNG of a few bytes that claims 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def deep_colours(path: Path, side: int = 160) -> None:
    """A PNG of 16 bits for each colour, which Pillow reads and cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    values = np.random.default_rng(5).integers(0, 65536, (side, side, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
    }


def make_all(folder: Path) -> None:
    for number in range(4):
        picture(number).save(folder / f"good{number}.png")
    (folder / "text.png").write_text("I am no picture", encoding="utf-8")
    picture(10).save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    bomb(folder / "bomb.png")
    (folder / "cloud.png").write_bytes(b"")
    (folder / "loading.png.crdownload").write_bytes(b"x")
    deep = (np.arange(160 * 160).reshape(160, 160) * 2).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    deep_colours(folder / "deep colours.png")
    picture(11).convert("CMYK").save(folder / "print.jpg")
    frames = [picture(12), picture(13)]
    frames[0].save(folder / "film.webp", save_all=True, append_images=frames[1:])
    clear = picture(14).convert("RGBA")
    clear.putalpha(128)
    clear.save(folder / "clear.png")
    lying = picture(15)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(folder / "lying.jpg", exif=exif)
    picture(16).save(folder / "twin.png")
    picture(17).save(folder / "twin.jpg")
    (folder / "good0.txt").write_bytes("初音".encode("cp932"))
    (folder / "good1.txt").write_bytes(b"")
    (folder / "good2.txt").write_bytes("\ufeffai_model_v1, close-up".encode())
    (folder / "good3.caption").write_text("ai_model_v1, mine", encoding="utf-8")
    picture(18).save(folder / "a_b_c_d_e.png")
    (folder / "a.txt").write_text("somebody else's", encoding="utf-8")
    picture(19).convert("L").save(folder / "grey.png")
    picture(20).save(folder / "liar.png", "JPEG")
    picture(21).save(folder / "photo.gif")


def test_everything_is_listed_at_once_with_its_cure_and_nothing_is_changed(workspace: Workspace) -> None:
    folder = workspace.root / "mine"
    make_all(folder)
    before = state(folder)
    result = looked_at(workspace)
    assert state(folder) == before
    found = {one.kind: one for one in result.findings}
    wanted = {
        "unreadable", "unfinished", "16 bits", "16 bits a colour", "colour mode", "animated", "transparent", "turned",
        "one stem", "caption", "caption mended", "caption not read", "grey", "misnamed", "other kinds", "size",
    }  # fmt: skip
    assert wanted <= set(found)
    assert all(one.fix for one in result.findings if one.level in {"blocker", "locked in", "warning"})
    assert result.verdict == "cannot train"
    reasons = " ".join(one.what for one in result.findings if one.kind == "unreadable")
    for words in ("text.png", "cut.jpg", "bomb.png", "cloud.png", "not downloaded or not synced yet"):
        assert words in reasons
    captions = " ".join(one.what for one in result.findings if one.kind == "caption")
    assert "not UTF-8" in captions and "empty" in captions
    elsewhere = " ".join(one.what + one.fix for one in result.findings if one.kind == "caption not read")
    assert "good3.caption" in elsewhere and "a.txt" in elsewhere and "a_b_c_d_e.txt" in elsewhere


def test_what_balance_leaves_out_stops_nothing(workspace: Workspace) -> None:
    picture(0).save(workspace.root / "mine" / "a.png")
    (workspace.root / "mine" / "b.png").write_bytes(b"no")
    pictures = collect(profile(), workspace)
    measured = measuring.measure([one.path for one in pictures], workspace.cache)
    asked = profile().dataset
    assert check(pictures, measured, asked.limits, asked.groups).verdict == "cannot train"
    assert check(pictures, measured, asked.limits, asked.groups, left_out=True).verdict == "ready"


def test_16_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    ramp = np.linspace(0, 65535, 256 * 64).reshape(64, 256).astype(np.uint16)
    Image.fromarray(ramp).save(path)
    grey = np.asarray(open_picture(path).convert("L"), dtype=float)
    assert abs(grey - ramp / 257).max() <= 1
    with Image.open(path) as raw:
        assert np.asarray(raw.convert("L")).mean() > 250, "what Pillow, and so sd-scripts, makes of it"
    from io import BytesIO

    with Image.open(BytesIO(as_trained(path))) as trained:
        assert trained.mode == "RGB"
        assert 120 < np.asarray(trained).mean() < 135


def test_a_file_that_goes_away_while_it_is_read_is_listed_and_the_rest_is_checked(workspace: Workspace) -> None:
    folder = workspace.root / "mine"
    for number in range(3):
        picture(number).save(folder / f"{number}.png")
    pictures = collect(profile(), workspace)
    (folder / "1.png").unlink()
    measured = measuring.measure([one.path for one in pictures], workspace.cache)
    asked = profile().dataset
    result = check(pictures, measured, asked.limits, asked.groups, beside=about_folders.look(pictures))
    (gone,) = [one for one in result.findings if one.kind == "unreadable"]
    assert "1 of 3" in gone.what and "moving or syncing" in gone.what


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root and Windows read everything")
def test_a_file_that_may_not_be_read_is_listed(workspace: Workspace) -> None:
    path = workspace.root / "mine" / "secret.png"
    picture(0).save(path)
    path.chmod(0)
    (secret,) = [one for one in looked_at(workspace).findings if one.kind == "unreadable"]
    assert "may not be read" in secret.what


def test_a_read_only_folder_is_no_problem(workspace: Workspace) -> None:
    folder = workspace.root / "mine"
    picture(0).save(folder / "a.png")
    folder.chmod(0o555)
    try:
        assert looked_at(workspace).verdict == "ready"
    finally:
        folder.chmod(0o755)


def test_a_thousand_pictures_with_ugly_names(workspace: Workspace) -> None:
    folder = workspace.root / "mine"
    ugly = ("<b>&", "it's", "100%", "初音ミク", "a b", "$(x)", "'; --", "#1", "näme", "🙂", "{trigger}", "-rf")
    for number in range(1000):
        name = f"{ugly[number % len(ugly)]} {number}.png".replace("<", "(").replace(">", ")")
        small = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(small).save(folder / name)
    result = looked_at(workspace)
    assert result.groups[0].count == len(picture_files(folder)) == 1000
    assert {one.kind for one in result.findings} == {"size", "not measured", "single marks"}
    assert looked_at(workspace) == result


def test_without_the_extra_it_says_what_was_not_measured(workspace: Workspace) -> None:
    for number in range(12):
        picture(number, 512).save(workspace.root / "mine" / f"{number}.png")
    result = looked_at(workspace)
    (note,) = [one for one in result.findings if one.kind == "not measured"]
    assert "pip install" in note.what
    assert result.groups[0].one_background is not None, "what needs no face is measured"
    assert result.groups[0].angles == {}
