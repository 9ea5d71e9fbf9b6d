"""Sheets of grids: which there are, what stands where on them, and what they carry."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.errors import StorageError
from orchestrator.grid import manifest as manifests
from orchestrator.grid import png_stream
from orchestrator.grid.drawing import draw
from orchestrator.grid.embedded import from_sheet, from_text
from orchestrator.grid.layout import FAILED, HATCH, PENDING, WINNER, Plan
from orchestrator.grid.manifest import At, Axis, Manifest
from orchestrator.grid.picture_text import read_texts
from orchestrator.grid.sheet import TEXT_CHUNK, draw_sheets, plan_sheets, preview, write_sheet
from orchestrator.grid.sheet_text import MAX_COMMENT_BYTES, text_of, unpacked
from tests.unit.sheet_samples import EPOCHS, JAPANESE, SEEDS, WEIGHTS, colour, grid

GOLDEN = Path(__file__).parents[1] / "golden" / "sheets.json"
ONE = Axis("seed", "seed", ("7",))
PROMPTS = Axis("prompt", "prompt", (JAPANESE, "close-up, looking at camera, " * 9))
SAMPLERS = Axis("sampler", "sampler", ("Euler a", "DPM++ 2M SDE Karras"))

SHAPES: dict[str, dict[str, Any]] = {
    "one cell": {"axes": [ONE], "x": 0, "y": -1},
    "one row": {"axes": [EPOCHS, ONE], "x": 0, "y": -1},
    "classic": {
        "axes": [EPOCHS, WEIGHTS, SEEDS], "highlighted": [(1, 1, 0), (2, 0, 0)],
        "states": {(0, 0, 0): ("left out", "epoch <= 20"), (1, 0, 0): ("failed", "out of memory"),
                   (2, 1, 0): ("pending", "")},
    },
    "prompts": {"axes": [PROMPTS, SAMPLERS, EPOCHS], "x": 1, "y": 0},
    "many seeds": {"axes": [Axis("seed", "seed", tuple(str(n) for n in range(30)))], "x": 0, "y": -1},
    "baseline column": {"axes": [EPOCHS, SEEDS], "x": 0, "y": 1},
}  # fmt: skip


def structure(plan: Plan) -> dict[str, Any]:
    """What a sheet shows and where, as plain values."""
    return {
        "size": [plan.width, plan.height],
        "cells": [[cell.place.label, cell.place.state, *vars(cell.box).values()] for cell in plan.cells],
        "labels": [[one.kind, list(one.lines), one.size, *vars(one.box).values()] for one in plan.labels],
    }


def pixel(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    value = image.getpixel((round(x), round(y)))
    assert isinstance(value, tuple)
    return value


def same(golden: Any, now: Any) -> bool:
    """Equal, numbers within 3 pixels: FreeType's versions differ by one here and there."""
    if isinstance(golden, list):
        return isinstance(now, list) and len(golden) == len(now) and all(map(same, golden, now))
    if isinstance(golden, int):
        return abs(golden - now) <= 3
    return bool(golden == now)


@pytest.mark.parametrize("name", SHAPES)
def test_sheets_look_as_they_did(tmp_path: Path, name: str) -> None:
    """WRITE_GOLDEN=1 writes what is there now; look at the difference before it is committed."""
    state = grid(tmp_path, **{"size": (160, 120), **SHAPES[name]})
    now = {one.entry.file: structure(one.plan) for one in plan_sheets(tmp_path, state)}
    if os.environ.get("WRITE_GOLDEN"):
        known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
        text = json.dumps({**known, name: now}, ensure_ascii=False, indent=None, separators=(",", ":"))
        GOLDEN.write_text(text + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    assert list(golden) == list(now)
    for file, planned in golden.items():
        for part, values in planned.items():
            assert same(values, now[file][part]), f"{file}: {part}"


def test_every_picture_is_where_the_plan_says_and_untouched(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, SEEDS])
    finished = draw_sheets(tmp_path, state)
    assert [sheet.file for sheet in finished.sheets] == [
        "sheet-seed-123456789.png", "sheet-seed-123123123.png", "sheet-all-seeds.png",
    ]  # fmt: skip
    assert [sheet.at for sheet in finished.sheets] == [(None, None, 0), (None, None, 1), (None, None, None)]
    numbers = {entry.at: number for number, entry in enumerate(state.cells)}
    for one in plan_sheets(tmp_path, state):
        with Image.open(tmp_path / one.entry.file) as image:
            assert image.size == (one.plan.width, one.plan.height)
            for cell in one.plan.cells:
                box = cell.box
                inside = image.crop((box.x, box.y, box.right, box.bottom))
                assert inside.getcolors() == [(box.width * box.height, colour(numbers[cell.place.at]))]


def test_cells_without_a_picture_look_as_what_they_are(tmp_path: Path) -> None:
    states = {
        (0, 0, 0): ("left out", "epoch <= 20"),
        (1, 0, 0): ("failed", "out of memory"),
        (2, 1, 0): ("pending", ""),
    }
    state = grid(tmp_path, [EPOCHS, WEIGHTS, ONE], size=(200, 200), states=states, highlighted=[(1, 1, 0), (2, 0, 0)])  # type: ignore[arg-type]
    (tmp_path / state.cell((0, 1, 0)).picture).write_bytes(b"no picture")
    (planned,) = plan_sheets(tmp_path, state)
    image = draw(planned.plan)
    boxes = {cell.place.at: cell.box for cell in planned.plan.cells}

    def colours(at: At) -> set[tuple[int, ...]]:
        box = boxes[at]
        found = image.crop((box.x, box.y, box.right, box.bottom)).getcolors(1 << 20) or []
        return {value for count, value in found if count > 100 and isinstance(value, tuple)}

    rgb = {name: tuple(bytes.fromhex(value[1:])) for name, value in
           {"failed": FAILED[0], "pending": PENDING[0], "hatch": HATCH, "winner": WINNER}.items()}  # fmt: skip
    assert rgb["hatch"] in colours((0, 0, 0))
    assert rgb["failed"] in colours((1, 0, 0))
    assert rgb["failed"] in colours((0, 1, 0)), "a damaged file is drawn as failed"
    assert rgb["pending"] in colours((2, 1, 0))
    for at in ((1, 1, 0), (2, 0, 0)):
        box = boxes[at]
        assert pixel(image, box.x + box.width / 2, box.y - 1) == rgb["winner"]
        assert pixel(image, box.right, box.y + box.height / 2) == rgb["winner"]
    assert {label.text for label in planned.plan.of("legend")} == {"winner", "failed", "left out", "not made yet"}
    assert "5 of 6 pictures" not in str(planned.plan.of("subtitle"))


def test_the_title_says_simulated_and_the_heads_name_every_value(tmp_path: Path) -> None:
    state = replace(grid(tmp_path, [EPOCHS, WEIGHTS, SEEDS]), simulated=True)
    first, _, overview = plan_sheets(tmp_path, state)
    assert "— simulated" in first.plan.of("title")[0].text
    assert [label.text for label in first.plan.of("row")] == ["epoch 20", "epoch 40", "epoch 80", "no LoRA"]
    assert [label.text for label in first.plan.of("column")] == ["weight 0.6", "weight 0.8"]
    assert [label.text for label in overview.plan.of("block")] == ["seed 123456789", "seed 123123123"]
    assert "seed 123456789" in first.plan.of("subtitle")[0].text


def test_axes_that_say_nothing_by_themselves_are_named(tmp_path: Path) -> None:
    state = grid(tmp_path, [PROMPTS, SAMPLERS, Axis("epoch", "epoch", ("40",), True)], x=1, y=0)
    (planned,) = plan_sheets(tmp_path, state)
    assert [label.text for label in planned.plan.of("axis")] == ["sampler →", "prompt ↓"]
    assert [label.text for label in planned.plan.of("block")] == ["no LoRA", "epoch 40"]


def test_sheets_are_not_drawn_again_when_nothing_changed(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, ONE])
    finished = draw_sheets(tmp_path, state)
    before = (tmp_path / finished.sheets[0].file).stat().st_mtime_ns
    assert draw_sheets(tmp_path, state, known=finished) == finished
    assert (tmp_path / finished.sheets[0].file).stat().st_mtime_ns == before
    marked = replace(state, highlighted=((1, 1, 0),))
    assert draw_sheets(tmp_path, marked, known=finished).drawn != finished.drawn
    assert (tmp_path / finished.sheets[0].file).stat().st_mtime_ns != before


def test_a_png_sheet_carries_the_whole_manifest_without_paths_of_this_machine(tmp_path: Path) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, SEEDS], title="初音ミク")
    finished = draw_sheets(tmp_path, state)
    for sheet in finished.sheets:
        assert b"secret" not in (tmp_path / sheet.file).read_bytes()
        read = from_sheet(tmp_path / sheet.file)
        assert read == from_text(text_of(finished), "x")
        assert read is not None
        assert [entry.at for entry in read.cells] == [entry.at for entry in state.cells]
        assert (read.title, read.drawn, read.sheets) == ("初音ミク", finished.drawn, finished.sheets)
    assert "secret" not in text_of(finished)


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_webp_and_jpeg_carry_it_in_the_user_comment(tmp_path: Path, format: Any) -> None:
    finished = draw_sheets(tmp_path, grid(tmp_path, [EPOCHS, WEIGHTS, ONE]), format=format)
    path = tmp_path / finished.sheets[0].file
    assert path.suffix == {"webp": ".webp", "jpeg": ".jpg"}[format]
    comment = read_texts(path, {"parameters"})["parameters"]
    text = unpacked(comment, 1 << 20)
    assert text == text_of(finished)
    assert unpacked("Steps: 20", 1 << 20) is None
    with pytest.raises(ValueError, match="ends too early"):
        unpacked(comment, 100)
    with pytest.raises(ValueError, match="unpack"):
        unpacked(comment[:-40] + "A" * 40, 1 << 20)


def test_what_a_jpeg_cannot_hold_is_cut_down_to_the_definition(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = grid(tmp_path, [EPOCHS, WEIGHTS, ONE])
    cells = [replace(cell, key=rng.bytes(20_000).hex()) for cell in state.cells]
    finished = draw_sheets(tmp_path, replace(state, cells=tuple(cells)), format="jpeg")
    comment = read_texts(tmp_path / finished.sheets[0].file, {"parameters"})["parameters"]
    assert len(comment) < MAX_COMMENT_BYTES
    read = json.loads(unpacked(comment, 1 << 22) or "")
    assert read["cells"] == []
    assert read["definition"] == state.definition


def test_sheets_beyond_a_format_are_tiled(tmp_path: Path) -> None:
    weights = Axis("weight", "weight", tuple(f"{n / 10:g}" for n in range(1, 13)), True)
    state = grid(tmp_path, [EPOCHS, weights, ONE], size=(1500, 1100))
    planned = list(plan_sheets(tmp_path, state, format="webp"))
    assert len(planned) > 1
    assert {one.entry.pages for one in planned} == {len(planned)}
    assert planned[0].entry.file == f"sheet-seed-7-page-1-of-{len(planned)}.webp"
    assert all(max(one.plan.width, one.plan.height) <= 16_383 for one in planned)
    assert all(one.plan.width * one.plan.height <= 24_000_000 for one in planned)
    shown = {cell.place.at for one in planned for cell in one.plan.cells}
    assert shown == {entry.at for entry in state.cells}
    assert all(one.plan.of("row")[-1].text == "no LoRA" for one in planned)
    assert len(list(plan_sheets(tmp_path, state))) == 1


def test_a_sheet_larger_than_pillow_opens_is_previewed_from_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, ONE], size=(300, 300))
    finished = draw_sheets(tmp_path, state)
    whole = preview(tmp_path, finished, finished.sheets[0], 400)
    monkeypatch.setattr("orchestrator.grid.sheet.MAX_PIXELS", 1000)
    monkeypatch.setattr("orchestrator.grid.sheet.open_picture", None)
    drawn = preview(tmp_path, finished, finished.sheets[0], 400)
    assert max(whole.size) == max(drawn.size) == 400
    assert drawn.size == pytest.approx(whole.size, abs=80)


def test_a_full_disk_keeps_the_old_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = grid(tmp_path, [EPOCHS, WEIGHTS, ONE])
    finished = draw_sheets(tmp_path, state)
    path = tmp_path / finished.sheets[0].file
    before = path.read_bytes()
    real = png_stream._chunk

    def full(stream: Any, kind: bytes, data: bytes) -> None:
        if kind == b"IDAT":
            raise OSError(28, "No space left on device")
        real(stream, kind, data)

    monkeypatch.setattr(png_stream, "_chunk", full)
    with pytest.raises(StorageError, match="disk is full"):
        draw_sheets(tmp_path, replace(state, highlighted=((1, 1, 0),)), known=finished)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_values_that_make_no_file_name_are_numbered(tmp_path: Path) -> None:
    axes = [EPOCHS, WEIGHTS, Axis("prompt", "prompt", ("Miku", "miku", "a/b:c" * 20))]
    files = [one.entry.file for one in plan_sheets(tmp_path, grid(tmp_path, axes))]
    assert files == ["sheet-prompt-1.png", "sheet-prompt-2.png", "sheet-prompt-3.png", "sheet-all-prompts.png"]


def test_pictures_of_several_sizes_stand_in_cells_of_the_largest(tmp_path: Path) -> None:
    state = grid(tmp_path, [Axis("size", "size", ("64x48", "96x48"))], x=0, y=-1)
    state = replace(state, shared={})
    Image.new("RGB", (96, 40), (9, 9, 9)).save(tmp_path / state.cells[1].picture)
    (planned,) = plan_sheets(tmp_path, state)
    assert {(cell.box.width, cell.box.height) for cell in planned.plan.cells} == {(96, 48)}
    box = planned.plan.cells[0].box
    image = draw(planned.plan)
    assert pixel(image, box.x + 1, box.y + 1) == tuple(bytes.fromhex(PENDING[0][1:]))


def test_other_sheets_name_what_they_show(ugly_path: Path) -> None:
    path = write_sheet(Image.new("RGB", (8, 8)), ugly_path / "sheet.png", {"set": "初音"})
    assert json.loads(read_texts(path, {TEXT_CHUNK})[TEXT_CHUNK]) == {"set": "初音"}


def test_a_grid_of_nothing_has_a_sheet_all_the_same(tmp_path: Path) -> None:
    state: Manifest = grid(tmp_path, [ONE], x=-1, y=-1)
    (sheet,) = draw_sheets(tmp_path, state).sheets
    assert manifests.read(tmp_path).cells[0].state == "ready"
    assert png_stream.read_size(tmp_path / sheet.file) is not None
